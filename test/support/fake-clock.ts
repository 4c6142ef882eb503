/**
 * A clock turned by hand. The wall clock and the timers stand still until `advance`; `jump` moves the wall clock alone, as an
 * operator or a time server does. The monotonic clock stays the system's: threads time their jobs by the real one.
 */
import { systemClock, type Clock, type Timer } from '../../src/base/clock.js'

interface Pending {
  /** On the clock's own scale of elapsed ms. */
  readonly at: number
  readonly order: number
  readonly callback: () => void
  keepsAlive: boolean
  /** Once the clock runs freely. */
  real?: Timer
}

export class FakeClock implements Clock {
  #wall: number
  #elapsed = 0
  #order = 0
  #isFree = false
  #alive: NodeJS.Timeout | undefined
  readonly #pending = new Set<Pending>()

  constructor(startsAt = Date.UTC(2030, 0, 1)) {
    this.#wall = startsAt
  }

  now(): number {
    return this.#wall
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  after(delayMs: number, callback: () => void): Timer {
    if (this.#isFree) return systemClock.after(delayMs, callback)
    const pending: Pending = { at: this.#elapsed + delayMs, order: this.#order++, callback, keepsAlive: false }
    this.#pending.add(pending)
    return {
      cancel: () => {
        this.#pending.delete(pending)
        this.#keepAlive()
        pending.real?.cancel()
      },
      setRef: (keepsAlive) => {
        pending.keepsAlive = keepsAlive
        this.#keepAlive()
        pending.real?.setRef(keepsAlive)
      },
    }
  }

  /** The waits of all pending timers, shortest first. */
  get waits(): number[] {
    return [...this.#pending].map(({ at }) => at - this.#elapsed).sort((left, right) => left - right)
  }

  /** Pending timers that would keep a process alive. */
  get keepingAlive(): number {
    return [...this.#pending].filter(({ keepsAlive }) => keepsAlive).length
  }

  /** Lets time pass: timers fire in order, each at its own instant. */
  advance(ms: number): void {
    const until = this.#elapsed + ms
    for (;;) {
      const next = this.#next()
      if (next === undefined || next.at > until) break
      this.#pending.delete(next)
      this.#keepAlive()
      this.#pass(Math.max(0, next.at - this.#elapsed))
      next.callback()
    }
    this.#pass(until - this.#elapsed)
  }

  /** Sets the wall clock forward or back. No timer notices. */
  jump(ms: number): void {
    this.#wall += ms
  }

  /** From now on timers are real ones: for the end of a test, when an executor closes. */
  runFreely(): void {
    this.#isFree = true
    for (const pending of this.#pending) {
      pending.real = systemClock.after(0, pending.callback)
      pending.real.setRef(pending.keepsAlive)
    }
    this.#pending.clear()
    this.#keepAlive()
  }

  /** As a real timer does, a pending one keeps the process alive if it was asked to. */
  #keepAlive(): void {
    if (this.keepingAlive > 0) this.#alive ??= setInterval(() => undefined, 2 ** 30)
    else if (this.#alive !== undefined) {
      clearInterval(this.#alive)
      this.#alive = undefined
    }
  }

  #pass(ms: number): void {
    this.#elapsed += ms
    this.#wall += ms
  }

  #next(): Pending | undefined {
    let next: Pending | undefined
    for (const pending of this.#pending) {
      if (next === undefined || pending.at < next.at || (pending.at === next.at && pending.order < next.order)) next = pending
    }
    return next
  }
}
