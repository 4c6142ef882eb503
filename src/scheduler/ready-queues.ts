/**
 * Which jobs run next. Holds every queue's lanes and picks batches: among queues the one that has had the least thread time,
 * within a queue by priority, within a priority in order.
 *
 * Called only while a commit is being put together, so what it reads from the store is never behind what it holds in memory.
 */
import { EXPIRE_JOBS, QUEUE_TURN_MS, WINDOW_BYTES } from '../base/limits.js'
import { ENTRY_EXTERNAL, entryEnd, externalBytes } from '../codec/page.js'
import type { QueueState } from '../codec/queue-state.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { Room } from './draft.js'
import { Draft } from './draft.js'
import { Lane } from './lane.js'
import type { RunTimes } from './run-times.js'

/** Pages without a job that can run which one pick passes over; the next pick goes on behind them. */
const FRUITLESS_SLICES = 256

/** A queue of the executor. */
export class ReadyQueue {
  readonly id: number
  readonly name: string
  /** How many threads may work for it at once, as the executor's options say. */
  readonly configured: number
  /** The same as it holds: an operator's word comes before the option's. */
  concurrency: number
  /** None of its jobs is claimed. */
  isPaused = false
  /** By rank: the highest priority first. */
  readonly lanes: Lane[] = []
  /** Batches that each thread slot holds of this queue. */
  readonly held = new Map<number, number>()
  /** Thread time it has had, in ms, on a scale that all queues share. */
  virtualMs = 0

  constructor(id: number, name: string, concurrency: number) {
    this.id = id
    this.name = name
    this.configured = concurrency
    this.concurrency = concurrency
  }

  /** Whether a job may wait that can be claimed. */
  get hasWork(): boolean {
    return !this.isPaused && this.lanes.some((lane) => lane.hasWork)
  }

  /**
   * Whether a slot may take a batch: it works for the queue already, or one more may. While more work for it than may, none does: the
   * bound was lowered.
   */
  admits(slot: number): boolean {
    return this.held.size < this.concurrency || (this.held.size === this.concurrency && this.held.has(slot))
  }
}

/** Jobs chosen for one thread. */
export type Filled = Draft<ReadyQueue>

/** A job that had to begin before now: it has left its lane, and is to be ended. */
export interface ExpiredJob {
  readonly page: PageRef
  readonly index: number
  readonly offset: number
}

/** A lane that had nothing to run, and now has. */
export interface Arrival {
  readonly queue: ReadyQueue
  readonly rank: number
  /** `Infinity`: nobody has counted them. */
  readonly jobs: number
}

export interface ReadyQueuesOptions {
  readonly store: JobStore
  readonly runTimes: RunTimes
  /** Names and how many threads each may use; `Infinity` for no bound. */
  readonly queues: ReadonlyMap<string, { readonly concurrency: number }>
  /** What operators have set of queues, by queue, also of such as are not configured here. */
  readonly states: ReadonlyMap<number, QueueState>
  /** Whether a definition is registered here. */
  readonly canRun: (definitionId: number) => boolean
  /** Whether any definition says by when its jobs must begin. A job may say so too, beside its entry. */
  readonly definitionsExpire: boolean
  /** Whether a job had to begin before now. */
  readonly hasExpired: (page: PageRef, offset: number, definitionId: number) => boolean
  /** Told of each queue that holds jobs and is not configured here. */
  readonly onUnknownQueue: (queueId: number) => void
  /** Told once of each definition whose jobs are passed over. */
  readonly onUnknown: (definitionId: number) => void
}

export class ReadyQueues {
  readonly #options: ReadyQueuesOptions
  readonly #queues = new Map<number, ReadyQueue>()
  readonly #unknown = new Set<number>()
  /** The lowest `virtualMs` among queues with work, as of the last pick. */
  #virtualNow = 0
  #arrivals: Arrival[] = []
  #expired: ExpiredJob[] = []
  /** Upper bound of the bytes in all windows: counted up as pages come in, counted anew by `#trimWindow`. */
  #windowBytes = 0

  constructor(options: ReadyQueuesOptions) {
    this.#options = options
    for (const [name, { concurrency }] of options.queues) {
      const queue = new ReadyQueue(options.store.queueId(name), name, concurrency)
      this.#queues.set(queue.id, queue)
    }
    for (const [queueId, state] of options.states) this.setState(queueId, state)
    this.#findLanes()
  }

  queue(id: number): ReadyQueue | undefined {
    return this.#queues.get(id)
  }

  /** Whether threads hold work of a queue that they should not: it is paused, or more of them work for it than may. */
  holdsTooMany(queueId: number): boolean {
    const queue = this.#queues.get(queueId)
    return queue !== undefined && (queue.isPaused || queue.held.size > queue.concurrency)
  }

  /** What an operator has set of a queue holds from the next pick on. Work of one that goes on is looked at as if it had just come. */
  setState(queueId: number, { paused, concurrency }: QueueState): void {
    const queue = this.#queues.get(queueId)
    if (queue === undefined) return
    const goesOn = queue.isPaused && !paused
    queue.isPaused = paused
    queue.concurrency = concurrency ?? queue.configured
    if (!goesOn) return
    for (const { rank, hasWork } of queue.lanes) if (hasWork) this.#arrivals.push({ queue, rank, jobs: Infinity })
  }

  get hasWork(): boolean {
    for (const queue of this.#queues.values()) if (queue.hasWork) return true
    return false
  }

  /** Whether any queue has work that the slot may take. */
  hasWorkFor(slot: number): boolean {
    for (const queue of this.#queues.values()) if (queue.hasWork && queue.admits(slot)) return true
    return false
  }

  /** Adds a page that the commit under way stores. Jobs of a queue that is not configured here wait for one that is. */
  append(page: PageRef): void {
    const queue = this.#queues.get(page.queueId)
    if (queue === undefined) return
    const lane = this.#lane(queue, page.rank, 0)
    if (!lane.hasWork && !queue.isPaused) this.#arrivals.push({ queue, rank: page.rank, jobs: page.header.count })
    lane.append(page)
    this.#windowBytes += lane.takeLoadedBytes()
  }

  /** Puts jobs of one batch back where they came from. */
  putBack(slices: readonly Slice[]): void {
    const byLane = new Map<Lane, Slice[]>()
    for (const slice of slices) {
      const queue = this.#queues.get(slice.page.queueId)
      if (queue === undefined) continue
      const lane = this.#lane(queue, slice.page.rank, 0)
      const list = byLane.get(lane)
      if (list === undefined) byLane.set(lane, [slice])
      else list.push(slice)
    }
    for (const [lane, list] of byLane) lane.putBack(list)
  }

  /** Lanes to which work has come since the last call. */
  takeArrivals(): readonly Arrival[] {
    const arrivals = this.#arrivals
    this.#arrivals = []
    return arrivals
  }

  /** Jobs whose turn came too late, since the last call; few, and the others when it is called again. */
  takeExpired(): readonly ExpiredJob[] {
    if (this.#expired.length === 0) return this.#expired
    const expired = this.#expired
    this.#expired = []
    return expired
  }

  /** Chooses jobs for a thread slot, or undefined when nothing may run there. Queues take turns in the batch. */
  fill(slot: number, room: Room): Filled | undefined {
    const draft: Filled = new Draft(this.#options.runTimes, room)
    const candidates = [...this.#queues.values()].filter((queue) => queue.hasWork && queue.admits(slot))
    if (candidates.length > 1) candidates.sort((left, right) => left.virtualMs - right.virtualMs)
    while (!draft.isFull) {
      const queue = candidates.shift()
      if (queue === undefined) break
      const before = draft.estimateMs
      draft.beginTurn(candidates.length === 0 ? Infinity : QUEUE_TURN_MS)
      this.#take(queue, draft)
      const taken = draft.estimateMs - before
      if (taken === 0) continue
      // A queue that was idle starts level with the others; it has not saved up a claim on all threads.
      this.#virtualNow = Math.max(queue.virtualMs, this.#virtualNow)
      queue.virtualMs = this.#virtualNow + taken
      draft.shares.set(queue, (draft.shares.get(queue) ?? 0) + taken)
      if (!queue.hasWork) continue
      const behind = candidates.findIndex(({ virtualMs }) => virtualMs > queue.virtualMs)
      candidates.splice(behind < 0 ? candidates.length : behind, 0, queue)
    }
    if (draft.jobs === 0) return undefined
    for (const queue of draft.shares.keys()) queue.held.set(slot, (queue.held.get(slot) ?? 0) + 1)
    return draft
  }

  /**
   * Jobs of a batch have left its slot: all of them, or all but those of the queues `left`. `usedMs` is the thread time that they took,
   * by queue, to put right what was estimated.
   */
  release(filled: Filled, slot: number, usedMs: ReadonlyMap<number, number>, left?: ReadonlySet<number>): void {
    for (const [queue, estimateMs] of filled.shares) {
      if (left?.has(queue.id) === true) continue
      filled.shares.delete(queue)
      const batches = (queue.held.get(slot) ?? 1) - 1
      if (batches === 0) queue.held.delete(slot)
      else queue.held.set(slot, batches)
      queue.virtualMs += (usedMs.get(queue.id) ?? 0) - estimateMs
    }
  }

  /** The commit under way has become durable: its pages can be read, and bytes beyond the bound let go of. */
  committed(): void {
    for (const queue of this.#queues.values()) for (const lane of queue.lanes) lane.committed()
    this.#trimWindow()
  }

  /** Lets go of bytes of waiting pages beyond `WINDOW_BYTES`, last ones first. Not while a commit that stores them is under way. */
  #trimWindow(): void {
    if (this.#windowBytes <= WINDOW_BYTES) return
    let bytes = 0
    for (const queue of this.#queues.values()) {
      for (const lane of queue.lanes) {
        for (const { page } of lane.window) {
          if (page.bytes === undefined || page.pins > 0) continue
          // Half the bound, so that the next round is a while away.
          if (bytes + page.bytes.length > WINDOW_BYTES / 2) page.bytes = undefined
          else bytes += page.bytes.length
        }
      }
    }
    this.#windowBytes = bytes
  }

  /** The page with the given place, if it is in a window. */
  findPage(queueId: number, rank: number, ord: number, sub: number): PageRef | undefined {
    const lane = this.#queues.get(queueId)?.lanes.find((candidate) => candidate.rank === rank)
    return lane?.window.find(({ page }) => page.ord === ord && page.sub === sub)?.page
  }

  /** From when the first of a queue's jobs that no thread has been handed could run, in epoch ms; undefined when there is none. */
  readyAt(queueId: number): number | undefined {
    let earliest: number | undefined
    for (const { readyAt } of this.#queues.get(queueId)?.lanes ?? [])
      if (readyAt !== undefined && !(readyAt > (earliest ?? Infinity))) earliest = readyAt
    return earliest
  }

  /** The earliest place in the order of every lane is where its window begins; finds the lanes that have stored pages. */
  #findLanes(): void {
    const { store } = this.#options
    const told = new Set<number>()
    let queueId = 0
    let rank = 0
    for (;;) {
      const found = store.nextLane(queueId, rank)
      if (found === undefined) return
      const queue = this.#queues.get(found.queueId)
      if (queue !== undefined) this.#lane(queue, found.rank, store.lastOrd(found.queueId, found.rank))
      else if (!told.has(found.queueId)) this.#options.onUnknownQueue(found.queueId)
      told.add(found.queueId)
      if (found.rank === 255) {
        queueId = found.queueId + 1
        rank = 0
      } else {
        queueId = found.queueId
        rank = found.rank + 1
      }
    }
  }

  #lane(queue: ReadyQueue, rank: number, lastOrd: number): Lane {
    const known = queue.lanes.find((lane) => lane.rank === rank)
    if (known !== undefined) return known
    const lane = new Lane(this.#options.store, queue.id, rank, lastOrd)
    queue.lanes.push(lane)
    queue.lanes.sort((left, right) => left.rank - right.rank)
    return lane
  }

  /** Takes one turn's worth of a queue's jobs. */
  #take(queue: ReadyQueue, draft: Filled): void {
    let fruitless = 0
    for (const lane of queue.lanes) {
      while (!draft.turnIsOver && fruitless < FRUITLESS_SLICES && this.#expired.length < EXPIRE_JOBS) {
        const slice = lane.front()
        if (slice === undefined) break
        const before = draft.jobs
        lane.shift(this.#takeFrom(slice, draft))
        fruitless = draft.jobs > before ? 0 : fruitless + 1
      }
      this.#windowBytes += lane.takeLoadedBytes()
    }
  }

  /** Takes jobs from the front of a slice. Returns what is left of it. */
  #takeFrom(slice: Slice, draft: Filled): Slice | undefined {
    const { page } = slice
    const { store, definitionsExpire, hasExpired } = this.#options
    // Its bytes may be gone, from memory and from the store.
    if (page.isOver) return undefined
    const bytes = store.bytesOf(page)
    let offset = slice.offset
    let start = slice.from
    let startOffset = offset
    for (let index = slice.from; index < slice.to; index++) {
      if (draft.turnIsOver || this.#expired.length >= EXPIRE_JOBS) {
        draft.end(page, start, index, startOffset)
        return { page, from: index, to: slice.to, offset }
      }
      const end = entryEnd(bytes, offset)
      const definitionId = page.uniformDefinition >= 0 ? page.uniformDefinition : bytes.readUInt16LE(offset + 4)
      const isHere = !page.isDone(index) && this.#known(definitionId)
      const saysMore = definitionsExpire || bytes[offset + 7] !== 0
      const isExpired = isHere && saysMore && hasExpired(page, offset, definitionId)
      if (isExpired) this.#expired.push({ page, index, offset })
      if (!isHere || isExpired) {
        draft.end(page, start, index, startOffset)
        start = index + 1
        startOffset = end
      } else {
        const isExternal = ((bytes[offset + 6] ?? 0) & ENTRY_EXTERNAL) !== 0
        draft.add(definitionId, isExternal ? end - offset + externalBytes(bytes, end) : end - offset)
      }
      offset = end
    }
    draft.end(page, start, slice.to, startOffset)
    return undefined
  }

  #known(definitionId: number): boolean {
    if (this.#options.canRun(definitionId)) return true
    if (!this.#unknown.has(definitionId)) {
      this.#unknown.add(definitionId)
      this.#options.onUnknown(definitionId)
    }
    return false
  }
}
