/** The keyed lanes whose front may run now, by priority: in each the one first whose key has had the least thread time. */
import { Heap } from './heap.js'
import type { KeyedLane } from './limit-key.js'

export class KeyRings {
  /** By rank. */
  readonly #rings = new Map<number, Heap<KeyedLane>>()
  readonly #onRank: (rank: number) => void
  #size = 0

  /** @param onRank - told of each priority that lanes have */
  constructor(onRank: (rank: number) => void) {
    this.#onRank = onRank
  }

  /** Lanes in all of them. */
  get size(): number {
    return this.#size
  }

  sizeAt(rank: number): number {
    return this.#rings.get(rank)?.size ?? 0
  }

  /** Whether any lane is of such a priority or a higher one. */
  hasUpTo(lastRank: number): boolean {
    for (const [rank, ring] of this.#rings) if (rank <= lastRank && ring.size > 0) return true
    return false
  }

  first(rank: number): KeyedLane | undefined {
    return this.#rings.get(rank)?.first
  }

  /** Puts a lane in or out, or where it belongs by now. */
  place(entry: KeyedLane, belongs: boolean): void {
    if (!belongs && entry.heapAt < 0) return
    const ring = this.#ring(entry.lane.rank)
    if (!belongs) {
      ring.remove(entry)
      this.#size--
    } else if (entry.heapAt >= 0) ring.moved(entry)
    else {
      ring.add(entry)
      this.#size++
    }
  }

  /** A lane of this priority has been met. */
  meet(rank: number): void {
    this.#ring(rank)
  }

  #ring(rank: number): Heap<KeyedLane> {
    const known = this.#rings.get(rank)
    if (known !== undefined) return known
    const ring = new Heap<KeyedLane>(({ key }) => key.virtualMs)
    this.#rings.set(rank, ring)
    this.#onRank(rank)
    return ring
  }
}
