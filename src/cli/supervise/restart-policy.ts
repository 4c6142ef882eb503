/** When a program that has died is started again: later each time, sooner again once it has run for a while. */
export interface RestartPolicyOptions {
  /** Before the first restart, in ms; doubled for each that follows. */
  readonly minDelayMs: number
  /** The longest delay, in ms. A program that has run this long counts as up again: the next delay is the shortest. */
  readonly maxDelayMs: number
  /** Restarts in a row, without such a run between them; `Infinity`: no limit. */
  readonly maxRestarts: number
}

export class RestartPolicy {
  readonly #options: RestartPolicyOptions
  #restarts = 0

  constructor(options: RestartPolicyOptions) {
    this.#options = options
  }

  /** The program has died after `ranMs`. Gives the ms to wait, or undefined when it is given up. */
  next(ranMs: number): number | undefined {
    const { minDelayMs, maxDelayMs, maxRestarts } = this.#options
    if (ranMs >= maxDelayMs) this.#restarts = 0
    if (this.#restarts >= maxRestarts) return undefined
    return Math.min(maxDelayMs, minDelayMs * 2 ** this.#restarts++)
  }
}
