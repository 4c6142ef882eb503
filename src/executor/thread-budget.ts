/**
 * Which threads may be given which work in one turn.
 *
 * Some threads may be reserved: they take jobs of high priority only. A heavy job counts as several threads while it runs: the one it
 * is in, and others that stay idle meanwhile, not reserved ones for a job of low priority. One that waits for threads gets them: those
 * that are soonest done with what they hold are given nothing more until there are enough.
 */
import { rankOf } from '../codec/keys.js'
import { type Dispatcher, isUsable } from '../dispatcher/dispatcher.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'
import type { Filled, Wanted } from '../scheduler/picker.js'

export interface Reserve {
  /** 0: none. */
  readonly threads: number
  readonly priority: number
}

/** Every priority, turned round. */
export const ANY_RANK = 255

const NO_SLOTS: ReadonlySet<ThreadSlot> = new Set()

export class ThreadBudget {
  readonly #dispatcher: Dispatcher
  readonly #reserved: ReadonlySet<ThreadSlot>
  readonly #reservedRank: number
  readonly #nowMs: number
  /** Threads that stay idle for heavy jobs: for all of them, and for those of low priority. */
  #lent = 0
  #lentLow = 0
  /** Usable slots that have work, or have been given some in this turn. Counted when a heavy job makes it matter. */
  #atWork: Set<ThreadSlot> | undefined
  readonly #taken: ThreadSlot[] = []
  #wanted: Wanted | undefined
  readonly #withheld = new Set<ThreadSlot>()

  /** @param heavy - batches of heavy jobs in flight */
  constructor(dispatcher: Dispatcher, reserve: Reserve, heavy: Iterable<Filled>, nowMs: number) {
    this.#dispatcher = dispatcher
    this.#reserved = reservedOf(dispatcher, reserve)
    this.#reservedRank = rankOf(reserve.priority)
    this.#nowMs = nowMs
    for (const filled of heavy) this.#lend(filled)
  }

  /** Slots among which work is shared out that any of them may take. */
  sharers(slots: readonly ThreadSlot[]): number {
    if (this.#reserved.size === 0) return slots.length
    return Math.max(1, slots.filter((slot) => !this.#isReserved(slot)).length)
  }

  /** The lowest priority that a slot takes, turned round. */
  lastRank(slot: ThreadSlot): number {
    return this.#isReserved(slot) ? this.#reservedRank : ANY_RANK
  }

  /** Threads that a job of a priority could count as in a slot, if it began now, and at most. */
  threadsFor(slot: ThreadSlot, rank: number): { readonly free: number; readonly all: number } {
    const { usableThreads } = this.#dispatcher
    const isLow = rank > this.#reservedRank
    const all = Math.max(1, isLow ? usableThreads - this.#reserved.size : usableThreads)
    return { all, free: this.#working.has(slot) ? 0 : isLow ? Math.min(this.#free, this.#freeLow) : this.#free }
  }

  /** A heavy job waits for threads, or none does any more. */
  gather(wanted: Wanted | undefined): void {
    if (wanted === this.#wanted) return
    this.#wanted = wanted
    this.#withheld.clear()
    if (wanted === undefined) return
    const isLow = wanted.rank > this.#reservedRank
    const pool = this.#dispatcher.slots.filter((slot) => isUsable(slot) && !(isLow && this.#isReserved(slot)))
    const { all } = this.threadsFor(pool[0] as ThreadSlot, wanted.rank)
    const mayGoOn = Math.max(0, all - (isLow ? this.#lentLow : this.#lent) - wanted.threads)
    const byEnd = pool.toSorted((left, right) => this.#endsIn(right) - this.#endsIn(left))
    for (const slot of byEnd.slice(mayGoOn)) this.#withheld.add(slot)
  }

  /** Whether the heavy job that waits can begin in a slot. */
  isEnough(slot: ThreadSlot): boolean {
    if (this.#wanted === undefined) return false
    const { rank, threads } = this.#wanted
    const { free, all } = this.threadsFor(slot, rank)
    // There may be fewer threads by now than it was to have.
    return rank <= this.lastRank(slot) && free >= Math.min(threads, all)
  }

  /** Whether a slot is to be given nothing, or nothing but the heavy job that waits. */
  holdsBack(slot: ThreadSlot): boolean {
    if (this.#withheld.has(slot)) return true
    if (this.#lent === 0 || this.#working.has(slot)) return false
    return this.#free < 1 || (!this.#isReserved(slot) && this.#freeLow < 1)
  }

  /** A slot was given a batch. */
  took(slot: ThreadSlot, filled: Filled): void {
    this.#taken.push(slot)
    this.#atWork?.add(slot)
    this.#lend(filled)
  }

  #isReserved(slot: ThreadSlot): boolean {
    return this.#reserved.has(slot)
  }

  #lend({ weight, slices }: Filled): void {
    this.#lent += weight - 1
    if ((slices[0]?.page.rank ?? 0) > this.#reservedRank) this.#lentLow += weight - 1
  }

  get #working(): Set<ThreadSlot> {
    return (this.#atWork ??= new Set([
      ...this.#dispatcher.slots.filter((slot) => !slot.isIdle && isUsable(slot)),
      ...this.#taken,
    ]))
  }

  get #free(): number {
    return this.#dispatcher.usableThreads - this.#working.size - this.#lent
  }

  /** The same among the threads that are not reserved. */
  get #freeLow(): number {
    let working = 0
    for (const slot of this.#working) if (!this.#isReserved(slot)) working++
    return this.#dispatcher.usableThreads - this.#reserved.size - working - this.#lentLow
  }

  /** When a slot will be idle, as far as is known. */
  #endsIn(slot: ThreadSlot): number {
    if (!this.#working.has(slot)) return -1
    return slot.isSlow(this.#nowMs) ? Infinity : slot.leftMs(this.#nowMs)
  }
}

/** The lowest priority that a slot takes, turned round. */
export function lastRankOf(dispatcher: Dispatcher, reserve: Reserve, slot: ThreadSlot): number {
  return reserve.threads > 0 && reservedOf(dispatcher, reserve).has(slot) ? rankOf(reserve.priority) : ANY_RANK
}

/**
 * So many of the threads that stay and hold nothing of low priority; one at least is left for everybody, so none where a single one takes
 * batches. After a change of their number more may be at work of low priority than are left for it: then none is given more of it until
 * enough of them have ended. Those that native code holds for good are of no use to anybody.
 */
function reservedOf({ slots, admission }: Dispatcher, { threads: wanted, priority }: Reserve): ReadonlySet<ThreadSlot> {
  if (wanted === 0 || admission === 'one') return NO_SLOTS
  const rank = rankOf(priority)
  const staying = slots.filter(isUsable)
  const count = Math.min(wanted, staying.length - 1)
  const others = staying.filter(({ batches }) => !batches.some((batch) => batch.hasWorkBelow(rank)))
  return new Set(others.length < count ? staying : others.slice(0, count))
}
