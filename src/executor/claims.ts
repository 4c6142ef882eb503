/**
 * The claiming part of a turn: fills thread slots with batches, and keeps account of them until they are settled.
 *
 * After a crash with several jobs in flight, each of them is a suspect and runs alone: nothing else is in flight while it does,
 * so that a process that dies again has named the job that killed it.
 */
import { BATCHES_PER_THREAD } from '../base/limits.js'
import { PAGE_HEADER_BYTES } from '../codec/page.js'
import type { Batch } from '../dispatcher/batch.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'
import type { Pick, ReadyQueues } from '../scheduler/ready-queues.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import type { Suspect } from '../store/suspects.js'
import { readSuspects } from '../store/suspects.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { EventHub } from './events.js'
import { pack } from './parcel.js'
import type { Registry } from './registry.js'

export interface ClaimsOptions {
  readonly store: JobStore
  readonly ready: ReadyQueues
  readonly dispatcher: Dispatcher
  readonly registry: Registry
  readonly events: EventHub
  readonly payloadBytes: number
}

interface Held {
  readonly batch: Batch
  readonly slot: ThreadSlot
  /** A suspect, which nothing may run beside. */
  readonly alone: boolean
  /** Undefined for a suspect, and once its queue has been told that the batch is over. */
  pick: Pick | undefined
}

export class Claims {
  readonly #options: ClaimsOptions
  readonly #held = new Map<number, Held>()
  /** Jobs to be run alone, oldest first. */
  readonly #suspects: Suspect[] = []

  constructor(options: ClaimsOptions) {
    this.#options = options
    const { store } = options
    let after = -1
    for (;;) {
      const found = readSuspects(store.engine, after, 1000)
      this.#suspects.push(...found)
      const last = found.at(-1)
      if (last === undefined || found.length < 1000) return
      after = last.seq
    }
  }

  /** Jobs that are waiting to be run alone. */
  get suspects(): number {
    return this.#suspects.length
  }

  /** Whether any job waits that could run here. */
  get hasWork(): boolean {
    return this.#suspects.length > 0 || this.#options.ready.hasWork
  }

  /** Whether another turn could claim something now. */
  get canMake(): boolean {
    const { dispatcher, ready } = this.#options
    if (this.#suspectRuns) return false
    if (this.#suspects.length > 0) return dispatcher.isIdle && dispatcher.capacity().length > 0
    return ready.hasWork && this.#mayPick()
  }

  /** Claims what the threads can take. Returns what sends the batches, once the claims are durable. */
  make(writes: WriteBatch, now: number): (() => void)[] {
    const { dispatcher, ready } = this.#options
    if (this.#suspectRuns) return []
    if (this.#suspects.length > 0) return this.#makeAlone(writes, now)
    const sends: (() => void)[] = []
    const taken = new Map<ThreadSlot, number>()
    this.#fill(taken, sends, writes, now)
    const idle = dispatcher.capacity().filter((slot) => slot.batches.length === 0 && !taken.has(slot))
    if (idle.length > 0 && idle.length < dispatcher.slots.length && !ready.hasWork) {
      const shared = dispatcher.share(idle.length)
      if (shared.length > 0) {
        ready.putBack(shared.flatMap(({ returned }) => returned))
        for (const { batch } of shared) this.reconsider(batch, writes)
        this.#fill(taken, sends, writes, now)
      }
    }
    return sends
  }

  /** A batch has lost jobs or ended: frees what it no longer needs. */
  reconsider(batch: Batch, writes: WriteBatch): void {
    const held = this.#held.get(batch.id)
    if (held === undefined) return
    const { dispatcher, ready, store } = this.#options
    // Emptied before it began: its queue must not count it as a thread at work.
    if (held.pick !== undefined && (batch.end !== undefined || batch.limit === 0)) {
      ready.release(held.pick, held.slot.index, batch.usedMs)
      held.pick = undefined
    }
    if (batch.end === undefined) return
    this.#held.delete(batch.id)
    store.removeClaim(writes, batch.id)
    for (const { page } of batch.slices) page.pins--
    dispatcher.settled(batch)
  }

  /** Also the last suspect runs alone. One that native code holds beyond its end is waited for no longer. */
  get #suspectRuns(): boolean {
    for (const { alone, batch, slot } of this.#held.values()) if (alone && slot.batches.includes(batch)) return true
    return false
  }

  #mayPick(): boolean {
    const { dispatcher, ready } = this.#options
    const slots = dispatcher.capacity()
    if (slots.length === 0) return false
    for (const queue of ready.queues) if (queue.hasWork && slots.some((slot) => queue.admits(slot.index))) return true
    return false
  }

  /** Gives every slot a batch, then every slot one in reserve. */
  #fill(taken: Map<ThreadSlot, number>, sends: (() => void)[], writes: WriteBatch, now: number): void {
    const { dispatcher, ready } = this.#options
    const slots = dispatcher.capacity()
    for (let depth = 0; depth < BATCHES_PER_THREAD; depth++) {
      for (const slot of slots) {
        const holds = slot.batches.length + (taken.get(slot) ?? 0)
        if (holds !== depth) continue
        const pick = ready.pick(slot.index, slots.length)
        if (pick === undefined) continue
        taken.set(slot, (taken.get(slot) ?? 0) + 1)
        sends.push(this.#claim(pick.slices, slot, pick, pick.queue.name, writes, now, false))
      }
    }
  }

  #makeAlone(writes: WriteBatch, now: number): (() => void)[] {
    const { dispatcher, store, registry } = this.#options
    if (!dispatcher.isIdle) return []
    const [slot] = dispatcher.capacity()
    if (slot === undefined) return []
    for (;;) {
      const suspect = this.#suspects.shift()
      if (suspect === undefined) return []
      const page = store.readPage(suspect.key)
      // Cancelled meanwhile, or of a definition that is not here: it stays what it is, for whoever can run it.
      if (page === undefined || page.isOver || !registry.canRun(store.bytesOf(page).readUInt16LE(PAGE_HEADER_BYTES + 4))) continue
      return [this.#claim([wholePage(page)], slot, undefined, store.queueName(page.queueId), writes, now, true)]
    }
  }

  #claim(
    slices: readonly Slice[],
    slot: ThreadSlot,
    pick: Pick | undefined,
    queueName: string,
    writes: WriteBatch,
    now: number,
    alone: boolean,
  ): () => void {
    const { dispatcher, store, registry, events, payloadBytes } = this.#options
    const batch = dispatcher.prepare(store.counters.nextBatch++, slices, slot)
    for (const { page } of slices) page.pins++
    this.#held.set(batch.id, { batch, slot, alone, pick })
    store.putClaim(writes, {
      batchId: batch.id,
      claimedAt: now,
      alone,
      slices: slices.map(({ page, from, to }) => ({ key: page.key, from, to })),
    })
    return () => dispatcher.send(batch, pack(batch, queueName, events.has('started'), { store, registry, payloadBytes }))
  }
}

function wholePage(page: PageRef): Slice {
  return { page, from: 0, to: page.header.count, offset: PAGE_HEADER_BYTES }
}
