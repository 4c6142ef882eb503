/**
 * What was started under a rate, as far back as it matters: so many starts at such a moment. Never are there more than `max` starts in
 * any span of `perMs`, wherever it begins, which a window that is reset at its end or a bucket that fills up again would not keep.
 *
 * Up to `RATE_MOMENTS` moments are exact. Beyond that, starts that lie nearer to each other than a share of the span are taken
 * together and count as of the last of them: a place becomes free a little later than it could, never sooner.
 */
import { RATE_MOMENTS } from '../base/limits.js'
import type { CompiledRate } from '../job/limit.js'
import type { StoredRate } from '../store/rates.js'

interface Moment {
  /** Epoch ms of the first start taken together here. */
  readonly from: number
  /** Of the last. */
  at: number
  starts: number
}

export class RateLog {
  /** Oldest first. */
  #moments: Moment[] = []
  /** The longest span asked for: what is older than that is forgotten. */
  #spanMs = 0

  /** Epoch ms from which on nothing of it matters. 0 when nothing does now. */
  get until(): number {
    const last = this.#moments.at(-1)
    return last === undefined ? 0 : last.at + this.#spanMs
  }

  /** How many may start now. */
  free({ max, perMs }: CompiledRate, now: number): number {
    this.#spanMs = Math.max(this.#spanMs, perMs)
    this.#forget(now)
    return Math.max(0, max - this.#startsWithin(now - perMs))
  }

  /** When one more may start, after `free` has given 0: epoch ms. */
  freeAt({ max, perMs }: CompiledRate, now: number): number {
    let starts = this.#startsWithin(now - perMs)
    for (const moment of this.#moments) {
      if (moment.at <= now - perMs) continue
      starts -= moment.starts
      if (starts < max) return moment.at + perMs
    }
    return now
  }

  /** When one may start, in epoch ms; 0: at once. */
  mayStartAt(rate: CompiledRate, now: number): number {
    return this.free(rate, now) > 0 ? 0 : this.freeAt(rate, now)
  }

  add({ perMs }: CompiledRate, starts: number, now: number): void {
    this.#spanMs = Math.max(this.#spanMs, perMs)
    const last = this.#moments.at(-1)
    const isFull = this.#moments.length >= RATE_MOMENTS
    if (last !== undefined && (last.at === now || (isFull && now - last.from < this.#spanMs / RATE_MOMENTS))) {
      last.at = now
      last.starts += starts
    } else {
      this.#moments.push({ from: now, at: now, starts })
    }
  }

  /** Gives back starts that were added at `at` and did not come to be. Those that are forgotten, or moved by a clock, count for nothing. */
  refund(starts: number, at: number): void {
    const moment = this.#moments.find((candidate) => candidate.from <= at && at <= candidate.at)
    if (moment === undefined) return
    moment.starts -= Math.min(starts, moment.starts)
    if (moment.starts === 0) this.#moments.splice(this.#moments.indexOf(moment), 1)
  }

  /** As stored: the span in ms, and moments with their starts. */
  record(): StoredRate {
    return { spanMs: this.#spanMs, moments: this.#moments.map(({ at, starts }) => [at, starts]) }
  }

  static of({ spanMs, moments }: StoredRate): RateLog {
    const log = new RateLog()
    log.#spanMs = spanMs
    log.#moments = moments.map(([at, starts]) => ({ from: at, at, starts }))
    return log
  }

  #forget(now: number): void {
    const [first] = this.#moments
    if (first === undefined) return
    // The clock was set back: nobody knows how long ago these were. They count as of now.
    for (const moment of this.#moments) if (moment.at > now) moment.at = now
    if (first.at <= now - this.#spanMs) this.#moments = this.#moments.filter(({ at }) => at > now - this.#spanMs)
  }

  #startsWithin(after: number): number {
    let starts = 0
    for (const moment of this.#moments) if (moment.at > after) starts += moment.starts
    return starts
  }
}
