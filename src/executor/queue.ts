/** A queue as an operator sees it. */
import { nearestName, Problems, readFields } from '../base/problems.js'
import { wholeNumber } from '../base/rules.js'
import { changeMany, PURGE } from './bulk.js'
import type { BulkOptions, BulkReport, JobFilter } from './bulk-options.js'
import { compileBulkFilter, compileBulkOptions } from './bulk-options.js'
import type { ExecutorParts } from './parts.js'
import type { QueueCounts } from './queue-control.js'

/** A queue as it stands. */
export interface QueueInfo extends QueueCounts {
  readonly name: string
  readonly paused: boolean
  /** Jobs that may run at a time: what `setConcurrency` has set, else the option. `Infinity` included. */
  readonly concurrency: number
}

export interface PauseOptions {
  /**
   * Stops what runs: its signal is aborted, and its thread is terminated after `abortGrace`. The jobs are available again, uncharged.
   * @defaultValue false: what runs comes to its end
   */
  readonly interrupt?: boolean
}

/**
 * One of the executor's queues. Made by `executor.queue(name)`.
 *
 * What is set here is stored, holds at once, and holds again after a restart or a crash, whatever the options of `openExecutor` say.
 * Each call may reject with `MILLRACE_CLOSED` or `MILLRACE_STORE_FAILED`.
 */
export class Queue {
  readonly name: string
  readonly #queueId: number
  readonly #parts: ExecutorParts

  /**
   * @internal
   * @throws MillraceError `MILLRACE_UNKNOWN_QUEUE`
   */
  constructor(name: unknown, parts: ExecutorParts) {
    const { queues } = parts.options
    if (typeof name !== 'string' || !queues.has(name)) {
      const known = [...queues.keys()]
      const problems = new Problems()
      const nearest = typeof name === 'string' ? nearestName(name, known) : undefined
      const meant = nearest === undefined ? `they are ${known.join(', ')}` : `did you mean '${nearest}'?`
      problems.refuse('name', name, 'a queue of this executor', `${meant} Jobs left in other queues: cancelMany, discardMany`)
      problems.throwIfAny('MILLRACE_UNKNOWN_QUEUE', 'There is no such queue')
    }
    this.name = name as string
    this.#queueId = parts.store.queueId(this.name)
    this.#parts = parts
  }

  /**
   * No job of the queue is begun any more until `resume()`. Enqueues are taken as before. Resolves when it is durable and every job
   * that no thread has begun waits again; with `interrupt` when nothing of the queue runs any more; what native code holds does.
   *
   * Jobs of a paused queue are not waited for: neither by `drain()` nor by the event `idle`, and they do not keep the process alive.
   *
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS`
   */
  async pause(options: PauseOptions = {}): Promise<void> {
    const problems = new Problems()
    const { interrupt } = readFields(options, ['interrupt'], '', problems)
    if (interrupt !== undefined && typeof interrupt !== 'boolean') problems.refuse('interrupt', interrupt, 'true or false')
    problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'The options of pause cannot be used')
    this.#parts.assertOpen()
    await this.#parts.queueControl.pause(this.#queueId, interrupt === true)
  }

  /** Ends a pause. Resolves when that is durable; the first jobs go with the same commit. */
  async resume(): Promise<void> {
    this.#parts.assertOpen()
    await this.#parts.queueControl.resume(this.#queueId)
  }

  /**
   * How many jobs of the queue may run at a time, instead of what the options of `openExecutor` say. When it is lowered, what runs goes
   * on, and nothing new is begun until there are fewer. Resolves when it is durable.
   *
   * @param concurrency - 1 or more; `Infinity`: as many as there are threads; `undefined`: what the option says
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS`
   */
  async setConcurrency(concurrency: number | undefined): Promise<void> {
    if (concurrency !== undefined) {
      const problems = new Problems()
      if (concurrency === 0)
        problems.refuse('concurrency', 0, 'a whole number of 1 or more', 'to have none of its jobs begun: pause()')
      else wholeNumber(concurrency, 'concurrency', problems, { min: 1, infinity: 'no limit' })
      problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'setConcurrency() cannot be used like this')
    }
    this.#parts.assertOpen()
    await this.#parts.queueControl.setConcurrency(this.#queueId, concurrency)
  }

  /**
   * Resolves when nothing of the queue is available, running or due; of a paused queue, when nothing of it runs. Jobs scheduled for
   * later do not count, nor those that cannot run here.
   */
  async drain(): Promise<void> {
    this.#parts.assertOpen()
    await this.#parts.queueControl.drain(this.#queueId)
  }

  /**
   * Removes jobs from the store: those that wait and those that are over, of which nothing is left. What runs goes on. Whoever awaits
   * a waiting one is told that it was cancelled, and it counts as such. In steps, as `executor.cancelMany`.
   *
   * @param filter - omitted: all of them
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS`
   */
  async purge(filter: JobPurge = {}, options?: BulkOptions): Promise<BulkReport> {
    const { store, assertOpen } = this.#parts
    const compiled = { ...compileBulkFilter(filter, PURGE, store.mark), queue: this.name }
    const manner = compileBulkOptions(options, PURGE.call)
    assertOpen()
    return await changeMany(PURGE, compiled, manner, this.#parts)
  }

  /** Whether it is paused, as was set last. */
  get paused(): boolean {
    return this.#parts.queueControl.state(this.#queueId).paused
  }

  /** Jobs that may run at a time: what `setConcurrency` has set last, else the option. `Infinity` included. */
  get concurrency(): number {
    const { queueControl, options } = this.#parts
    return queueControl.state(this.#queueId).concurrency ?? options.queues.get(this.name)?.concurrency ?? Infinity
  }

  /** How the queue stands. The counts are taken in steps, as many as the queue is long: while jobs move they are about right. */
  async info(): Promise<QueueInfo> {
    this.#parts.assertOpen()
    const counts = await this.#parts.queueControl.count(this.#queueId)
    return { name: this.name, paused: this.paused, concurrency: this.concurrency, ...counts }
  }
}

/** Which jobs of a queue `purge` is for. */
export type JobPurge = Omit<JobFilter, 'queue'>
