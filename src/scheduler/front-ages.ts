/**
 * Since when the jobs at the front of keyed lanes have been waiting, the longest first. What stands here of a lane may be behind what
 * has become of its front, and is looked at again when it is asked for; a call looks at few lanes, however many there are.
 */
import { FRONT_LOOKS } from '../base/limits.js'
import { Heap, type HeapItem } from './heap.js'
import type { KeyedLane } from './limit-key.js'

class Age implements HeapItem {
  readonly entry: KeyedLane
  since: number
  heapAt = -1

  constructor(entry: KeyedLane) {
    this.entry = entry
    this.since = entry.since
  }
}

export class FrontAges {
  readonly #ages = new Map<KeyedLane, Age>()
  readonly #oldest = new Heap<Age>(({ since }) => since)

  /** What waits at the front of a lane may have changed. */
  place(entry: KeyedLane): void {
    const age = this.#ages.get(entry)
    if (!entry.lane.hasWork) this.forget(entry)
    else if (age === undefined) {
      const added = new Age(entry)
      this.#ages.set(entry, added)
      this.#oldest.add(added)
    } else if (age.since !== entry.since) {
      age.since = entry.since
      this.#oldest.moved(age)
    }
  }

  forget(entry: KeyedLane): void {
    const age = this.#ages.get(entry)
    if (age === undefined) return
    this.#ages.delete(entry)
    this.#oldest.remove(age)
  }

  /** Epoch ms from which on the first of all jobs could have run; undefined when there is none. Never too late. */
  get readyAt(): number | undefined {
    for (let look = 0; look < FRONT_LOOKS; look++) {
      const age = this.#oldest.first
      if (age === undefined) return undefined
      const { entry } = age
      const readyAt = entry.lane.readyAt
      if (readyAt === age.since) return readyAt
      if (readyAt === undefined) this.forget(entry)
      else {
        entry.since = readyAt
        this.place(entry)
      }
    }
    return this.#oldest.first?.since
  }
}
