import type { PageHandles } from './results.js'

/** An enqueued job. Holding it keeps the job's outcome at hand; letting go of it costs nothing. */
export class JobHandle<Output> {
  /** The name of the job's definition. */
  readonly name: string
  /** Whether this very enqueue stored it. False for a handle of a job that held the unique key already. */
  readonly isNew: boolean
  readonly #handles: PageHandles
  readonly #index: number

  /** @internal */
  constructor(handles: PageHandles, index: number, name: string, isNew: boolean) {
    this.#handles = handles
    this.#index = index
    this.name = name
    this.isNew = isNew
  }

  /** Finds the job again, also after a restart: `executor.get(id)`, `executor.job(id)`. 20 characters; ids sort by time of enqueueing. */
  get id(): string {
    return this.#handles.id(this.#index)
  }

  /**
   * The handler's output, once the job is completed. Settles always.
   *
   * @throws JobFailedError `MILLRACE_JOB_FAILED` when the job was discarded; its `error` is what ended the last attempt
   * @throws MillraceError `MILLRACE_JOB_CANCELLED`, `MILLRACE_JOB_PRUNED`; `MILLRACE_RESULT_PENDING` when the executor closes first
   */
  result(): Promise<Output> {
    return this.#handles.result(this.#index, this.name) as Promise<Output>
  }
}
