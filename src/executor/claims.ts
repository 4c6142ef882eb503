/**
 * The claiming part of a turn: fills thread slots with batches, and keeps account of them until they are settled.
 *
 * After a crash with several jobs in flight, each of them is a suspect and runs alone: nothing else is in flight while it does,
 * so that a process that dies again has named the job that killed it.
 */
import type { Clock } from '../base/clock.js'
import { BATCHES_PER_THREAD, MAKE_ROOM_MS, UNMEASURED_MS } from '../base/limits.js'
import { PAGE_HEADER_BYTES } from '../codec/page.js'
import type { Batch } from '../dispatcher/batch.js'
import type { Collected, Dispatcher } from '../dispatcher/dispatcher.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'
import type { Room } from '../scheduler/draft.js'
import { gatherMs } from '../dispatcher/pace.js'
import type { Arrival, Filled, ReadyQueues } from '../scheduler/ready-queues.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { EventHub } from './events.js'
import { pack } from './parcel.js'
import type { Registry } from './registry.js'
import { ANY_RANK, lastRankOf, type Reserve, ThreadBudget } from './thread-budget.js'

export interface ClaimsOptions {
  readonly clock: Clock
  readonly store: JobStore
  readonly ready: ReadyQueues
  readonly dispatcher: Dispatcher
  readonly registry: Registry
  readonly events: EventHub
  readonly payloadBytes: number
  readonly reserve: Reserve
}

interface Held {
  readonly batch: Batch
  readonly slot: ThreadSlot
  /** A suspect, which nothing may run beside. */
  readonly alone: boolean
  /** Undefined for a suspect. */
  readonly filled: Filled | undefined
  /** What its jobs count as for limits: the slot, or a number of its own when native code goes on with it in a thread that was replaced. */
  holder: number
}

export class Claims {
  readonly #options: ClaimsOptions
  readonly #held = new Map<number, Held>()
  /** Slots for which nothing was found, by index, with what `ready.changes` was then. */
  readonly #inVain = new Map<number, number>()

  constructor(options: ClaimsOptions) {
    this.#options = options
  }

  /** Whether any job waits that could run here, also when it may not run now. */
  get hasWork(): boolean {
    const { ready } = this.#options
    return ready.suspects.hasWork || ready.hasWork
  }

  /** Whether any job waits that may run now. */
  get isBusy(): boolean {
    const { ready } = this.#options
    return ready.suspects.isWaiting || ready.hasRunnable
  }

  /** Whether a thread is about to run out of work, and another turn could claim some for it. */
  get canMake(): boolean {
    const { dispatcher, ready } = this.#options
    if (this.#suspectRuns) return false
    const nowMs = this.#nowMs
    if (ready.suspects.isWaiting) return dispatcher.isIdle && dispatcher.capacity(nowMs).length > 0
    if (!ready.hasRunnable) return false
    return dispatcher
      .capacity(nowMs)
      .some((slot) => slot.leftMs(nowMs) <= dispatcher.pace.lowMs(slot.jobMs) && this.#mayTake(slot))
  }

  /**
   * How long what threads have to tell may wait, in ms: until one is about to run out of work, and not for long. 0 when no more
   * work waits than the threads hold, so that whoever waits for an outcome is told at once. `Infinity` when no thread works.
   */
  slackMs(lastTurnMs: number): number {
    const { dispatcher, ready } = this.#options
    if (ready.suspects.isWaiting || this.#suspectRuns || !ready.hasRunnable) return 0
    const nowMs = this.#nowMs
    let slackMs = Infinity
    for (const slot of dispatcher.slots) {
      if (slot.mode !== 'open') continue
      if (slot.hasReturned(nowMs)) return 0
      if (slot.isIdle) {
        if (this.#mayTake(slot)) return 0
        continue
      }
      slackMs = Math.min(slackMs, lastTurnMs + gatherMs(slot.jobMs) - nowMs)
      if (!slot.isSlow(nowMs)) slackMs = Math.min(slackMs, slot.leftMs(nowMs) - dispatcher.pace.lowMs(slot.jobMs))
    }
    return Math.max(0, slackMs)
  }

  /** Claims what the threads can take. Returns what sends the batches, once the claims are durable. */
  make(writes: WriteBatch, now: number): (() => void)[] {
    const { dispatcher, ready } = this.#options
    // What calls of this turn have withdrawn, or a lack of memory.
    for (const held of this.#held.values()) {
      if (held.batch.hasLostJobs) this.reconsider(held.batch, writes)
      if (isLeftBehind(held)) this.#leaveBehind(held)
    }
    ready.wake(now)
    if (this.#suspectRuns) return []
    if (ready.suspects.isWaiting) return this.#makeAlone(writes, now)
    const nowMs = this.#nowMs
    for (const arrival of ready.takeArrivals()) this.#makeRoom(arrival, writes, nowMs)
    const sends: (() => void)[] = []
    const taken = new Map<ThreadSlot, Filled>()
    const budget = this.#budget(nowMs)
    this.#fill(taken, budget, sends, writes, now, nowMs)
    const idle = dispatcher
      .capacity(nowMs)
      .filter((slot) => slot.isIdle && !taken.has(slot) && !budget.holdsBack(slot) && budget.lastRank(slot) === ANY_RANK)
    if (idle.length > 0 && idle.length < dispatcher.slots.length && !ready.hasRunnable) {
      const shared = dispatcher.share(idle.length, (batch) => this.#mayMove(batch))
      if (shared.length > 0) {
        this.#takenBack(shared, writes)
        this.#fill(taken, budget, sends, writes, now, nowMs)
      }
    }
    return sends
  }

  /** A batch has lost jobs or ended: frees what it no longer needs. */
  reconsider(batch: Batch, writes: WriteBatch): void {
    const held = this.#held.get(batch.id)
    if (held === undefined) return
    batch.hasLostJobs = false
    const { dispatcher, ready, store } = this.#options
    // A queue counts as at work in a thread only while one of its jobs is there: it may have a bound, and others of them wait.
    const { filled, holder } = held
    if (filled !== undefined && filled.shares.size > 0) {
      const isOver = batch.end !== undefined
      if (filled.keys.size > 0) {
        ready.releaseKeys(filled, holder, batch.usedByKeyMs, isOver ? undefined : batch.keysLeft())
      }
      ready.release(filled, holder, batch.usedMs, isOver ? undefined : batch.queuesLeft())
    }
    if (batch.end === undefined) return
    this.#held.delete(batch.id)
    store.removeClaim(writes, batch.id)
    for (const { page } of batch.slices) page.pins--
    dispatcher.settled(batch)
  }

  /** The thread that works in the place of its own may have no more of the same queues and limit keys than any other. */
  #leaveBehind(held: Held): void {
    const { batch, filled, slot } = held
    if (filled === undefined || held.holder !== slot.index) return
    held.holder = -1 - batch.id
    this.#options.ready.leftBehind(filled, slot.index, held.holder)
  }

  /** Takes back what no thread has begun of a queue, and what would be run behind it in the same thread. */
  takeBackQueue(queueId: number, writes: WriteBatch): void {
    for (const slot of this.#options.dispatcher.slots)
      if (slot.batches.some((batch) => batch.hasUntakenOf(queueId))) this.#takeBackSlot(slot, writes)
  }

  /**
   * There are more threads, or fewer: what the `surplus` ones have not begun is for others. Where some are reserved, what no thread has begun is
   * shared out anew, because it may lie behind what others are left for by now.
   */
  threadsChanged(surplus: readonly ThreadSlot[], writes: WriteBatch): void {
    const { dispatcher, reserve } = this.#options
    for (const slot of reserve.threads > 0 ? dispatcher.slots : surplus) this.#takeBackSlot(slot, writes)
  }

  /** Takes back everything that a thread has not begun. */
  #takeBackSlot(slot: ThreadSlot, writes: WriteBatch): void {
    this.#takenBack(this.#options.dispatcher.takeBack(slot), writes)
  }

  /** Also the last suspect runs alone. One that native code holds beyond its end is waited for no longer. */
  get #suspectRuns(): boolean {
    for (const { alone, batch, slot } of this.#held.values())
      if (alone && !slot.isStuck && slot.batches.includes(batch)) return true
    return false
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  /** Takes back work that has not been started where the newcomers come first and would have to wait behind it. */
  #makeRoom({ queue, rank, jobs }: Arrival, writes: WriteBatch, nowMs: number): void {
    const { dispatcher } = this.#options
    const budget = this.#budget(nowMs)
    const open = dispatcher.slots.filter(
      (slot) => slot.mode === 'open' && queue.admits(slot.index) && rank <= budget.lastRank(slot),
    )
    // A queue that is at work already waits for its turn; but its own jobs of less priority wait for these.
    const comesFirst = queue.held.size === 0
    const holders = open.filter((slot) => slot.leftMs(nowMs) > MAKE_ROOM_MS && (comesFirst || holdsLess(slot, queue.id, rank)))
    if (comesFirst && holders.length < open.length) return
    holders.sort((left, right) => right.leftMs(nowMs) - left.leftMs(nowMs))
    for (const slot of holders.slice(0, jobs)) this.#takeBackSlot(slot, writes)
  }

  #takenBack(collected: readonly Collected[], writes: WriteBatch): void {
    // Before anything is let go of: see `Turns`.
    this.#options.ready.putBack(collected.flatMap(({ returned }) => returned))
    for (const { batch } of collected) this.reconsider(batch, writes)
  }

  /** Fills every thread to the same height, or as far as what waits would reach if it were shared out. */
  #fill(
    taken: Map<ThreadSlot, Filled>,
    budget: ThreadBudget,
    sends: (() => void)[],
    writes: WriteBatch,
    now: number,
    nowMs: number,
  ): void {
    const { dispatcher, ready, store } = this.#options
    if (!ready.hasRunnable) return
    const { pace } = dispatcher
    const slots = dispatcher.capacity(nowMs)
    const sharers = budget.sharers(slots)
    const heldMs = new Map(slots.map((slot) => [slot, slot.leftMs(nowMs) + (taken.get(slot)?.estimateMs ?? 0)]))
    const allHeldMs = sum(heldMs.values())
    const readyJobs = Math.max(1, store.counters.waiting - dispatcher.claimedJobs)
    for (let round = 0; round < BATCHES_PER_THREAD; round++) {
      for (const slot of slots) {
        const held = heldMs.get(slot) ?? 0
        if (round > 0 && slot.batchesWithWork + (taken.has(slot) ? 1 : 0) >= BATCHES_PER_THREAD) continue
        if (held > 0 && !pace.wantsMore(held, slot.jobMs)) continue
        const jobs = dispatcher.jobsLeft(slot)
        if (jobs <= 0) continue
        const before = ready.changes
        budget.gather(ready.wanted)
        const heavy = budget.isEnough(slot) ? ready.wanted?.queue : undefined
        const room: Room = {
          now,
          lastRank: budget.lastRank(slot),
          threadsFor: (rank) => budget.threadsFor(slot, rank),
          jobs,
          slots: slots.length,
          budgetMs: (each) => Math.min(pace.horizonMs(each), (readyJobs * each + allHeldMs) / sharers) - held,
        }
        const isHeldBack = heavy === undefined && budget.holdsBack(slot)
        const filled = isHeldBack ? undefined : ready.fill(slot.index, room, heavy)
        if (filled === undefined) {
          this.#inVain.set(slot.index, before)
          continue
        }
        budget.took(slot, filled)
        taken.set(slot, filled)
        heldMs.set(slot, held + filled.estimateMs)
        sends.push(this.#claim(filled.slices, filled.estimateMs, slot, filled, writes, now, false))
      }
    }
  }

  #budget(nowMs: number): ThreadBudget {
    const { dispatcher, reserve } = this.#options
    return new ThreadBudget(dispatcher, reserve, this.#heavyBatches(), nowMs)
  }

  /** Batches of heavy jobs that their threads are still at. */
  *#heavyBatches(): Generator<Filled> {
    for (const { filled, batch, slot } of this.#held.values())
      if (filled !== undefined && filled.weight > 1 && batch.hasWork && slot.batches.includes(batch)) yield filled
  }

  /** Whether a slot may find work. Not if it has just found none, and nothing has changed. */
  #mayTake(slot: ThreadSlot): boolean {
    const { ready, dispatcher, reserve } = this.#options
    if (this.#inVain.get(slot.index) === ready.changes) return false
    return ready.hasWorkFor(slot.index, lastRankOf(dispatcher, reserve, slot))
  }

  #mayMove(batch: Batch): boolean {
    const filled = this.#held.get(batch.id)?.filled
    return filled === undefined || this.#options.ready.mayMove(filled)
  }

  #makeAlone(writes: WriteBatch, now: number): (() => void)[] {
    const { dispatcher, store, ready, registry } = this.#options
    if (!dispatcher.isIdle) return []
    const [slot] = dispatcher.capacity(this.#nowMs)
    if (slot === undefined) return []
    // A definition that is not here: the job waits for whoever can run it.
    const canRun = (page: PageRef): boolean => registry.canRun(store.bytesOf(page).readUInt16LE(PAGE_HEADER_BYTES + 4))
    const page = ready.suspects.next(now, (waiting) => ready.mayStartAt(waiting, now), canRun)
    if (page === undefined) return []
    ready.noteStart(page, now)
    return [this.#claim([wholePage(page)], UNMEASURED_MS, slot, undefined, writes, now, true)]
  }

  #claim(
    slices: readonly Slice[],
    estimateMs: number,
    slot: ThreadSlot,
    filled: Filled | undefined,
    writes: WriteBatch,
    now: number,
    alone: boolean,
  ): () => void {
    const { dispatcher, store, registry, events, payloadBytes } = this.#options
    const batch = dispatcher.prepare(store.counters.nextBatch++, slices, estimateMs, slot)
    for (const { page } of slices) page.pins++
    this.#held.set(batch.id, { batch, slot, alone, filled, holder: slot.index })
    store.putClaim(writes, {
      batchId: batch.id,
      claimedAt: now,
      alone,
      slices: slices.map(({ page, from, to }) => ({ key: page.key, from, to })),
    })
    return () => dispatcher.send(batch, pack(batch, events.has('started'), { store, registry, payloadBytes }))
  }
}

/** Native code holds its thread, and another one works in the place of that. */
function isLeftBehind({ batch, slot }: Held): boolean {
  return batch.end === undefined && batch.sentAt > 0 && !slot.batches.includes(batch)
}

function wholePage(page: PageRef): Slice {
  return { page, from: 0, to: page.header.count, offset: PAGE_HEADER_BYTES }
}

/** Whether a slot holds unstarted jobs of the queue with less priority. */
function holdsLess(slot: ThreadSlot, queueId: number, rank: number): boolean {
  return slot.batches.some(
    (batch) => batch.hasUntaken && batch.slices.some(({ page }) => page.queueId === queueId && page.rank > rank),
  )
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
