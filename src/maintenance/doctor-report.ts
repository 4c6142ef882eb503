/** What the doctor tells: the report, and the messages in which the process that looks sends it. */
import type { Duration } from '../base/duration.js'

export interface DoctorOptions {
  /**
   * Puts right what follows from the rest of the store, in one commit, after a copy of the data file was made beside the directory.
   * The directory must not be in use. @defaultValue false
   */
  readonly repair?: boolean
  /**
   * How long it may take. What is not known by then is reported as a problem; a repair is done as a whole or not at all. Above 0;
   * `Infinity`: as long as it takes. @defaultValue `'1h'`
   */
  readonly timeout?: Duration
}

/** Something that is wrong with a store. */
export interface DoctorProblem {
  /**
   * `directory`: there is no store, or it may not be read. `file`: the data file as LMDB has it, which is all or nothing. `records`: what
   * the library keeps in it.
   */
  readonly area: 'directory' | 'file' | 'records'
  readonly text: string
  /** Whether `repair` can put it right. */
  readonly isRepairable: boolean
  /** Whether it was put right. */
  readonly isRepaired: boolean
}

/** What is notable of a store that can be read. */
export interface StoreFacts {
  /** Size of the data file. */
  readonly sizeBytes: number
  /** What it may grow to, before it must be opened anew. */
  readonly mapBytes: number
  /** Pages of the file; undefined while somebody has it open, when they change. `lost`: neither in use nor free; harmless. */
  readonly pages: { readonly all: number; readonly used: number; readonly free: number; readonly lost: number } | undefined
  readonly pageBytes: number
  /** Who reads the file at this moment, the doctor not counted. */
  readonly readers: number
  /** Records by table. */
  readonly records: Readonly<Record<string, number>>
  /** Jobs by state, `waiting` being those that are available or running; of those that are over the ones that are kept. */
  readonly jobs: Readonly<Record<'waiting' | 'scheduled' | 'retryable' | 'completed' | 'cancelled' | 'discarded', number>>
  /** Jobs that a thread had been handed: they run, or ran when the process died. */
  readonly claimed: number
  /** Jobs that will be run alone, because they were in flight at a crash beside others. */
  readonly suspects: number
  /** When the oldest job that is not over was enqueued, in epoch ms; undefined when there is none. */
  readonly oldestAt: number | undefined
  readonly queues: number
  readonly definitions: number
}

export interface DoctorReport {
  /** The directory, absolute. */
  readonly path: string
  /** `problems`: something is wrong, and still is. `repaired`: all that was wrong was put right. */
  readonly verdict: 'healthy' | 'repaired' | 'problems'
  readonly problems: readonly DoctorProblem[]
  /** What is no problem and worth knowing, one sentence each. */
  readonly notes: readonly string[]
  /** The process that has the store open, if one has. */
  readonly holderPid: number | undefined
  /** Undefined when the records could not be read. */
  readonly facts: StoreFacts | undefined
  /** Where the data file as it was before the repair is: a store directory of its own. */
  readonly backup: string | undefined
}

/** From the process that looks to the one that asked. */
export type DoctorMessage =
  | { readonly kind: 'step'; readonly step: string }
  | { readonly kind: 'report'; readonly report: DoctorReport }
  | {
      readonly kind: 'error'
      readonly code: string | undefined
      readonly message: string
      readonly holderPid: number | undefined
    }
