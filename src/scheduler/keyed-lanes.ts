/**
 * The jobs of a queue that have limit keys: which key's come next, and which may not run now.
 *
 * A key that may run is in the ring of each priority it has jobs of, ordered by the thread time that keys have had, so that whoever has
 * a million jobs does not hold back whoever has three. A key that may not run is in no ring, and costs nothing until something
 * changes: it waits for one of its own jobs to end (as many run as its job at the front allows), or rests until its rate lets one
 * more start. A thread that holds jobs of a key may have more of them: there they run one after the other, and count as one.
 *
 * Keys lie in memory while they have waiting or running jobs, `KEYS_KNOWN` of them at most. At open they are found in the store step by
 * step, a few with every pick; beyond the bound a key is forgotten when it has had its turn, and found again by the next search. What
 * jobs a key has lies in the store; of few keys some pages are in memory.
 */
import { KEYS_FOUND, KEYS_KNOWN } from '../base/limits.js'
import type { JobStore } from '../store/job-store.js'
import type { PagePlace, PageRef, Slice } from '../store/page-ref.js'
import type { Span } from './counted-starts.js'
import { FrontAges } from './front-ages.js'
import { FullKeys } from './full-keys.js'
import { Heap } from './heap.js'
import { KeyRates } from './key-rates.js'
import { KeyRings } from './key-rings.js'
import { KeySearch } from './key-search.js'
import { isAtRest, KeyedWindows } from './keyed-windows.js'
import { Lane } from './lane.js'
import { KeyedLane, LimitKey, readyAtOf } from './limit-key.js'
import { liveFront } from './live-front.js'
import type { RateBook } from './rate-book.js'
import { ThreadShares } from './thread-shares.js'

export interface KeyedLanesOptions {
  readonly store: JobStore
  readonly book: RateBook
  readonly queueId: number
  /** The store may hold lanes that nobody has met. */
  readonly isStored: boolean
  /** Told of each priority that keys have jobs of. */
  readonly onRank: (rank: number) => void
  /** Keys known at a time. @defaultValue KEYS_KNOWN */
  readonly known?: number | undefined
}

export class KeyedLanes {
  /** The jobs of the queue without a key share with the keys as if they had one. */
  readonly others: LimitKey
  readonly #options: KeyedLanesOptions
  readonly #mostKeys: number
  readonly #rates: KeyRates
  readonly #keys = new Map<number, LimitKey>()
  readonly #rings: KeyRings
  readonly #resting = new Heap<LimitKey>(({ freeAt }) => freeAt)
  readonly #full = new FullKeys()
  /** The slot for which jobs are being chosen. */
  #choosesFor = -1
  readonly #search: KeySearch
  /** Lanes to which the commit under way stores something. */
  readonly #appended = new Set<KeyedLane>()
  /** Lanes that jobs have left, or that hold others, since the last `wake`. */
  readonly #withdrawn = new Set<KeyedLane>()
  /** Keys without jobs, and keys that have had their turn and give way to others. */
  readonly #leaving = new Set<LimitKey>()
  /** Among keys, and those without one. */
  readonly shares = new ThreadShares()
  readonly #windows = new KeyedWindows()
  readonly #ages = new FrontAges()

  constructor(options: KeyedLanesOptions) {
    this.#options = options
    this.#rings = new KeyRings(options.onRank)
    this.#rates = new KeyRates(options.book)
    this.others = new LimitKey(options.queueId, 0)
    this.#mostKeys = options.known ?? KEYS_KNOWN
    this.#search = new KeySearch(options.store.engine, options.queueId, options.isStored)
  }

  get #isCrowded(): boolean {
    return this.#keys.size >= this.#mostKeys
  }

  /** Whether any job waits, free to run or not. */
  get hasWork(): boolean {
    return this.hasRunnable || this.#search.isPending || this.#full.size > 0 || this.#resting.size > 0
  }

  /** Whether a job may run somewhere now. */
  get hasRunnable(): boolean {
    return this.#rings.size > 0 || (this.#search.isPending && !this.#isCrowded)
  }

  /** Keys that any slot may take. */
  get runnable(): number {
    return this.#rings.size
  }

  /** Whether a job of a priority may run somewhere now. */
  hasRunnableAt(rank: number): boolean {
    return this.#rings.sizeAt(rank) > 0
  }

  /** Whether a slot may find a job there of such a priority or a higher one. */
  hasWorkFor(slot: number, lastRank: number): boolean {
    if (this.#search.isPending && !this.#isCrowded) return true
    if (this.#rings.hasUpTo(lastRank)) return true
    for (const { lanes } of this.#full.at(slot)) if (lanes.some(({ lane }) => lane.hasWork && lane.rank <= lastRank)) return true
    return false
  }

  /** Epoch ms at which the first resting key may go on; `Infinity` when none rests. */
  get freeAt(): number {
    return this.#resting.first?.freeAt ?? Infinity
  }

  /** From when the first of the jobs that no thread has been handed could run, in epoch ms; undefined when there is none. */
  get readyAt(): number | undefined {
    return this.#ages.readyAt
  }

  /** Bytes that have come into memory since the last call. */
  takeLoadedBytes(): number {
    return this.#windows.takeLoadedBytes()
  }

  // ---- what comes in ----

  /** Adds a page that the commit under way stores. Returns whether the first job that may run has come with it. */
  append(page: PageRef): boolean {
    if (this.#isCrowded && !this.#keys.has(page.lane)) {
      this.#search.repeat(true)
      return false
    }
    const wasIdle = this.#rings.sizeAt(page.rank) === 0
    const entry = this.#lane(page.rank, page.lane)
    if (!entry.lane.hasWork) entry.heed(page)
    entry.lane.append(page, !this.#windows.isFull)
    this.#appended.add(entry)
    this.#windows.account(entry)
    this.#place(entry.key)
    return wasIdle && entry.heapAt >= 0
  }

  /** Jobs of one lane come back. `returnedMs`: they did not begin, and do not count as started; what they were expected to take. */
  putBack(slices: readonly Slice[], returnedMs: number | undefined): void {
    const [first] = slices
    if (first === undefined) return
    const entry = this.#lane(first.page.rank, first.page.lane)
    entry.lane.putBack(slices)
    this.#heedFront(entry)
    this.#appended.add(entry)
    const { key } = entry
    key.returnedMs += returnedMs ?? 0
    if (returnedMs !== undefined && key.log !== undefined) {
      this.#rates.refund(key, slices)
      this.#wake(key)
    }
    this.#place(key)
  }

  /** Jobs without a key come back. `returnedMs`: they did not begin. */
  othersReturned(returnedMs = 0): void {
    this.others.virtualMs -= returnedMs
    this.others.returnedMs += returnedMs
  }

  /** A job that waits is over in this turn, or brings other numbers. */
  withdrawn({ rank, lane: number }: PageRef): void {
    const entry = this.#keys.get(number)?.lanes.find(({ lane }) => lane.rank === rank)
    if (entry !== undefined) this.#withdrawn.add(entry)
  }

  /** When a job may begin outside of a batch of chosen ones, as far as its key's rate is concerned: epoch ms, 0 for at once. */
  mayStartAt(page: PageRef, now: number): number {
    const rate = page.overrides(1)?.limitRate
    return rate === undefined ? 0 : this.#rates.mayStartAt(this.#known(page), rate, now)
  }

  /** Jobs of one key, with the same numbers, begin. */
  noteStarts(jobs: readonly Span[], now: number): void {
    const page = jobs[0]?.page
    const rate = page?.overrides(1)?.limitRate
    if (page !== undefined && rate !== undefined) this.#rates.count(this.#known(page), rate, jobs, now)
  }

  /** It has not begun after all. */
  noteReturn(page: PageRef): void {
    if (page.overrides(1)?.limitRate === undefined) return
    const key = this.#known(page)
    this.#rates.refund(key, [{ page, from: 0, to: 1 }])
    this.#wake(key)
    this.#place(key)
  }

  /** Resting keys whose time has come go on, and those whose front may be another one. Returns whether there were any. */
  wake(now: number): boolean {
    let woke = this.#withdrawn.size > 0
    for (const entry of this.#withdrawn) {
      this.front(entry)
      this.#windows.account(entry)
      this.#wake(entry.key)
      this.#place(entry.key)
    }
    this.#withdrawn.clear()
    for (let key = this.#resting.first; key !== undefined && key.freeAt <= now; key = this.#resting.first) {
      this.#wake(key)
      this.#place(key)
      woke = true
    }
    return woke
  }

  /** Looks for keys in the store. Returns whether there was something to look for. */
  find(): boolean {
    if (!this.#search.isPending || this.#isCrowded) return false
    for (let count = 0; count < KEYS_FOUND && !this.#isCrowded; count++) {
      const found = this.#search.next()
      if (found === undefined) break
      const entry = this.#lane(found.rank, found.lane, true)
      entry.since = Math.min(entry.since, found.since)
      this.#place(entry.key)
    }
    return true
  }

  // ---- choosing ----

  /** Begins to choose for a slot: it may have more of what it holds. `hasOthers`: jobs without a key may run, too. */
  beginPick(slot: number, hasOthers: boolean): void {
    this.#choosesFor = slot
    this.shares.look(this.others, hasOthers, hasOthers)
    for (const key of this.#full.at(slot)) this.#place(key)
  }

  endPick(): void {
    const keys = this.#full.at(this.#choosesFor)
    this.#choosesFor = -1
    for (const key of keys) this.#place(key)
  }

  /** The key's lane that comes next in a priority; its job at the front may run, or it has none. */
  next(rank: number): KeyedLane | undefined {
    for (let entry = this.#rings.first(rank); entry !== undefined; entry = this.#rings.first(rank)) {
      // What the job at the front allows is known when it is read, and may be less than was thought.
      if (this.front(entry) !== undefined && this.#admits(entry)) return entry
      this.#windows.account(entry)
      this.#place(entry.key)
    }
    return undefined
  }

  /** The slice at the front of a lane, with the numbers that its jobs bring. */
  front(entry: KeyedLane): Slice | undefined {
    const slice = liveFront(entry.lane)
    if (slice === undefined) return undefined
    this.#options.store.bytesOf(slice.page)
    entry.heed(slice.page)
    return slice
  }

  /** How many jobs of the lane at its front may start now. At 0 the key rests from here on. */
  startsFree({ key, rate }: KeyedLane, now: number): number {
    if (rate === undefined) return Infinity
    const free = this.#rates.free(key, rate, now)
    if (free > 0) return free
    key.freeAt = this.#rates.freeAt(key, rate, now)
    this.#place(key)
    return 0
  }

  /** Jobs of the lane were chosen, for the first time in this batch or once more. */
  chosen(entry: KeyedLane, jobs: number, tookMs: number, isFirst: boolean): void {
    const { key } = entry
    this.#windows.account(entry)
    if (jobs > 0) {
      if (isFirst) key.hold(this.#choosesFor)
      this.shares.charge(key, tookMs)
    }
    this.#heedFront(entry)
    this.#place(key)
  }

  /** A batch of the slot holds no job of the key any more. `correctionMs`: what its jobs took beyond what was estimated. */
  release(key: LimitKey, slot: number, correctionMs: number): void {
    key.letGo(slot)
    key.virtualMs += correctionMs
    if (!key.isHeldBy(slot)) this.#full.leftSlot(key, slot)
    if (key.threads === 0 && this.#search.isPending && this.#isCrowded) this.#leaving.add(key)
    this.#place(key)
  }

  // ---- between commits ----

  /** The commit under way has become durable. */
  committed(): void {
    for (const { key, lane } of this.#appended) {
      lane.committed()
      this.#place(key)
    }
    this.#appended.clear()
    this.#search.committed()
    for (const key of this.#leaving) this.#leave(key)
    this.#leaving.clear()
    if (this.#windows.isOverfull) this.unload()
  }

  /** Leaves the pages of keys that nobody runs for to the store. Returns the bytes that stay. Only right after `committed`. */
  unload(): number {
    return this.#windows.unload()
  }

  /** The page with the given place, if it is in memory. */
  findPage({ rank, lane: number, ord, sub }: Omit<PagePlace, 'queueId'>): PageRef | undefined {
    const entry = this.#keys.get(number)?.lanes.find(({ lane }) => lane.rank === rank)
    return entry?.lane.window.find(({ page }) => page.ord === ord && page.sub === sub)?.page
  }

  // ---- where a key belongs ----

  /** Puts a key where it belongs: into the rings, to those that are full, to the resting ones, or away. */
  #place(key: LimitKey): void {
    const rests = key.freeAt > 0
    if (rests !== key.heapAt >= 0) {
      if (rests) this.#resting.add(key)
      else this.#resting.remove(key)
    } else if (rests) this.#resting.moved(key)
    const { hasWork } = key
    let isReady = false
    let isFull = false
    for (const entry of key.lanes) {
      isReady ||= !rests && entry.lane.isReadable && this.#admits(entry)
      isFull ||= !rests && entry.lane.hasWork && key.threads >= entry.max
    }
    this.shares.look(key, isReady, hasWork)
    for (const entry of key.lanes) {
      this.#rings.place(entry, isReady && entry.lane.isReadable && this.#admits(entry))
      this.#ages.place(entry)
    }
    this.#full.place(key, isFull)
    // Not before the commit: until then its last pages are in the store as if nobody had run them.
    if (!hasWork && key.threads === 0) this.#leaving.add(key)
  }

  /** Whether the job at the front may join those that run: anywhere, or in the slot that is chosen for. */
  #admits({ key, max }: KeyedLane): boolean {
    return key.threads < max || key.isHeldBy(this.#choosesFor)
  }

  #wake(key: LimitKey): void {
    if (key.freeAt === 0) return
    this.#resting.remove(key)
    key.freeAt = 0
  }

  /** Forgets a key that has no jobs, or leaves it to the store while others wait there to be found. */
  #leave(key: LimitKey): void {
    if (!key.hasWork && key.threads === 0) {
      this.#wake(key)
      if (this.#keys.get(key.number) === key) this.#keys.delete(key.number)
      return
    }
    if (!this.#search.isPending || !this.#isCrowded || this.#keys.get(key.number) !== key || !isAtRest(key)) return
    this.#wake(key)
    for (const entry of key.lanes) {
      this.#rings.place(entry, false)
      this.#ages.forget(entry)
    }
    this.#full.place(key, false)
    this.#keys.delete(key.number)
    this.#search.repeat(false)
  }

  // ---- parts ----

  /** A key's lane, new ones with what may lie in the store: all of it if nothing is searched for any more. */
  #lane(rank: number, number: number, isStored = this.#search.isPending): KeyedLane {
    let key = this.#keys.get(number)
    if (key === undefined) {
      key = new LimitKey(this.#options.queueId, number)
      this.#keys.set(number, key)
    }
    const known = key.lanes.find(({ lane }) => lane.rank === rank)
    if (known !== undefined) return known
    this.#rings.meet(rank)
    const entry = new KeyedLane(key, new Lane(this.#options.store, key.queueId, rank, isStored ? 1 : 0, number))
    key.lanes.push(entry)
    return entry
  }

  /** The job that is at the front now may allow more than the one before it, or less. */
  #heedFront(entry: KeyedLane): void {
    const [front] = entry.lane.window
    if (front?.page.bytes !== undefined && !front.page.isOver) return entry.heed(front.page)
    entry.max = Infinity
    if (front !== undefined) entry.since = Math.min(entry.since, readyAtOf(front.page.header))
  }

  /** The key of a page; a stand-in for one that is not in memory. */
  #known({ queueId, lane }: PageRef): LimitKey {
    return this.#keys.get(lane) ?? new LimitKey(queueId, lane)
  }
}
