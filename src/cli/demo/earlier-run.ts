/**
 * What an interrupted run left in the store, so that no file gets a second job, and a file that is new or has changed gets one.
 *
 * The walk starts anew each time, because it may have been interrupted too, and asks of every file. So this holds all files of the
 * earlier run, with about 150 bytes for each, until the walk is over. A first run holds nothing.
 */
import { createHash } from 'node:crypto'
import type { Executor, JobInfo } from '../../index.js'
import type { FoundFile } from './measure-file.js'
import type { Progress } from './progress.js'

interface KnownJob {
  readonly id: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

export class EarlierRun {
  /** By a digest of the path, which is shorter than the path. */
  readonly #jobs = new Map<string, KnownJob>()
  /** Jobs of files that have a later one. */
  readonly #outdated = new Set<string>()

  /** Reads the store while its jobs run already. */
  static async read(executor: Executor, progress: Progress): Promise<EarlierRun> {
    const run = new EarlierRun()
    // First those that wait, then those that are over: a job that ends in between is seen twice rather than not at all.
    for await (const job of executor.list({ state: ['available', 'running'] })) {
      const { id, input } = job as JobInfo<FoundFile>
      if (run.#add(id, input)) progress.add(id, input.sizeBytes)
    }
    for await (const job of executor.list({ state: ['completed', 'discarded', 'cancelled'] })) {
      const { id, input } = job as JobInfo<FoundFile>
      if (run.#add(id, input)) progress.addDone(input.sizeBytes)
      else progress.end(id)
    }
    return run
  }

  /** Whether the file needs a job: it is new, or not the one that was found before. */
  needsJob(file: FoundFile): boolean {
    const known = this.#known(file)
    return known === undefined || known.sizeBytes !== file.sizeBytes || known.modifiedMs !== file.modifiedMs
  }

  /** The file got another job: its earlier one, if there is one, counts no more. */
  enqueued(file: FoundFile): void {
    const known = this.#known(file)
    if (known !== undefined) this.#outdated.add(known.id)
  }

  /** The walk is over: nobody asks any more. */
  walked(): void {
    this.#jobs.clear()
  }

  /** Whether a job's result stands for its file: one that changed between two runs has several. */
  counts(id: string): boolean {
    return !this.#outdated.has(id)
  }

  #known({ path }: FoundFile): KnownJob | undefined {
    return this.#jobs.size === 0 ? undefined : this.#jobs.get(digest(path))
  }

  /** Whether the job was not known yet. */
  #add(id: string, { path, sizeBytes, modifiedMs }: FoundFile): boolean {
    const key = digest(path)
    const known = this.#jobs.get(key)
    if (known?.id === id || this.#outdated.has(id)) return false
    // Ids sort by time of enqueueing.
    if (known !== undefined) this.#outdated.add(known.id < id ? known.id : id)
    if (known === undefined || known.id < id) this.#jobs.set(key, { id, sizeBytes, modifiedMs })
    return true
  }
}

function digest(path: string): string {
  return createHash('sha256').update(path).digest().toString('latin1', 0, 16)
}
