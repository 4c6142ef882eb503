/**
 * What the main thread and a job thread say to each other. Types only; both sides import this file.
 *
 * A batch travels as a Piscina task, its end as the task's result. Everything that cannot wait for the end of a batch goes
 * over a channel of its own, handed over with a thread's first batch; outcomes lie in the shared `BatchControl`.
 */
import type { MessagePort } from 'node:worker_threads'
import type { ScheduledRun } from '../job/job-info.js'

/** How a thread finds a definition's handler. Sent with the first batch of that definition to that thread. */
export interface DefinitionRef {
  readonly id: number
  readonly name: string
  readonly moduleUrl: string
  /** The module exports `run`, `setup`, `teardown` itself instead of a definition. */
  readonly apart: boolean
}

/** Sent once to each thread, with its first batch. */
export interface ThreadSettings {
  readonly port: MessagePort
  /** Part of every job id of the store. */
  readonly storeMark: number
  readonly payloadBytes: number
  readonly measureHeap: boolean
  /** Whether the thread tells after a batch what it holds. */
  readonly tellMemory: boolean
}

/** A job of a batch that is a run of a schedule. */
export interface ScheduledIndex extends ScheduledRun {
  readonly index: number
}

export interface BatchTask {
  readonly batchId: number
  /** The entries; see `codec/batch`. Transferred. */
  readonly entries: ArrayBuffer
  readonly control: SharedArrayBuffer
  /** Payloads that lie apart, by index in the batch. Transferred. */
  readonly externals: readonly { readonly index: number; readonly bytes: ArrayBuffer }[] | undefined
  /** Jobs that are runs of schedules, by index in the batch. */
  readonly scheduled: readonly ScheduledIndex[] | undefined
  /** Jobs that are not to be begun so long after the hand-over, in ms, by index in the batch. */
  readonly deadlines: readonly { readonly index: number; readonly afterMs: number }[] | undefined
  /** Definitions and queues that this thread has not been told of. */
  readonly definitions: readonly DefinitionRef[] | undefined
  readonly queues: readonly { readonly id: number; readonly name: string }[] | undefined
  readonly settings: ThreadSettings | undefined
  /** Somebody listens to `started`. */
  readonly announceStarts: boolean
  /** `BatchResult.yields` as the main thread knew it when it chose these jobs. */
  readonly yieldsSeen: number
  /** A batch that has run this long, in ms, gives back what it has not started. */
  readonly yieldAfterMs: number
}

/** What the task resolves to. */
export interface BatchResult {
  /**
   * How often this thread has given a batch back before its end. A batch chosen before that was known is given back whole: its
   * jobs come after those that are on their way back.
   */
  readonly yields: number
  /** The output of the last record, when it is `OUTCOME_COMPLETED_APART`. Transferred. */
  readonly apart: ArrayBuffer | undefined
  /** JavaScript heap in use after the batch; 0 unless `measureHeap`. */
  readonly heapBytes: number
  /** An exception went past every handler in this thread: what it left behind is unknown, and the thread is to be replaced. */
  readonly retire: boolean
  /** The last job failed by something beside its handler, which may still be running: the thread is to be ended at once. */
  readonly leftRunning: boolean
}

export type MainToThread =
  /** Aborts the signal of the job that runs, if it is still this one. */
  | { readonly type: 'abort'; readonly batchId: number; readonly index: number; readonly reason: string }
  /** Runs every teardown; the thread answers `tornDown`. */
  | { readonly type: 'tearDown' }

export type UncaughtCode = 'MILLRACE_UNHANDLED_REJECTION' | 'MILLRACE_UNCAUGHT_EXCEPTION'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export type ThreadToMain =
  | { readonly type: 'started'; readonly batchId: number; readonly index: number; readonly at: number }
  | {
      readonly type: 'progress'
      readonly batchId: number
      readonly index: number
      readonly fraction: number
      readonly message: string | undefined
    }
  | {
      readonly type: 'log'
      readonly jobId: string
      readonly jobName: string
      readonly level: LogLevel
      readonly message: string
      /** JSON text, bounded. */
      readonly data: string | undefined
    }
  /** Text written to the thread's stdout or stderr. */
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly text: string | Uint8Array }
  /** An exception or rejection that no running job answers for. */
  | {
      readonly type: 'stray'
      readonly code: UncaughtCode | undefined
      readonly jobId: string | undefined
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
    }
  /** What the thread holds after a batch, JavaScript heap and Buffers, when that has changed. */
  | { readonly type: 'memory'; readonly threadId: number; readonly bytes: number }
  | { readonly type: 'tornDown' }

/** The body of an outcome record that is not a plain completion, as JSON. */
export interface OutcomeBody {
  readonly error?: import('../base/errors.js').ErrorRecord
  /** Snoozes, and retries that name their own delay. */
  readonly afterMs?: number
  readonly reason?: string
  /** `retryIf` says that another run is of no use. */
  readonly final?: true
  /** What was wrong with `retryIf` itself. */
  readonly problem?: string
}
