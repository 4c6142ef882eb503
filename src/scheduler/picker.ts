/** Takes jobs of one queue into a batch: from which lane next, how many of it, and which not now. */
import { EXPIRE_JOBS, KEY_TURN_MS } from '../base/limits.js'
import { ENTRY_EXTERNAL, entryEnd, externalBytes } from '../codec/page.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { Draft } from './draft.js'
import type { KeyedLanes } from './keyed-lanes.js'
import type { Lane } from './lane.js'
import type { KeyedLane, LimitKey } from './limit-key.js'
import type { ReadyQueue } from './ready-queue.js'

/** Pages without a job that can run which one pick passes over; the next pick goes on behind them. */
const FRUITLESS_SLICES = 256

/** Jobs chosen for one thread. */
export type Filled = Draft<ReadyQueue, LimitKey>

export interface PickerOptions {
  readonly store: JobStore
  /** Whether a definition is registered here. */
  readonly canRun: (definitionId: number) => boolean
  /** Whether any definition says by when its jobs must begin. A job may say so too, beside its entry. */
  readonly definitionsExpire: boolean
  /** Whether a job had to begin before now. */
  readonly hasExpired: (page: PageRef, offset: number, definitionId: number) => boolean
  /** Threads that a definition's jobs count as, unless they say otherwise. Omitted: 1. */
  readonly weightOf?: (definitionId: number) => number
  /** Told once of each definition whose jobs are passed over. */
  readonly onUnknown: (definitionId: number) => void
}

/** A job that had to begin before now: it has left its lane, and is to be ended. */
export interface ExpiredJob {
  readonly page: PageRef
  readonly index: number
  readonly offset: number
}

/** A heavy job that is next in its queue, and waits for threads. */
export interface Wanted {
  readonly queue: ReadyQueue
  readonly rank: number
  readonly threads: number
  /** The number of the job. */
  readonly seq: number
}

/** What comes next in a queue. */
interface Next {
  readonly lane: Lane
  /** Undefined for jobs without a limit key. */
  readonly keyed: KeyedLane | undefined
}

export class Picker {
  /** The first heavy job met that waits for threads. */
  wanted: Wanted | undefined
  readonly #options: PickerOptions
  readonly #unknown = new Set<number>()
  #expired: ExpiredJob[] = []
  /** The jobs at hand end before a heavy job that cannot begin in this batch. */
  #isHeld = false

  constructor(options: PickerOptions) {
    this.#options = options
  }

  /** Jobs whose turn came too late, since the last call; few, and the others when it is called again. */
  takeExpired(): readonly ExpiredJob[] {
    if (this.#expired.length === 0) return this.#expired
    const expired = this.#expired
    this.#expired = []
    return expired
  }

  /** Takes one turn's worth of a queue's jobs. Returns whether it has passed over any that cannot run. */
  take(queue: ReadyQueue, draft: Filled, slot: number): boolean {
    const { keyed } = queue
    let fruitless = 0
    this.#isHeld = false
    queue.awaited = 0
    const keysAtMost = keyed === undefined ? 0 : Math.ceil(keyed.runnable / draft.room.threadsFor(0).all)
    keyed?.beginPick(
      slot,
      queue.lanes.some(({ hasWork }) => hasWork),
    )
    while (!this.#isOver(draft) && fruitless < FRUITLESS_SLICES) {
      const next = keyed === undefined ? this.#nextLane(queue, draft) : this.#nextOf(queue, keyed, draft)
      if (next === undefined) break
      const before = draft.jobs
      if (next.keyed === undefined || keyed === undefined) this.#takeSlice(queue, next.lane, draft)
      else {
        const { key, max } = next.keyed
        const isNew = !draft.keys.has(key) && !key.isHeldBy(slot) && key.threads + 1 >= max
        // Jobs of one key run one after the other in a thread: what one thread holds, others wait for.
        if (isNew && ++draft.newKeys > keysAtMost) break
        this.#takeKeyed(queue, keyed, next.keyed, draft)
      }
      fruitless = draft.jobs > before ? 0 : fruitless + 1
    }
    keyed?.endPick()
    return fruitless > 0
  }

  /** The lane of highest priority, counting what its first job has waited. Of two the one whose job waits longer. */
  #nextLane({ lanes, ageingMs }: ReadyQueue, { room }: Filled): Next | undefined {
    let best: Lane | undefined
    let bestRank = Infinity
    let bestSince = Infinity
    for (const lane of lanes) {
      if (lane.rank > room.lastRank) break
      if (!lane.isReadable) continue
      const front = lane.front()
      if (front === undefined) continue
      if (ageingMs === Infinity) return { lane, keyed: undefined }
      const since = waitingSince(front.page)
      const rank = agedRank(lane.rank, since, room.now, ageingMs)
      if (rank > bestRank || (rank === bestRank && since >= bestSince)) continue
      best = lane
      bestRank = rank
      bestSince = since
    }
    return best === undefined ? undefined : { lane: best, keyed: undefined }
  }

  /** The same for a queue with limit keys: within a priority whoever has had the least thread time. */
  #nextOf({ lanes, ageingMs }: ReadyQueue, keyed: KeyedLanes, { room }: Filled): Next | undefined {
    let best: Next | undefined
    let bestRank = Infinity
    let bestSince = Infinity
    for (const lane of lanes) {
      if (lane.rank > room.lastRank) break
      const next = this.#nextAt(lane, keyed)
      const front = next?.lane.front()
      if (next === undefined || front === undefined) continue
      if (ageingMs === Infinity) return next
      const since = waitingSince(front.page)
      const rank = agedRank(lane.rank, since, room.now, ageingMs)
      if (rank > bestRank || (rank === bestRank && since >= bestSince)) continue
      best = next
      bestRank = rank
      bestSince = since
    }
    return best
  }

  #nextAt(lane: Lane, keyed: KeyedLanes): Next | undefined {
    const entry = keyed.next(lane.rank)
    const others = lane.isReadable && lane.front() !== undefined ? { lane, keyed: undefined } : undefined
    if (entry === undefined || (others !== undefined && keyed.others.virtualMs < entry.key.virtualMs)) return others
    return { lane: entry.lane, keyed: entry }
  }

  #takeSlice(queue: ReadyQueue, lane: Lane, draft: Filled): void {
    const slice = lane.front()
    if (slice === undefined) return
    const { keyed } = queue
    if (keyed === undefined) {
      lane.shift(this.#takeFrom(queue, slice, draft))
      return
    }
    const before = draft.estimateMs
    draft.beginKeyTurn(KEY_TURN_MS, Infinity)
    lane.shift(this.#takeFrom(queue, slice, draft))
    draft.endKeyTurn()
    if (draft.estimateMs > before) keyed.shares.charge(keyed.others, draft.estimateMs - before)
  }

  #takeKeyed(queue: ReadyQueue, keyed: KeyedLanes, entry: KeyedLane, draft: Filled): void {
    const { now } = draft.room
    const free = keyed.startsFree(entry, now)
    if (free === 0) return
    const { key, lane, max, rate } = entry
    const before = { jobs: draft.jobs, estimateMs: draft.estimateMs, slices: draft.slices.length }
    draft.beginKeyTurn(KEY_TURN_MS, free)
    while (!this.#isOver(draft)) {
      const slice = keyed.front(entry)
      // A job with other numbers is another matter.
      if (slice === undefined || entry.max !== max || !sameRate(entry.rate, rate)) break
      const jobs = draft.jobs
      lane.shift(this.#takeFrom(queue, slice, draft))
      if (draft.jobs === jobs) break
    }
    draft.endKeyTurn()
    const jobs = draft.jobs - before.jobs
    const tookMs = (draft.estimateMs - before.estimateMs) * draft.weight
    const isFirst = jobs > 0 && !draft.keys.has(key)
    if (jobs > 0) draft.keys.set(key, (draft.keys.get(key) ?? 0) + tookMs)
    if (rate !== undefined) keyed.noteStarts(draft.slices.slice(before.slices), now)
    keyed.chosen(entry, jobs, tookMs, isFirst)
  }

  /** Takes jobs from the front of a slice. Returns what is left of it. */
  #takeFrom(queue: ReadyQueue, slice: Slice, draft: Filled): Slice | undefined {
    const { page } = slice
    // Its bytes may be gone, from memory and from the store.
    if (page.isOver) return undefined
    const { store, definitionsExpire, hasExpired } = this.#options
    const bytes = store.bytesOf(page)
    const mayBeHeavy = page.uniformDefinition < 0 || this.#weightOf(page.uniformDefinition) > 1
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
        const weight = mayBeHeavy ? this.#weight(page, bytes[offset + 7] ?? 0, definitionId) : 1
        if (weight > 1) {
          const threads = Math.min(weight, draft.room.threadsFor(page.rank).all, queue.concurrency)
          if (threads > 1) {
            draft.end(page, start, index, startOffset)
            if (!this.#takeHeavy(queue, page, index, threads, definitionId, draft))
              return { page, from: index, to: slice.to, offset }
            draft.end(page, index, index + 1, offset)
            return index + 1 < slice.to ? { page, from: index + 1, to: slice.to, offset: end } : undefined
          }
        }
        const isExternal = ((bytes[offset + 6] ?? 0) & ENTRY_EXTERNAL) !== 0
        draft.add(definitionId, isExternal ? end - offset + externalBytes(bytes, end) : end - offset)
      }
      offset = end
    }
    draft.end(page, start, slice.to, startOffset)
    return undefined
  }

  /** Takes a job that counts as several threads, if it can begin here. */
  #takeHeavy(queue: ReadyQueue, page: PageRef, index: number, threads: number, definitionId: number, draft: Filled): boolean {
    const { rank } = page
    this.#isHeld = true
    if (draft.jobs > 0) return false
    if (queue.held.size + queue.lent + threads > queue.concurrency) queue.awaited = threads
    else if (draft.room.threadsFor(rank).free < threads) this.wanted ??= { queue, rank, threads, seq: page.seqOf(index) }
    else {
      draft.addHeavy(definitionId, threads)
      if (this.wanted?.queue === queue) this.wanted = undefined
      return true
    }
    return false
  }

  /** Nothing more is taken of this queue for now. */
  #isOver(draft: Filled): boolean {
    return draft.turnIsOver || this.#isHeld || this.#expired.length >= EXPIRE_JOBS
  }

  #weight(page: PageRef, overrides: number, definitionId: number): number {
    return (overrides === 0 ? undefined : page.overrides(overrides)?.weight) ?? this.#weightOf(definitionId)
  }

  #weightOf(definitionId: number): number {
    return this.#options.weightOf?.(definitionId) ?? 1
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

/** Since when a page's jobs have been available, in epoch ms. */
function waitingSince({ header }: PageRef): number {
  return Math.max(header.enqueuedAt, header.runAt)
}

/** The rank with the steps of priority that waiting adds. */
function agedRank(rank: number, since: number, now: number, ageingMs: number): number {
  return rank - Math.floor(Math.max(0, now - since) / ageingMs)
}

function sameRate(left: KeyedLane['rate'], right: KeyedLane['rate']): boolean {
  return left === right || (left?.max === right?.max && left?.perMs === right?.perMs)
}
