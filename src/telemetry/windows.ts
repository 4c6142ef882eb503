/**
 * Counts of the last hour, day and 30 days, from counts that only grow: what they are now, less what they were when the window began.
 *
 * A window is cut into steps. When a count is about to change for the first time in a step, a mark keeps what the counts were when
 * the step began; steps in which nothing happens leave none. So an idle series costs nothing, its windows empty by themselves as time
 * goes on, and there are never more marks than a window has steps, whatever the rate. A window is exact to one step: it takes in its
 * length and the step under way.
 *
 * Instants are those of a `WindowTime`, which never goes back.
 */
import { COUNTS } from './counts.js'

const MINUTE_MS = 60_000

export type WindowName = 'hour' | 'day' | 'month'

interface WindowSpan {
  readonly name: WindowName
  readonly steps: number
  readonly stepMs: number
}

/** One step is 1.7, 2.1 and 1.7 % of its window. */
export const WINDOWS: readonly WindowSpan[] = [
  { name: 'hour', steps: 60, stepMs: MINUTE_MS },
  { name: 'day', steps: 48, stepMs: 30 * MINUTE_MS },
  { name: 'month', steps: 60, stepMs: 12 * 60 * MINUTE_MS },
]

/** The counts as they were when a step began. */
export interface Mark {
  /** Number of the step, counted from the epoch. */
  readonly step: number
  /** In the order of `COUNTS`. */
  readonly counts: ArrayLike<number>
}

export class Windows {
  /** Of each window, oldest first. */
  readonly marks: readonly Mark[][]

  constructor(marks: readonly Mark[][] = WINDOWS.map(() => [])) {
    this.marks = marks
  }

  /** The counts are about to change. Returns whether a step has begun since they last did. */
  note(at: number, counts: Float64Array): boolean {
    let isNew = false
    for (const [level, { steps, stepMs }] of WINDOWS.entries()) {
      const marks = this.marks[level] ?? []
      const step = Math.floor(at / stepMs)
      const last = marks.at(-1)
      if (last !== undefined && last.step >= step) continue
      while (marks.length > 0 && (marks[0]?.step ?? 0) < step - steps) marks.shift()
      marks.push({ step, counts: counts.slice(0, COUNTS.length) })
      isNew = true
    }
    return isNew
  }

  /** What was counted within a window that ends at `at`, by place. `counts` are the counts now. */
  within(level: number, at: number, counts: Float64Array): (place: number) => number {
    const { steps, stepMs } = WINDOWS[level] ?? { steps: 0, stepMs: 1 }
    const first = Math.floor(at / stepMs) - steps
    // Nothing happened between the beginning of the window and the first mark in it.
    const mark = this.marks[level]?.find(({ step }) => step >= first)
    return (place) => (mark === undefined ? 0 : (counts[place] ?? 0) - (mark.counts[place] ?? 0))
  }
}

/**
 * The time by which windows go: the wall clock as long as that goes forward. When it is set back, this time goes on from where it was,
 * as far ahead of the clock as the clock was set back: otherwise what was counted would lie in the future, and stay.
 */
export class WindowTime {
  #aheadMs = 0
  #latest: number

  /** @param latest - the latest instant that was given, by this process or an earlier one */
  constructor(latest: number) {
    this.#latest = latest
  }

  /** @param now - the wall clock, in epoch ms */
  at(now: number): number {
    const at = now + this.#aheadMs
    if (at < this.#latest) this.#aheadMs += this.#latest - at
    else this.#latest = at
    return this.#latest
  }
}
