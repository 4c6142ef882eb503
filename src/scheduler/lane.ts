/**
 * A lane: the waiting jobs of one queue and one priority, and of one limit key if they have one, in order. In memory is a window at the head; the rest stays in the
 * store until the window runs low.
 *
 * Invariant: every stored page of the lane at or before `#loaded` is in the window, or handed out, or holds only jobs that no
 * definition here can run. Pages behind it are not in memory. `#complete` says that there are none.
 */
import { assert } from '../base/assert.js'
import { KEYED_WINDOW_PAGES, PAGE_JOBS, WINDOW_PAGES } from '../base/limits.js'
import { PAGE_HEADER_BYTES, type PageHeader } from '../codec/page.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef, Slice } from '../store/page-ref.js'

/** Above every `sub`: they count the jobs of a page. */
const LAST_SUB = 0xffff

export class Lane {
  readonly queueId: number
  readonly rank: number
  /** Of a limit key; 0 for jobs without one. */
  readonly number: number
  readonly #store: JobStore
  /** A ring would save little: slices are taken from the front, some hundreds of jobs at a time. */
  #slices: Slice[] = []
  #loaded = { ord: 0, sub: 0 }
  #lastOrd: number
  #complete: boolean
  /** The commit under way stores pages that are not in the window, and cannot be read before it is durable. */
  #hasUnreadable = false
  /** Nothing else is left but that. */
  #waitsForCommit = false
  /** Bytes read into the window since the last `takeLoadedBytes`. */
  #loadedBytes = 0

  /** @param lastOrd - the highest place taken in the lane; 0 for a lane without stored pages */
  constructor(store: JobStore, queueId: number, rank: number, lastOrd: number, number = 0) {
    this.#store = store
    this.number = number
    this.queueId = queueId
    this.rank = rank
    this.#lastOrd = lastOrd
    this.#complete = lastOrd === 0
  }

  /** Whether a job may wait here. It may still turn out that none can be claimed. */
  get hasWork(): boolean {
    return this.#slices.length > 0 || !this.#complete
  }

  get #windowPages(): number {
    return this.number === 0 ? WINDOW_PAGES : KEYED_WINDOW_PAGES
  }

  /** Whether reading may find a job at the front now. */
  get isReadable(): boolean {
    return this.#slices.length > 0 || (!this.#complete && !this.#waitsForCommit)
  }

  /** Puts a new page at the end. It becomes part of the commit under way, and may be handed out in it if it is kept in memory. */
  append(page: PageRef, isKept = true): void {
    assert(page.ord > this.#lastOrd, 'pages of a lane are appended in order')
    this.#lastOrd = page.ord
    if (!isKept || !this.#complete || this.#slices.length >= this.#windowPages) {
      this.#complete = false
      this.#hasUnreadable = true
      return
    }
    this.#loaded = { ord: page.ord, sub: LAST_SUB }
    this.#loadedBytes += page.bytes?.length ?? 0
    this.#slices.push({ page, from: 0, to: page.header.count, offset: PAGE_HEADER_BYTES })
  }

  /** The commit under way has become durable. */
  committed(): void {
    this.#hasUnreadable = false
    this.#waitsForCommit = false
  }

  /** Bytes that have come into the window since the last call. */
  takeLoadedBytes(): number {
    const bytes = this.#loadedBytes
    this.#loadedBytes = 0
    return bytes
  }

  /** Puts jobs back where they came from: before everything that was enqueued later. */
  putBack(slices: readonly Slice[]): void {
    for (const { page } of slices) {
      // What lies behind it is to be read from here on, and this not again.
      if (this.#complete && page.ord > this.#loaded.ord) this.#loaded = { ord: page.ord, sub: LAST_SUB }
    }
    const known: Slice[] = []
    for (const slice of slices) {
      if (!this.#isBehindWindow(slice.page)) known.push(slice)
      else {
        // A suspect that ran before its lane was read. It is stored where it was, and read in its turn; until it is durable, the
        // record that can be read is the suspect's, which the window leaves out.
        this.#store.changing(slice.page)
        this.#hasUnreadable = true
      }
    }
    this.#slices = [...known, ...this.#slices].sort(inOrder)
  }

  /** Leaves what is in memory to the store. Only while none of its jobs is handed out, and no commit is under way. */
  unload(): void {
    const [first] = this.#slices
    if (first === undefined || this.#hasUnreadable) return
    const { ord, sub } = first.page
    this.#loaded = sub > 0 ? { ord, sub: sub - 1 } : { ord: ord - 1, sub: LAST_SUB }
    this.#slices = []
    this.#complete = false
  }

  #isBehindWindow({ ord, sub }: PageRef): boolean {
    const { ord: loadedOrd, sub: loadedSub } = this.#loaded
    return !this.#complete && (ord > loadedOrd || (ord === loadedOrd && sub > loadedSub))
  }

  /** The slice at the front, after reading more of the lane if the window is empty. */
  front(): Slice | undefined {
    if (this.#slices.length === 0 && !this.#complete) this.#refill()
    return this.#slices[0]
  }

  /** From when the job at the front could run, in epoch ms; undefined when nobody knows of one. Changes nothing. */
  get readyAt(): number | undefined {
    const header = this.#slices.find(hasJobs)?.page.header ?? this.#beyond()
    return header === undefined ? undefined : Math.max(header.enqueuedAt, header.runAt)
  }

  /** The first page that is not in the window. */
  #beyond(): PageHeader | undefined {
    return this.#complete ? undefined : this.#store.readLane(this.queueId, this.rank, this.#loaded, 1, this.number)[0]?.header
  }

  /** Removes the slice at the front, or moves its beginning. */
  shift(rest: Slice | undefined): void {
    if (rest === undefined) this.#slices.shift()
    else this.#slices[0] = rest
  }

  /** Every page of the window, for the memory account. */
  get window(): readonly Slice[] {
    return this.#slices
  }

  #refill(): void {
    const limit = this.#windowPages
    const pages = this.#store.readLane(this.queueId, this.rank, this.#loaded, limit, this.number)
    const last = pages.at(-1)
    const isEnd = pages.length < limit
    if (last !== undefined) {
      // Up to the end of a page's own place: a job that is put back there later is in the window, and must not be read again.
      if (!isEnd) pages.push(...this.#store.readPlace(this.queueId, this.rank, last, PAGE_JOBS, this.number))
      this.#loaded = { ord: last.ord, sub: LAST_SUB }
    }
    for (const page of pages) {
      this.#loadedBytes += page.bytes?.length ?? 0
      if (!page.isSuspect && !page.isOver) this.#slices.push({ page, from: 0, to: page.header.count, offset: PAGE_HEADER_BYTES })
    }
    this.#complete = isEnd && !this.#hasUnreadable
    this.#waitsForCommit = isEnd && !this.#complete && this.#slices.length === 0
  }
}

/** Slices that go to one lane, together. */
export function byLane(slices: readonly Slice[]): Iterable<readonly Slice[]> {
  const lists = new Map<string, Slice[]>()
  for (const slice of slices) {
    const { queueId, rank, lane } = slice.page
    const name = `${queueId}.${rank}.${lane}`
    const list = lists.get(name)
    if (list === undefined) lists.set(name, [slice])
    else list.push(slice)
  }
  return lists.values()
}

/** Whether any job of a slice is not over. Of one without any the bytes may be gone, from memory and from the store. */
export function hasJobs({ page, from, to }: Slice): boolean {
  for (let index = from; index < to; index++) if (!page.isDone(index)) return true
  return false
}

function inOrder(left: Slice, right: Slice): number {
  return left.page.ord - right.page.ord || left.page.sub - right.page.sub || left.from - right.from
}
