/** A stream of jobs through an executor with about the same number waiting all the time. */
import type { Executor } from '../../src/index.js'

export interface SteadyOptions {
  /** Jobs waiting, at least. */
  readonly backlog: number
  /** How many more may wait. */
  readonly slack: number
  /** Stores this many more; resolves when they are durable. */
  readonly enqueue: (count: number) => Promise<unknown>
  readonly chunk: number
}

export interface SteadyResult {
  readonly jobs: number
  readonly ms: number
  /** Of the whole process, over all its threads. */
  readonly cpuMs: number
}

export class SteadyStream {
  readonly #executor: Executor
  readonly #options: SteadyOptions
  #waiting = 0

  constructor(executor: Executor, options: SteadyOptions) {
    this.#executor = executor
    this.#options = options
  }

  /** Jobs waiting or running, as of the last look. */
  get waiting(): number {
    return this.#waiting
  }

  /** Goes on until `jobs` more are completed, or `stop` says so. */
  async run(jobs: number, stop: () => boolean = () => false): Promise<SteadyResult> {
    const { backlog, slack, enqueue, chunk } = this.#options
    const { available, running } = await this.#executor.counts()
    const before = this.#completed()
    const waitingBefore = available + running
    const cpuBefore = process.cpuUsage()
    const began = performance.now()
    let stored = 0
    for (;;) {
      const completed = this.#completed() - before
      this.#waiting = waitingBefore + stored - completed
      if (completed >= jobs || stop()) {
        const { user, system } = process.cpuUsage(cpuBefore)
        return { jobs: completed, ms: performance.now() - began, cpuMs: (user + system) / 1000 }
      }
      if (this.#waiting + chunk <= backlog + slack) {
        await enqueue(chunk)
        stored += chunk
      } else {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
  }

  #completed(): number {
    return this.#executor.stats().totals.completed
  }
}
