/**
 * The order of first runs: of one queue, priority and limit key they begin as they were enqueued, if a single thread does them. Part of
 * the judge. Left out are jobs that were in a thread when their process died, as they are run apart, and those with a delay.
 */
import type { Line } from '../fixtures/crash/journal-line.js'
import type { Check } from './crash-verdict.js'

/** Where queue and priority stand in an id. */
const LANE = [10, 15] as const

export class StartOrder {
  /** First runs that had one before them. */
  compared = 0
  readonly #problem: (check: Check, text: string) => void
  /** Limit keys by the keys of jobs whose order is known. */
  readonly #lanes = new Map<number, string>()
  /** Jobs that have begun, or were in a thread when their process died. */
  readonly #begun = new Set<string>()
  /** The job that began last in each lane. */
  readonly #last = new Map<string, string>()
  #threads = 0
  /** An opening has read what a dead process held, and has not told what that was. */
  #isUntold = false

  constructor(problem: (check: Check, text: string) => void) {
    this.#problem = problem
  }

  line(line: Line): void {
    if (line.is === 'recovering') this.#isUntold ||= line.claims > 0
    else if (line.is === 'opening') {
      // It may have rescued any of them before it died.
      if (this.#isUntold) this.#lanes.clear()
      this.#isUntold = false
    } else if (line.is === 'open') {
      this.#isUntold = false
      this.#threads = line.threads ?? 0
      this.#last.clear()
      for (const id of [...line.rescued, ...line.quarantined]) this.#begun.add(id)
    } else if (line.is === 'try' && line.lane !== undefined) {
      for (let key = line.key; key < line.key + line.count; key++) this.#lanes.set(key, line.lane)
    } else if (line.is === 'start') this.#started(line)
  }

  #started({ id, key }: Line & { readonly is: 'start' }): void {
    if (this.#begun.has(id)) return
    this.#begun.add(id)
    const limitKey = this.#lanes.get(key)
    if (this.#threads !== 1 || limitKey === undefined) return
    const lane = `${id.slice(...LANE)} ${limitKey}`
    const last = this.#last.get(lane)
    if (last !== undefined) this.compared++
    if (last !== undefined && id < last)
      this.#problem('order', `job ${key} (${id}) began after ${last}, which was enqueued later`)
    else this.#last.set(lane, id)
  }
}
