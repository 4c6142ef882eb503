/**
 * A wall clock turned by hand over timers that are real: threads are real here, and what watches them must go on by itself, while
 * every instant that is stored is exact. Time that is made to pass also passes for the timers; a jump of the wall clock does not.
 */
import { systemClock, type Clock, type Timer } from '../../../src/base/clock.js'

interface Pending {
  readonly at: number
  readonly fire: () => void
}

export class TurnedClock implements Clock {
  #wall = Date.UTC(2030, 0, 1)
  /** What was made to pass. */
  #turned = 0
  readonly #pending = new Set<Pending>()

  now(): number {
    return this.#wall
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  after(delayMs: number, callback: () => void): Timer {
    const fire = (): void => {
      if (!this.#pending.delete(pending)) return
      timer.cancel()
      callback()
    }
    const pending: Pending = { at: this.#turned + delayMs, fire }
    const timer = systemClock.after(delayMs, fire)
    this.#pending.add(pending)
    return {
      cancel: () => {
        this.#pending.delete(pending)
        timer.cancel()
      },
      setRef: (keepsAlive) => timer.setRef(keepsAlive),
    }
  }

  /** Time passes, all at once. */
  advance(ms: number): void {
    this.#wall += ms
    this.#turned += ms
    const due = [...this.#pending].filter(({ at }) => at <= this.#turned)
    for (const { fire } of due.sort((left, right) => left.at - right.at)) fire()
  }

  /** The wall clock alone is set, forward or back. */
  jump(ms: number): void {
    this.#wall += ms
  }
}
