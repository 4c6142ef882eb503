/** Tells whether a worker has failed to start, and how long to wait before the next one: those that die at birth would be started in a loop. */
import type { Clock } from '../base/clock.js'
import type { Batch } from './batch.js'

/** A worker that dies younger than this without ending a batch has failed to start. */
const STARTUP_MS = 2000
/** So many in a row are followed at once. */
const AT_ONCE = 2
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 30_000

export class WorkerStarts {
  readonly #clock: Clock
  #bornMs = 0
  #endedOne = false
  #failures = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A worker starts. */
  begin(): void {
    this.#bornMs = this.#clock.monotonicMs()
    this.#endedOne = false
  }

  /** It has ended a batch. */
  succeeded(): void {
    this.#endedOne = true
    this.#failures = 0
  }

  /** Whether it had failed to start, when it died by itself with these batches. */
  hasFailed(held: readonly Batch[]): boolean {
    return (
      !this.#endedOne && this.#clock.monotonicMs() - this.#bornMs < STARTUP_MS && held.every(({ control }) => control.taken === 0)
    )
  }

  /** What to wait after a failure before the next worker, in ms; 0 for nothing. Each pause is twice the last. */
  nextPauseMs(): number {
    const pauses = ++this.#failures - AT_ONCE
    return pauses <= 0 ? 0 : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (pauses - 1))
  }
}
