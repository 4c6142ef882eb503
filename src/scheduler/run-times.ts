/** How long jobs of each definition run: an exponentially weighted mean, from which the size of a batch follows. */
import { UNMEASURED_MS } from '../base/limits.js'

/** Weight of a batch's mean; about the last ten batches count. */
const WEIGHT = 0.2
/** By which factor a batch's mean must differ for its weight not to count. */
const FAR = 8
/** No job is estimated below this: taking, decoding and recording a job cost about so much. */
const FLOOR_MS = 0.001

export class RunTimes {
  readonly #meanMs: number[] = []

  /** Estimated run time of one job in ms. */
  estimateMs(definitionId: number): number {
    return this.#meanMs[definitionId] ?? UNMEASURED_MS
  }

  isMeasured(definitionId: number): boolean {
    return this.#meanMs[definitionId] !== undefined
  }

  /** Takes in `jobs` runs that took `totalMs` together. */
  measure(definitionId: number, jobs: number, totalMs: number): void {
    const mean = Math.max(FLOOR_MS, totalMs / jobs)
    const known = this.#meanMs[definitionId]
    if (known === undefined) this.#meanMs[definitionId] = mean
    // Far off, either way: half the way on the scale of magnitudes. Jobs that suddenly take long are not batched by hundreds while
    // the mean creeps up, and one long job among short ones does not leave batches of one behind it for long.
    else if (mean > known * FAR || mean * FAR < known) this.#meanMs[definitionId] = Math.sqrt(known * mean)
    else this.#meanMs[definitionId] = known + (mean - known) * WEIGHT
  }
}
