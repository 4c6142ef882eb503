/**
 * One timer on the earliest instant at which a job becomes due. The wait is capped: a wall clock that jumps, or a machine that
 * slept, is noticed within `MAX_TIMER_MS`, and an instant that lies months away does not overflow a timer.
 */
import type { Clock, Timer } from '../base/clock.js'
import { MAX_TIMER_MS } from '../base/limits.js'

export class DueTimer {
  readonly #clock: Clock
  readonly #onDue: () => void
  readonly #onEarly: () => void
  #timer: Timer | undefined
  #armedFor = Infinity
  #keepsAlive = false

  /** @param onEarly - told when the timer wakes before anything is due: a moment to look at the clock */
  constructor(clock: Clock, onDue: () => void, onEarly: () => void = () => undefined) {
    this.#clock = clock
    this.#onDue = onDue
    this.#onEarly = onEarly
  }

  /** Whether something is due now. */
  isDue(dueAt: number): boolean {
    return dueAt <= this.#clock.now()
  }

  /** Arms the timer for an instant, in epoch ms. `Infinity` disarms it. */
  arm(dueAt: number): void {
    if (dueAt === this.#armedFor && this.#timer !== undefined) return
    this.stop()
    this.#armedFor = dueAt
    if (dueAt === Infinity) return
    const waitMs = Math.min(MAX_TIMER_MS, Math.max(0, dueAt - this.#clock.now()))
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined
      // Woken by the cap, or early by a clock that was set back: sleep on.
      if (this.isDue(dueAt)) this.#onDue()
      else {
        this.arm(dueAt)
        this.#onEarly()
      }
    })
    this.#timer.setRef(this.#keepsAlive)
  }

  /** Whether the wait keeps the process alive: somebody awaits the outcome of a job. */
  keepAlive(keepsAlive: boolean): void {
    if (keepsAlive === this.#keepsAlive) return
    this.#keepsAlive = keepsAlive
    this.#timer?.setRef(keepsAlive)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Infinity
  }
}
