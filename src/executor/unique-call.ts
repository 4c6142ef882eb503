/** The enqueues of unique jobs on their way from the door to the turn that decides about them, and back. */
import { type MillraceError, DuplicateJobError } from '../base/errors.js'
import type { ResolvedUnique } from '../job/unique.js'
import { JobHandle } from './job-handle.js'
import type { PageHandles } from './results.js'

/** One input's enqueue. Its job travels in a page of its own. */
export interface UniqueTicket {
  readonly call: UniqueCall
  /** As the unique index knows the key. */
  readonly hash: string
  readonly unique: ResolvedUnique
  /** What the intake counts as pending for it. */
  readonly bytes: number
  /** Of the job that it stores, if it does. */
  readonly own: JobHandle<unknown>
  /** Set in the turn: the job that holds the key already. */
  existing: PageHandles | undefined
}

/** One call of `enqueue` or `enqueueMany`. Decided as a whole. */
export class UniqueCall {
  readonly tickets: UniqueTicket[] = []
  /** The turn has looked whether it is refused. */
  isChecked = false
  #refusal: (() => MillraceError) | undefined

  add(ticket: Omit<UniqueTicket, 'call' | 'existing'>): UniqueTicket {
    const added = { ...ticket, call: this, existing: undefined }
    this.tickets.push(added)
    return added
  }

  get isRefused(): boolean {
    return this.#refusal !== undefined
  }

  /**
   * Nothing of the call is stored.
   * @param id - gives the id of the job that holds the key; it may be one that the same commit stores
   */
  refuse({ unique, own }: UniqueTicket, id: () => string | undefined): void {
    this.#refusal = () => {
      const jobId = id()
      const whose = jobId === undefined ? 'more than one input of this call has' : `job ${jobId} holds`
      const message = `Nothing was enqueued: ${whose} the unique key ${shown(unique.key)} of "${own.name}". Wait until that job lets go of it, or choose another onConflict than 'reject': 'return', 'replace', 'debounce'.`
      return new DuplicateJobError(message, jobId, unique.key)
    }
  }

  /** What the caller gets once the commit is durable, in the order of the inputs. @throws DuplicateJobError */
  handles(): JobHandle<unknown>[] {
    if (this.#refusal !== undefined) throw this.#refusal()
    return this.tickets.map(({ own, existing }) => (existing === undefined ? own : new JobHandle(existing, 0, own.name, false)))
  }
}

function shown(key: string): string {
  return JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}…` : key)
}
