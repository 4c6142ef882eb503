/** How many bytes of waiting pages lie in memory, over all queues' lanes: some megabytes at most, however many jobs wait. */
import { WINDOW_BYTES } from '../base/limits.js'
import type { ReadyQueue } from './ready-queue.js'

export class WindowBytes {
  /** Upper bound: counted up as pages come in, counted anew by `trim`. */
  #bytes = 0

  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** Counts what has come into a queue's windows. */
  account({ lanes, keyed }: ReadyQueue): void {
    for (const lane of lanes) this.#bytes += lane.takeLoadedBytes()
    if (keyed !== undefined) this.#bytes += keyed.takeLoadedBytes()
  }

  /** Lets go of bytes of waiting pages beyond `WINDOW_BYTES`, last ones first. Not while a commit that stores them is under way. */
  trim(queues: Iterable<ReadyQueue>): void {
    if (this.#bytes <= WINDOW_BYTES) return
    let bytes = 0
    for (const queue of queues) {
      for (const lane of queue.lanes) {
        for (const { page } of lane.window) {
          if (page.bytes === undefined || page.pins > 0) continue
          // Half the bound, so that the next round is a while away.
          if (bytes + page.bytes.length > WINDOW_BYTES / 2) page.bytes = undefined
          else bytes += page.bytes.length
        }
      }
      bytes += queue.keyed?.unload() ?? 0
    }
    this.#bytes = bytes
  }
}
