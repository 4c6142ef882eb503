/**
 * The order of first runs: of one queue, priority and limit key they begin as they were enqueued, if a single thread does them. Part of
 * the judge. Left out are jobs that were in a thread when their process died, as they are run apart, and those with a delay. So are those
 * whose first attempt told of nothing: its time may be up before its handler gets to it, on a machine that has too much to do.
 */
import type { Line } from '../fixtures/crash/journal-line.js'
import type { LineOf } from './crash-figures.js'
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
  /** What an opening has read that a dead process held, as long as it has not told what became of it; and of all that never told. */
  #untold: LineOf<'recovering'>['held'] = []
  readonly #apart: (readonly [from: string, to: string])[] = []

  constructor(problem: (check: Check, text: string) => void) {
    this.#problem = problem
  }

  line(line: Line): void {
    if (line.is === 'recovering') this.#untold = [...(this.#untold ?? []), ...(line.held ?? [])]
    else if (line.is === 'opening') {
      // It may have rescued any of them before it died.
      this.#apart.push(...(this.#untold ?? []))
      this.#untold = []
    } else if (line.is === 'open') {
      this.#untold = []
      this.#threads = line.threads ?? 0
      this.#last.clear()
      for (const id of [...line.rescued, ...line.quarantined]) this.#begun.add(id)
    } else if (line.is === 'try' && line.lane !== undefined) {
      for (let key = line.key; key < line.key + line.count; key++) this.#lanes.set(key, line.lane)
    } else if (line.is === 'start') this.#started(line)
  }

  #started({ id, key, attempt }: LineOf<'start'>): void {
    if (this.#begun.has(id)) return
    this.#begun.add(id)
    const limitKey = this.#lanes.get(key)
    if (this.#threads !== 1 || limitKey === undefined || attempt > 1 || this.#mayRunApart(id)) return
    const lane = `${id.slice(...LANE)} ${limitKey}`
    const last = this.#last.get(lane)
    if (last !== undefined) this.compared++
    if (last !== undefined && id < last)
      this.#problem('order', `job ${key} (${id}) began after ${last}, which was enqueued later`)
    else this.#last.set(lane, id)
  }

  #mayRunApart(id: string): boolean {
    const number = id.slice(0, LANE[0])
    return this.#apart.some(([from, to]) => from <= number && number <= to)
  }
}
