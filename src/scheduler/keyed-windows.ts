/** Which keyed lanes have pages in memory, and how many: few lanes at a time, of however many there are. */
import { KEYED_PAGES } from '../base/limits.js'
import type { KeyedLane, LimitKey } from './limit-key.js'

export class KeyedWindows {
  readonly #loaded = new Set<KeyedLane>()
  /** Upper bound. */
  #pages = 0
  #loadedBytes = 0

  /** Pages at which the next round of unloading is worth its while: what threads hold stays, and is not to be gone through each time. */
  #unloadAt = KEYED_PAGES

  /** Whether pages are to be left to the store. */
  get isOverfull(): boolean {
    return this.#pages >= this.#unloadAt
  }

  /** No further pages are to come into memory. */
  get isFull(): boolean {
    return this.#pages >= KEYED_PAGES
  }

  /** Counts what has come into a lane's window. */
  account(entry: KeyedLane): void {
    const { lane } = entry
    if (lane.window.length > 0) this.#loaded.add(entry)
    const bytes = lane.takeLoadedBytes()
    if (bytes === 0) return
    this.#loadedBytes += bytes
    this.#pages += lane.window.length
  }

  /** Bytes that have come into memory since the last call. */
  takeLoadedBytes(): number {
    const bytes = this.#loadedBytes
    this.#loadedBytes = 0
    return bytes
  }

  /** Leaves the pages of keys that nobody runs for to the store. Returns the bytes that stay. Not while a commit is under way. */
  unload(): number {
    let bytes = 0
    this.#pages = 0
    for (const entry of this.#loaded) {
      const { key, lane } = entry
      if (isAtRest(key)) lane.unload()
      if (lane.window.length === 0) this.#loaded.delete(entry)
      this.#pages += lane.window.length
      for (const { page } of lane.window) bytes += page.bytes?.length ?? 0
    }
    this.#unloadAt = Math.max(KEYED_PAGES, 2 * this.#pages)
    return bytes
  }
}

/** Nothing of it is in a thread's hands: what is in memory of it could be read again. */
export function isAtRest(key: LimitKey): boolean {
  return key.threads === 0 && key.lanes.every(({ lane }) => lane.window.every(({ page }) => page.pins === 0))
}
