/** Threads that do nothing but arithmetic: the ideal that pools are measured by, and the clock for how much of it is 1 ms. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { median } from './measure.js'

export type BareOrder =
  | { readonly type: 'run'; readonly jobs: number; readonly iterations: number; readonly counter: Int32Array }
  | { readonly type: 'calibrate'; readonly forMs: number }

export interface BareAnswer {
  readonly iterationsPerMs: number
}

const SCRIPT = new URL('../jobs/bare-arithmetic.js', import.meta.url)
const CALIBRATION_MS = 100
const CALIBRATIONS = 8

export class BareThreads {
  readonly #workers: readonly Worker[]

  constructor(threads: number) {
    this.#workers = Array.from({ length: threads }, () => new Worker(SCRIPT))
  }

  /**
   * Iterations that take 1 ms while all the threads are at work, so that a core they share counts as shared. Of several
   * measurements the fastest: what slows one down is never the arithmetic.
   */
  async iterationsPerMs(): Promise<number> {
    let fastest = 0
    for (let round = 0; round < CALIBRATIONS; round++) {
      const answers = await this.#order({ type: 'calibrate', forMs: CALIBRATION_MS })
      fastest = Math.max(fastest, median(answers.map(({ iterationsPerMs }) => iterationsPerMs)))
    }
    return fastest
  }

  async run(jobs: number, iterations: number): Promise<void> {
    const counter = new Int32Array(new SharedArrayBuffer(4))
    await this.#order({ type: 'run', jobs, iterations, counter })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  async #order(order: BareOrder): Promise<BareAnswer[]> {
    return await Promise.all(
      this.#workers.map(async (worker) => {
        const answered = once(worker, 'message')
        worker.postMessage(order)
        const [answer] = (await answered) as [BareAnswer]
        return answer
      }),
    )
  }
}
