/** Keys with waiting jobs of which as many run as may: all of them, and by the slots that may have more of theirs. */
import type { LimitKey } from './limit-key.js'

export class FullKeys {
  readonly #keys = new Set<LimitKey>()
  readonly #bySlot = new Map<number, Set<LimitKey>>()

  get size(): number {
    return this.#keys.size
  }

  /** Those of which a slot holds jobs. */
  at(slot: number): Iterable<LimitKey> {
    return this.#bySlot.get(slot) ?? []
  }

  place(key: LimitKey, isFull: boolean): void {
    if (!isFull && !this.#keys.delete(key)) return
    if (isFull) this.#keys.add(key)
    for (const slot of key.slots) {
      if (isFull) this.#add(key, slot)
      else this.leftSlot(key, slot)
    }
  }

  /** A slot holds none of its jobs any more. */
  leftSlot(key: LimitKey, slot: number): void {
    const keys = this.#bySlot.get(slot)
    if (keys?.delete(key) === true && keys.size === 0) this.#bySlot.delete(slot)
  }

  #add(key: LimitKey, slot: number): void {
    const keys = this.#bySlot.get(slot)
    if (keys === undefined) this.#bySlot.set(slot, new Set([key]))
    else keys.add(key)
  }
}
