/** What happens per second, from how the executor stood a while ago and how it stands now. */
import type { Status } from '../../control-socket/status.js'

export interface Rates {
  readonly completed: number
  readonly discarded: number
  readonly cancelled: number
  /** Jobs completed, by queue. */
  readonly queues: ReadonlyMap<string, number>
}

/** Looks kept: rates are those of the last few seconds. */
const LOOKS = 5

export class RateWindow {
  #looks: Status[] = []

  /** Forgets what came before another process, or a clock that went back. */
  add(status: Status): void {
    const last = this.#looks.at(-1)
    if (last !== undefined && (last.running?.openedAt !== status.running?.openedAt || status.at <= last.at)) this.#looks = []
    this.#looks = [...this.#looks, status].slice(-LOOKS)
  }

  /** Undefined until there are two looks. */
  rates(): Rates | undefined {
    const [first] = this.#looks
    const last = this.#looks.at(-1)
    if (first === undefined || last === undefined || first === last) return undefined
    const seconds = (last.at - first.at) / 1000
    const rate = (before: number | undefined, now: number): number => Math.max(0, now - (before ?? now)) / seconds
    const before = new Map(first.queues.map(({ name, totals }) => [name, totals.completed]))
    return {
      completed: rate(first.totals.completed, last.totals.completed),
      discarded: rate(first.totals.discarded, last.totals.discarded),
      cancelled: rate(first.totals.cancelled, last.totals.cancelled),
      queues: new Map(last.queues.map(({ name, totals }) => [name, rate(before.get(name), totals.completed)])),
    }
  }
}
