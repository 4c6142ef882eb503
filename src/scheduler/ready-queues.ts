/**
 * Which jobs run next. Holds every queue's lanes and picks batches: among queues the one that has had the least thread time, within a
 * queue by priority, to which waiting adds, within a priority among limit keys the one that has had the least thread time, and
 * otherwise in order.
 *
 * Jobs that run alone stand in a line of their own, `suspects`, and are picked by whoever sees to it that nothing runs beside them.
 *
 * A heavy job, which counts as several threads, is alone in its batch. When it is next and cannot begin, its queue waits: nothing of it
 * overtakes the job, so that it begins at last. `wanted` tells for how many threads it waits.
 *
 * Called only while a commit is being put together, so what it reads from the store is never behind what it holds in memory.
 */
import { QUEUE_TURN_MS } from '../base/limits.js'
import type { QueueState } from '../codec/queue-state.js'
import type { WriteBatch } from '../store/engine.js'
import type { PagePlace, PageRef, Slice } from '../store/page-ref.js'
import type { Room } from './draft.js'
import { Draft } from './draft.js'
import { KeyedLanes } from './keyed-lanes.js'
import { byLane, Lane } from './lane.js'
import { type ExpiredJob, type Filled, Picker, type PickerOptions, type Wanted } from './picker.js'
import { QueueRates } from './queue-rates.js'
import { RateBook } from './rate-book.js'
import { ReadyQueue, type ReadyQueueOptions } from './ready-queue.js'
import type { RunTimes } from './run-times.js'
import { returnedMs } from './returned-ms.js'
import { storedLanes } from './stored-lanes.js'
import { SuspectLine } from './suspect-line.js'
import { ThreadShares } from './thread-shares.js'
import { WindowBytes } from './window-bytes.js'

export type { Filled } from './picker.js'

/** A lane that had nothing to run, and now has. */
export interface Arrival {
  readonly queue: ReadyQueue
  readonly rank: number
  /** `Infinity`: nobody has counted them. */
  readonly jobs: number
}

export interface ReadyQueuesOptions extends PickerOptions {
  readonly runTimes: RunTimes
  readonly queues: ReadonlyMap<string, ReadyQueueOptions>
  /** What operators have set of queues, by queue, also of such as are not configured here. */
  readonly states: ReadonlyMap<number, QueueState>
  /** Told of each queue that holds jobs and is not configured here. */
  readonly onUnknownQueue: (queueId: number) => void
  /** Limit keys of a queue that are known in memory at a time. @defaultValue KEYS_KNOWN */
  readonly keysKnown?: number
}

export class ReadyQueues {
  /** Grows with everything that may let a job run that could not before: what was looked for in vain is worth another look. */
  changes = 0
  /** Jobs to be run alone. */
  readonly suspects: SuspectLine
  readonly #options: ReadyQueuesOptions
  readonly #queues = new Map<number, ReadyQueue>()
  readonly #picker: Picker
  #wokenAt = 0
  readonly #book: RateBook
  readonly #rates: QueueRates
  readonly #shares = new ThreadShares()
  #arrivals: Arrival[] = []
  readonly #windows = new WindowBytes()

  constructor(options: ReadyQueuesOptions) {
    this.#options = options
    this.#picker = new Picker(options)
    this.#book = new RateBook(options.store.engine)
    this.#rates = new QueueRates(this.#book)
    for (const [name, queueOptions] of options.queues) {
      const queue = new ReadyQueue(options.store.queueId(name), name, queueOptions)
      this.#queues.set(queue.id, queue)
      this.#rates.meet(queue)
    }
    this.suspects = new SuspectLine({ store: options.store, isPaused: (id) => this.#queues.get(id)?.isPaused === true })
    for (const [queueId, state] of options.states) this.setState(queueId, state)
    this.#findLanes()
  }

  queue(id: number): ReadyQueue | undefined {
    return this.#queues.get(id)
  }

  /** Whether threads hold work of a queue that they should not: it is paused, or more of them work for it than may. */
  holdsTooMany(queueId: number): boolean {
    return this.#queues.get(queueId)?.holdsTooMany === true
  }

  /** What an operator has set of a queue holds from the next pick on. Work of one that goes on is looked at as if it had just come. */
  setState(queueId: number, state: QueueState): void {
    const queue = this.#queues.get(queueId)
    if (queue === undefined) return
    const goesOn = queue.isPaused && !state.paused
    queue.setState(state)
    this.suspects.sort()
    this.threadsChanged()
    if (goesOn) for (const rank of queue.runnableRanks()) this.#arrivals.push({ queue, rank, jobs: Infinity })
  }

  /** Heavy jobs may wait for other threads than they did. */
  threadsChanged(): void {
    this.#picker.wanted = undefined
    this.changes++
  }

  /** Whether any job waits that could be claimed, also when it may not run now. */
  get hasWork(): boolean {
    for (const queue of this.#queues.values()) if (queue.hasWork) return true
    return false
  }

  /** Whether any job may run somewhere now, as far as limits and rates are concerned. */
  get hasRunnable(): boolean {
    for (const queue of this.#queues.values()) if (queue.hasRunnable) return true
    return false
  }

  /** Whether any queue has work that the slot may take, of such a priority or a higher one. */
  hasWorkFor(slot: number, lastRank: number): boolean {
    for (const queue of this.#queues.values()) if (queue.hasWorkFor(slot, lastRank)) return true
    return false
  }

  /** Epoch ms at which a rate lets the next job start of those that wait for it; `Infinity` when none does. */
  get freeAt(): number {
    let freeAt = this.suspects.freeAt
    for (const queue of this.#queues.values()) {
      if (queue.freeAt > 0 && queue.hasWork) freeAt = Math.min(freeAt, queue.freeAt)
      if (queue.keyed !== undefined && !queue.isPaused) freeAt = Math.min(freeAt, Math.max(queue.freeAt, queue.keyed.freeAt))
    }
    return freeAt
  }

  /** The heavy job that waits for threads, if one does. */
  get wanted(): Wanted | undefined {
    return this.#picker.wanted
  }

  /** Those whose rate lets them start again may be chosen again; when the clock was set back, all are judged anew. */
  wake(now: number): void {
    const until = now < this.#wokenAt ? Infinity : now
    this.#wokenAt = now
    if (this.suspects.freeAt <= until) this.suspects.sort()
    for (const queue of this.#queues.values()) if (queue.wake(until)) this.changes++
  }

  /** Adds a page that the commit under way stores. Jobs of a queue that is not configured here wait for one that is. */
  append(page: PageRef): void {
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return
    const lane = this.#lane(queue, page.rank, 0)
    const { rank } = page
    this.changes++
    queue.awaited = 0
    if (page.lane !== 0) {
      const keyed = this.#keyed(queue, false)
      if (keyed.append(page) && !lane.hasWork && !queue.isPaused) this.#arrivals.push({ queue, rank, jobs: page.header.count })
      this.#windows.add(keyed.takeLoadedBytes())
      return
    }
    if (!lane.hasWork && !queue.isPaused) this.#arrivals.push({ queue, rank, jobs: page.header.count })
    lane.append(page)
    this.#windows.add(lane.takeLoadedBytes())
  }

  /** A job that waits is over in this turn, elsewhere, or another one: what it held up is looked at again. */
  withdrawn(page: PageRef, index: number): void {
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return
    this.changes++
    queue.awaited = 0
    if (this.wanted?.seq === page.seqOf(index)) this.#picker.wanted = undefined
    queue.keyed?.withdrawn(page)
  }

  /** Puts jobs that were taken back unstarted where they came from. They do not count as started. */
  putBack(slices: readonly Slice[]): void {
    const inLanes = slices.filter(({ page }) => !page.isSuspect)
    if (inLanes.length < slices.length) for (const { page } of slices) if (page.isSuspect) this.#putBackSuspect(page)
    this.#putBack(inLanes, true)
  }

  #putBackSuspect(page: PageRef): void {
    this.suspects.comesBack(page)
    this.changes++
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return
    this.#rates.refund(queue, [{ page, from: 0, to: 1 }])
    if (page.lane !== 0) this.#keyed(queue, true).noteReturn(page)
  }

  /** The same for jobs that had begun, and are to begin again. */
  putBackBegun(slices: readonly Slice[]): void {
    this.#putBack(slices, false)
  }

  #putBack(slices: readonly Slice[], isUnstarted: boolean): void {
    const { store, runTimes } = this.#options
    for (const list of byLane(slices)) {
      const { page } = list[0] as Slice
      const queue = this.#queues.get(page.queueId)
      if (queue === undefined) continue
      this.changes++
      queue.awaited = 0
      const lane = this.#lane(queue, page.rank, 0)
      const returned = isUnstarted ? returnedMs(list, store, runTimes) : undefined
      if (page.lane === 0) {
        lane.putBack(list)
        queue.keyed?.othersReturned(returned)
      } else this.#keyed(queue, false).putBack(list, returned)
      if (returned === undefined) continue
      queue.returnedMs += returned
      this.#rates.refund(queue, list)
    }
  }

  /** Lanes to which work has come since the last call. */
  takeArrivals(): readonly Arrival[] {
    const arrivals = this.#arrivals
    this.#arrivals = []
    return arrivals
  }

  /** Jobs whose turn came too late, since the last call; few, and the others when it is called again. */
  takeExpired(): readonly ExpiredJob[] {
    return this.#picker.takeExpired()
  }

  /**
   * Chooses jobs for a thread slot, or undefined when nothing may run there. Queues take turns in the batch; with `only` it is that
   * queue's alone.
   */
  fill(slot: number, room: Room, only?: ReadyQueue): Filled | undefined {
    const draft: Filled = new Draft(this.#options.runTimes, room)
    this.#findKeys()
    if (only !== undefined) this.#picker.wanted = undefined
    const candidates =
      only === undefined ? this.#ready(slot, room) : [only].filter((queue) => queue.hasWorkFor(slot, room.lastRank))
    while (!draft.isFull) {
      const queue = candidates.shift()
      if (queue === undefined) break
      const before = { jobs: draft.jobs, estimateMs: draft.estimateMs, slices: draft.slices.length }
      const free = queue.startsFree(room.now)
      if (free === 0) continue
      draft.beginTurn(candidates.length === 0 ? Infinity : QUEUE_TURN_MS, free)
      if (this.#picker.take(queue, draft, slot)) this.changes++
      this.#windows.account(queue)
      if (draft.jobs === before.jobs) continue
      const taken = (draft.estimateMs - before.estimateMs) * draft.weight
      this.#shares.charge(queue, taken)
      draft.shares.set(queue, (draft.shares.get(queue) ?? 0) + taken)
      if (queue.rate !== undefined) this.#rates.count(queue, draft.slices.slice(before.slices), room.now)
      // It has ended its turn before its time: it has nothing more for this batch.
      if (!draft.turnIsOver || !queue.hasWorkFor(slot, room.lastRank)) continue
      const behind = candidates.findIndex(({ virtualMs }) => virtualMs > queue.virtualMs)
      candidates.splice(behind < 0 ? candidates.length : behind, 0, queue)
    }
    if (draft.jobs === 0) return undefined
    this.changes++
    for (const queue of draft.shares.keys()) {
      queue.hold(slot)
      queue.lent += draft.weight - 1
    }
    return draft
  }

  /** Queues of which the slot may take jobs, in the order of their turns. */
  #ready(slot: number, { lastRank }: Room): ReadyQueue[] {
    const ready: ReadyQueue[] = []
    for (const queue of this.#queues.values()) {
      const isReady = queue.hasWorkFor(slot, lastRank)
      this.#shares.look(queue, isReady, isReady || queue.hasWork)
      if (isReady) ready.push(queue)
    }
    return ready.sort((left, right) => left.virtualMs - right.virtualMs)
  }

  /** Jobs of a batch have left its slot: all, or all but those of the queues `left`. `usedMs`: thread time they took, by queue. */
  release(filled: Filled, slot: number, usedMs: ReadonlyMap<number, number>, left?: ReadonlySet<number>): void {
    for (const [queue, estimateMs] of filled.shares) {
      if (left?.has(queue.id) === true) continue
      filled.shares.delete(queue)
      queue.letGo(slot)
      queue.lent -= filled.weight - 1
      queue.awaited = 0
      queue.virtualMs += (usedMs.get(queue.id) ?? 0) * filled.weight - estimateMs
      this.changes++
    }
  }

  /** The same by limit key; of each the name that pages have, too. */
  releaseKeys(filled: Filled, slot: number, usedMs: ReadonlyMap<string, number>, left?: ReadonlySet<string>): void {
    for (const [key, estimateMs] of filled.keys) {
      if (left?.has(key.name) === true) continue
      filled.keys.delete(key)
      this.#queues.get(key.queueId)?.keyed?.release(key, slot, (usedMs.get(key.name) ?? 0) * filled.weight - estimateMs)
      this.changes++
    }
  }

  /** The slot's thread has been replaced, and goes on with the batch: `holder` has its jobs from now on. */
  leftBehind({ shares, keys }: Filled, slot: number, holder: number): void {
    for (const queue of shares.keys()) queue.passOn(keys.keys(), slot, holder)
  }

  /** Whether other slots could do any of a batch's jobs that its slot has not begun. */
  mayMove({ keys, slices }: Filled): boolean {
    const [key] = keys.keys()
    if (key === undefined || keys.size > 1 || slices.some(({ page }) => page.lane === 0)) return true
    return key.lanes.some(({ max }) => key.threads < max)
  }

  /** When a job that is not chosen here may begin, as far as rates are concerned: epoch ms, 0 for at once. */
  mayStartAt(page: PageRef, now: number): number {
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return 0
    const at = queue.mayStartAt(now)
    return page.lane === 0 ? at : Math.max(at, this.#keyed(queue, true).mayStartAt(page, now))
  }

  /** It begins, and counts as started like any other. */
  noteStart(page: PageRef, now: number): void {
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return
    const jobs = [{ page, from: 0, to: 1 }]
    this.#rates.count(queue, jobs, now)
    if (page.lane !== 0) this.#keyed(queue, true).noteStarts(jobs, now)
  }

  /** Adds what was started, and what came back unstarted, to the commit under way. */
  writeRates(writes: WriteBatch, now: number): void {
    this.#book.write(writes, now)
  }

  /** The commit under way has become durable: its pages can be read, and bytes beyond the bound let go of. */
  committed(): void {
    this.changes++
    for (const { lanes, keyed } of this.#queues.values()) {
      for (const lane of lanes) lane.committed()
      keyed?.committed()
    }
    this.#book.committed()
    this.#windows.trim(this.#queues.values())
  }

  /** The page with the given place, if it is in a window. */
  findPage(place: PagePlace): PageRef | undefined {
    const { queueId, rank, ord, sub } = place
    const queue = this.#queues.get(queueId)
    if (place.lane !== 0) return queue?.keyed?.findPage(place)
    const lane = queue?.lanes.find((candidate) => candidate.rank === rank)
    return lane?.window.find(({ page }) => page.ord === ord && page.sub === sub)?.page
  }

  /** From when the first of a queue's jobs that no thread has been handed could run, in epoch ms; undefined when there is none. */
  readyAt(queueId: number): number | undefined {
    return this.#queues.get(queueId)?.readyAt
  }

  /** Looks for some limit keys that have jobs in the store. */
  #findKeys(): void {
    for (const { keyed } of this.#queues.values()) if (keyed?.find() === true) this.changes++
  }

  /** The earliest place in the order of every lane is where its window begins; finds the lanes that have stored pages. */
  #findLanes(): void {
    const { store } = this.#options
    const told = new Set<number>()
    for (const { queueId, rank } of storedLanes(store)) {
      const queue = this.#queues.get(queueId)
      if (queue === undefined) {
        if (!told.has(queueId)) this.#options.onUnknownQueue(queueId)
        told.add(queueId)
      } else if (rank === undefined) this.#keyed(queue, true)
      else this.#lane(queue, rank, store.lastOrd(queueId, rank))
    }
  }

  /** The lanes of a queue's limit keys. */
  #keyed(queue: ReadyQueue, isStored: boolean): KeyedLanes {
    if (queue.keyed !== undefined) return queue.keyed
    const { store, keysKnown } = this.#options
    const onRank = (rank: number): unknown => this.#lane(queue, rank, 0)
    return (queue.keyed = new KeyedLanes({ store, book: this.#book, queueId: queue.id, isStored, onRank, known: keysKnown }))
  }

  #lane(queue: ReadyQueue, rank: number, lastOrd: number): Lane {
    const known = queue.lanes.find((lane) => lane.rank === rank)
    if (known !== undefined) return known
    const lane = new Lane(this.#options.store, queue.id, rank, lastOrd)
    queue.lanes.push(lane)
    queue.lanes.sort((left, right) => left.rank - right.rank)
    return lane
  }
}
