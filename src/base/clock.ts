/**
 * The only home of the system's time and timers. Everything else is handed a `Clock`, so that tests can turn time by hand.
 */

/** A pending timer. */
export interface Timer {
  cancel(): void
  /** Whether the pending timer keeps the process alive. */
  setRef(keepsAlive: boolean): void
}

export interface Clock {
  /** The wall clock, in epoch ms. It may jump in both directions. */
  now(): number
  /** Milliseconds of a clock that only moves forward and is the same in every thread of the process. */
  monotonicMs(): number
  /** Calls `callback` once after `delayMs`, or after 24 days if that is sooner. The timer does not keep the process alive unless asked to. */
  after(delayMs: number, callback: () => void): Timer
}

/** Longer waits would overflow Node's timers and fire at once; who waits longer looks again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

class SystemTimer implements Timer {
  readonly #handle: NodeJS.Timeout

  constructor(delayMs: number, callback: () => void) {
    this.#handle = setTimeout(callback, Math.min(delayMs, LONGEST_TIMER_MS))
    this.#handle.unref()
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }

  setRef(keepsAlive: boolean): void {
    if (keepsAlive) this.#handle.ref()
    else this.#handle.unref()
  }
}

/** `performance.now()` counts from each thread's own start; `hrtime` does not. The difference makes the former comparable. */
export function monotonicOffsetMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6 - performance.now()
}

class SystemClock implements Clock {
  readonly #offsetMs = monotonicOffsetMs()

  now(): number {
    return Date.now()
  }

  monotonicMs(): number {
    return performance.now() + this.#offsetMs
  }

  after(delayMs: number, callback: () => void): Timer {
    return new SystemTimer(delayMs, callback)
  }
}

/** The system's clock. */
export const systemClock: Clock = new SystemClock()
