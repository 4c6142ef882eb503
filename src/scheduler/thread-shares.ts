/**
 * Who comes first among those that share threads, by start-time fair queueing (Goyal, Vin and Cheng, 1996): whoever has had the least
 * thread time. Queues share an executor's threads, limit keys those of their queue.
 *
 * Whoever was idle starts level with the others: it has not saved up a claim on all threads. But work that was handed out and came back
 * unstarted has waited all the while, behind jobs that take long or end their thread, and whoever that happens to again and again would
 * lose its place each time. So much thread time as has come back is what it may be ahead by.
 *
 * Whoever has work all the time keeps what it is owed, also when less was used than it was charged with beforehand; but no more than a few
 * of its turns. Who came meanwhile started level with what had been charged, not with what was used in the end. And who has only jobs
 * of low priority while others have the threads for theirs would hold up everybody else afterwards, for as long as those took.
 */

/** What may be owed beside what came back, in turns of the sharer. */
const TURNS_OWED = 4

/** One of those that share. */
export interface Sharer {
  /** Thread time it has had, in ms, on a scale that all of them share. */
  virtualMs: number
  /** Whether it had work that may run, when that was last looked at. */
  isReady: boolean
  /** Estimated thread time of what has come back unstarted and was not charged again, in ms. */
  returnedMs: number
}

export class ThreadShares {
  /** Where the last one stood that was chosen. */
  #virtualNow = 0

  /** Whether the sharer has work that may run, now that somebody chooses; and any at all. */
  look(sharer: Sharer, isReady: boolean, hasWork: boolean): void {
    // What came back and was taken away since.
    if (!hasWork) sharer.returnedMs = 0
    if (isReady && !sharer.isReady) sharer.virtualMs = Math.max(sharer.virtualMs, this.#virtualNow - sharer.returnedMs)
    sharer.isReady = isReady
  }

  /** Somebody was chosen, for so much thread time. */
  charge(sharer: Sharer, ms: number): void {
    this.#virtualNow = Math.max(this.#virtualNow, sharer.virtualMs)
    const least = this.#virtualNow - sharer.returnedMs - TURNS_OWED * ms
    sharer.virtualMs = Math.max(sharer.virtualMs, least) + ms
    sharer.returnedMs = Math.max(0, sharer.returnedMs - ms)
  }
}
