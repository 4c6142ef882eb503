/**
 * The search for the limit keys of a queue that have jobs in the store: one key after another, in the order of their lanes, highest
 * priority first. It ends when all of them have been met, and begins again when something was stored, or forgotten, that it may have
 * passed by.
 */
import type { Engine } from '../store/engine.js'
import { type FoundLane, nextKeyedLane } from '../store/keyed-pages.js'

const LAST_LANE = 2 ** 48 - 1

export class KeySearch {
  readonly #engine: Engine
  readonly #queueId: number
  #from: { readonly rank: number; readonly lane: number } | undefined
  #again = false
  /** What it has to find again is part of the commit under way, and cannot be read before. */
  #isUnreadable = false

  constructor(engine: Engine, queueId: number, isNeeded: boolean) {
    this.#engine = engine
    this.#queueId = queueId
    if (isNeeded) this.#from = { rank: 0, lane: 0 }
  }

  /** Whether the store may hold lanes that nobody knows. */
  get isPending(): boolean {
    return this.#from !== undefined
  }

  /** A key was left to the store. */
  repeat(isUnreadable: boolean): void {
    this.#from ??= { rank: 0, lane: 0 }
    this.#again = true
    this.#isUnreadable ||= isUnreadable
  }

  /** The next lane, or undefined at an end. */
  next(): FoundLane | undefined {
    if (this.#from === undefined) return undefined
    const found = nextKeyedLane(this.#engine, this.#queueId, this.#from.rank, this.#from.lane)
    if (found === undefined) {
      this.#from = this.#again ? { rank: 0, lane: 0 } : undefined
      this.#again = this.#isUnreadable
      return undefined
    }
    const { rank, lane } = found
    this.#from = lane < LAST_LANE ? { rank, lane: lane + 1 } : { rank: rank + 1, lane: 0 }
    return found
  }

  committed(): void {
    this.#isUnreadable = false
  }
}
