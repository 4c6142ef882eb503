const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const
export type StopSignal = (typeof STOP_SIGNALS)[number]

/** npm passes a Ctrl-C on that the terminal has sent already: the second within this time is the same one. */
const SAME_KEY_MS = 1000

/** Ctrl-C stops in an orderly way, and a second one at once: everything that counts is in the store. */
export class StopSignals {
  readonly caught: Promise<StopSignal>
  readonly #controller = new AbortController()
  readonly #listener: (signal: StopSignal) => void

  constructor() {
    let catchSignal: (signal: StopSignal) => void
    this.caught = new Promise((resolve) => (catchSignal = resolve))
    let firstMs: number | undefined
    this.#listener = (signal) => {
      const nowMs = performance.now()
      if (firstMs !== undefined && nowMs - firstMs > SAME_KEY_MS) process.exit(130)
      firstMs ??= nowMs
      this.#controller.abort()
      catchSignal(signal)
    }
    for (const signal of STOP_SIGNALS) process.on(signal, this.#listener)
  }

  get aborted(): AbortSignal {
    return this.#controller.signal
  }

  dispose(): void {
    for (const signal of STOP_SIGNALS) process.off(signal, this.#listener)
  }
}
