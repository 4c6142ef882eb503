/** A job found again by its id: how it stands, and how it ends, also when an earlier process enqueued it. */
import { JobFailedError, MillraceError } from '../base/errors.js'
import type { JobAddress } from '../job/job-id.js'
import type { JobInfo } from '../job/job-info.js'
import type { ResultRegistry } from './results.js'

/** What a stored job's handle needs of its executor. */
export interface StoredJobSource {
  readonly results: ResultRegistry
  readonly inspect: () => Promise<JobInfo | undefined>
  readonly inTurn: <T>(read: () => T) => Promise<T>
  /** Only within a turn. */
  readonly read: () => JobInfo | undefined
  readonly cancel: (reason?: string) => Promise<boolean>
}

/** A job found again by its id. */
export class StoredJob<Output> {
  readonly id: string
  readonly #address: JobAddress
  readonly #source: StoredJobSource

  /** @internal */
  constructor(id: string, address: JobAddress, source: StoredJobSource) {
    this.id = id
    this.#address = address
    this.#source = source
  }

  /** The job as it stands, or undefined when it is not in the store. */
  async info(): Promise<JobInfo | undefined> {
    return await this.#source.inspect()
  }

  /** As `executor.cancel(id)`. */
  async cancel(reason?: string): Promise<boolean> {
    return await this.#source.cancel(reason)
  }

  /**
   * The handler's output, once the job is completed. Settles always.
   *
   * @throws JobFailedError `MILLRACE_JOB_FAILED`
   * @throws MillraceError `MILLRACE_JOB_CANCELLED`, `MILLRACE_JOB_PRUNED`, `MILLRACE_RESULT_PENDING`
   */
  async result(): Promise<Output> {
    return (await resultOf(this.id, this.#address.seq, this.#source)) as Output
  }
}

/** How a job ends, or ended, as the store says. */
export async function resultOf(
  id: string,
  seq: number,
  { inTurn, read, results }: Pick<StoredJobSource, 'inTurn' | 'read' | 'results'>,
): Promise<unknown> {
  // Looked up and registered within one turn: an outcome cannot slip through between the two.
  const found = await inTurn(() => {
    const info = read()
    if (info === undefined || isOver(info)) return { info, waiting: undefined }
    const waiting = results.wait(seq, id, info.name)
    waiting.catch(() => undefined)
    return { info, waiting }
  })
  return found.waiting === undefined ? outputOf(id, found.info) : await found.waiting
}

function isOver({ state }: JobInfo): boolean {
  return state === 'completed' || state === 'cancelled' || state === 'discarded'
}

/** The output of a job that is over, or the error that stands for it. */
function outputOf(id: string, info: JobInfo | undefined): unknown {
  if (info === undefined) {
    throw new MillraceError(
      'MILLRACE_JOB_PRUNED',
      `Job ${id} is not in the store any more: it ended, and retain did not keep it. Raise retain to find it later.`,
    )
  }
  if (info.state === 'completed') return info.output
  if (info.state === 'cancelled') {
    throw new MillraceError(
      'MILLRACE_JOB_CANCELLED',
      `Job ${id} ("${info.name}") was cancelled${info.error === undefined ? '' : `: ${info.error.message}`}.`,
    )
  }
  const error = info.error ?? { name: 'Error', message: 'The job was discarded.' }
  throw new JobFailedError(`Job ${id} ("${info.name}") failed: ${error.name}: ${error.message}`, id, info.name, error)
}
