/**
 * Walks through the store in bounded steps and finds the jobs that fit a filter. Each step is called within a turn, and what is done
 * to the jobs that it gives is done in the same turn: between two steps the store may change, and the walk goes on behind the last
 * record that it has read.
 *
 * Jobs that were enqueued after the walk began do not fit, so that no producer keeps it going. What waits for its instant and becomes
 * due while the walk is under way is met in its lane, which comes later; what has failed meanwhile is met by a second look at what
 * waits for its instant. Still a job that moves at the wrong moment may be missed, as by a listing.
 */
import { BULK_JOBS, BULK_LOOKS, BULK_RECORDS } from '../base/limits.js'
import { lanePageKey } from '../codec/keys.js'
import { PAGE_HEADER_BYTES, readEntry, readHistory, type EntryView } from '../codec/page.js'
import type { ScheduledPage } from '../codec/scheduled-record.js'
import type { JobAddress } from '../job/job-id.js'
import type { FinalState, JobState } from '../job/job-info.js'
import type { Retention } from '../maintenance/retention.js'
import { FINAL_STATES } from '../maintenance/retention.js'
import type { PageRef } from '../store/page-ref.js'
import type { CompiledFilter } from './bulk-options.js'
import { locate, scheduledPageRef, type LocateOptions, type Place } from './locate.js'
import { isRetry } from './promotion.js'

export interface WalkOptions extends LocateOptions {
  readonly retention: Retention
}

/** How the jobs that are found are dealt with. */
export interface WalkManner {
  /** They stay as they are. */
  readonly isDry: boolean
  /**
   * Those whose latest attempt ended after the walk began do not fit: a job that is made due and fails again would be found over and
   * over.
   */
  readonly skipsTried: boolean
}

/** Jobs that fit, of one record. */
export type Found =
  | { readonly at: 'scheduled'; readonly places: readonly (Place & { at: 'scheduled' })[] }
  | { readonly at: 'page'; readonly places: readonly (Place & { at: 'page' })[] }
  | { readonly at: 'finished'; readonly state: FinalState; readonly block: number; readonly seqs: ReadonlySet<number> }

export interface Step {
  readonly found: readonly Found[]
  readonly jobs: number
}

const WAITING: readonly JobState[] = ['scheduled', 'retryable']
const IN_LANES: readonly JobState[] = ['available', 'running']
/** Behind every page of a lane. */
const LAST_PLACE = [2 ** 48 - 1, 0xffff] as const

export class JobWalk {
  readonly #filter: CompiledFilter
  readonly #manner: WalkManner
  readonly #options: WalkOptions
  readonly #steps: Generator<Step, void>
  /** Jobs with this number or a higher one came later. */
  readonly #endSeq: number
  readonly #endBlock: number
  /** Epoch ms. */
  readonly #startedAt: number
  /** Enqueued before that, in epoch ms. */
  readonly #before: number
  readonly #queueId: number | undefined
  readonly #definitionId: number | undefined
  /** A queue or a name that the store has never met. */
  readonly #isHopeless: boolean
  #left: number

  /** To be made within a turn, like the steps. */
  constructor(filter: CompiledFilter, manner: WalkManner, now: number, options: WalkOptions) {
    const { store } = options
    this.#filter = filter
    this.#manner = manner
    this.#options = options
    this.#endSeq = store.counters.nextSeq
    this.#endBlock = store.counters.nextBlock
    this.#startedAt = now
    this.#before = filter.olderThanMs === 0 ? Infinity : now - filter.olderThanMs
    this.#queueId = filter.queue === undefined ? undefined : store.findQueue(filter.queue)
    this.#definitionId = filter.name === undefined ? undefined : store.findDefinition(filter.name)
    this.#isHopeless =
      (filter.queue !== undefined && this.#queueId === undefined) ||
      (filter.name !== undefined && this.#definitionId === undefined)
    this.#left = filter.limit
    this.#steps = this.#walk()
  }

  /** Undefined when there is nothing left. A step may be empty. */
  next(): Step | undefined {
    if (this.#isHopeless || this.#left <= 0) return undefined
    const { value } = this.#steps.next()
    if (value === undefined) return undefined
    this.#left -= value.jobs
    return value
  }

  *#walk(): Generator<Step, void> {
    const { states, ids } = this.#filter
    for (const state of FINAL_STATES) if (states.has(state)) yield* this.#finished(state)
    if (ids !== undefined) yield* this.#byId(ids)
    else {
      const waits = WAITING.some((state) => states.has(state))
      const inLanes = IN_LANES.some((state) => states.has(state))
      if (waits) yield* this.#scheduled()
      if (inLanes) yield* this.#pages()
      if (waits && inLanes && states.has('retryable') && !this.#manner.isDry) yield* this.#scheduled()
    }
  }

  *#finished(state: FinalState): Generator<Step, void> {
    const { retention } = this.#options
    const wanted = this.#filter.ids?.map(({ seq }) => seq).sort((left, right) => left - right)
    const mayBe = (lowest: number, highest: number): boolean => wanted === undefined || hasWithin(wanted, lowest, highest)
    const ids = wanted && new Set(wanted)
    let after = -1
    // Jobs of the block behind `after` that earlier steps gave: some of them may have had to stay.
    let given = new Set<number>()
    for (;;) {
      const found: Found[] = []
      let jobs = 0
      let looks = 0
      for (let blocks = 0; blocks < BULK_RECORDS && looks < BULK_LOOKS && this.#wants(jobs); blocks++) {
        if (retention.isBehind(state)) break
        const block = retention.nextBlock(state, after, mayBe)
        if (block === undefined || block.number >= this.#endBlock) {
          if (jobs > 0) yield { found, jobs }
          return
        }
        const seqs = new Set<number>()
        let isCut = false
        for (const { seq, enqueuedAt, definitionId, queueId } of block.heads) {
          looks++
          if (given.has(seq) || ids?.has(seq) === false || !this.#fits(queueId, definitionId, enqueuedAt)) continue
          // What is only counted would be counted again.
          isCut = this.#manner.isDry ? jobs + seqs.size >= this.#left : !this.#wants(jobs + seqs.size)
          if (isCut) break
          seqs.add(seq)
        }
        if (seqs.size > 0) found.push({ at: 'finished', state, block: block.number, seqs })
        jobs += seqs.size
        if (isCut) {
          for (const seq of seqs) given.add(seq)
          break
        }
        after = block.number
        given = new Set()
      }
      yield { found, jobs }
    }
  }

  *#scheduled(): Generator<Step, void> {
    const { store } = this.#options
    let after: Buffer | undefined
    for (;;) {
      const found: Found[] = []
      let jobs = 0
      const records = store.scheduled.read(after, BULK_RECORDS)
      for (const scheduled of records) {
        if (!this.#wants(jobs)) break
        after = scheduled.key
        const places = this.#inScheduled(scheduled).slice(0, this.#left - jobs)
        if (places.length > 0) found.push({ at: 'scheduled', places })
        jobs += places.length
      }
      const isEnd = records.length < BULK_RECORDS && (records.length === 0 || after === records.at(-1)?.key)
      yield { found, jobs }
      if (isEnd) return
    }
  }

  #inScheduled(scheduled: ScheduledPage): (Place & { at: 'scheduled' })[] {
    const { header, queueId, bytes } = scheduled
    if (header.firstSeq >= this.#endSeq || !this.#filter.states.has(isRetry(bytes) ? 'retryable' : 'scheduled')) return []
    if (this.#queueId !== undefined && queueId !== this.#queueId) return []
    const page = scheduledPageRef(this.#options.store, scheduled)
    return this.#inPage(page, bytes, queueId).map(({ index, offset }) => ({ at: 'scheduled', scheduled, page, index, offset }))
  }

  *#pages(): Generator<Step, void> {
    const { store, ready, dispatcher } = this.#options
    // What comes to the end of a lane from now on was enqueued later, or has been looked at.
    const endOrd = store.counters.nextSeq
    let after: Buffer | undefined
    for (;;) {
      const found: Found[] = []
      let jobs = 0
      const records = store.readPages(after, BULK_RECORDS, this.#queueId)
      for (const read of records) {
        if (!this.#wants(jobs)) break
        after = read.key
        if (read.ord >= endOrd) {
          after = lanePageKey(read.queueId, read.rank, read.lane, ...LAST_PLACE)
          continue
        }
        if (read.header.firstSeq >= this.#endSeq) continue
        const inFlight = dispatcher.findPage(read.ord, read.sub)
        const page = inFlight ?? ready.findPage(read) ?? read
        const places = this.#inPage(page, store.bytesOf(page), page.queueId)
          .filter(({ index }) => this.#fitsLane(page, index, inFlight !== undefined))
          .slice(0, this.#left - jobs)
        if (places.length > 0)
          found.push({ at: 'page', places: places.map(({ index, offset }) => ({ at: 'page', page, index, offset })) })
        jobs += places.length
      }
      const isEnd = records.length < BULK_RECORDS && (records.length === 0 || after === records.at(-1)?.key)
      yield { found, jobs }
      if (isEnd) return
    }
  }

  *#byId(ids: readonly JobAddress[]): Generator<Step, void> {
    for (let from = 0; from < ids.length; from += BULK_JOBS) {
      const found: Found[] = []
      const byRecord = new Map<string, (Place & { at: 'scheduled' })[]>()
      let jobs = 0
      for (const address of ids.slice(from, from + BULK_JOBS)) {
        const place = jobs < this.#left ? locate(address, this.#options) : undefined
        if (place === undefined || !this.#fitsPlace(place, address.seq)) continue
        jobs++
        if (place.at === 'page') {
          found.push({ at: 'page', places: [place] })
          continue
        }
        const record = place.scheduled.key.toString('latin1')
        const others = byRecord.get(record)
        const [first] = others ?? []
        if (others === undefined || first === undefined) byRecord.set(record, [place])
        else others.push({ ...place, page: first.page })
      }
      for (const places of byRecord.values()) found.push({ at: 'scheduled', places })
      yield { found, jobs }
    }
  }

  #fitsPlace(place: Place, seq: number): boolean {
    const { page, index, offset } = place
    const { definitionId } = readEntry(page.data, offset)
    if (seq >= this.#endSeq || !this.#fits(page.queueId, definitionId, page.header.enqueuedAt)) return false
    if (place.at === 'page') return this.#fitsLane(page, index, true)
    return this.#filter.states.has(isRetry(place.scheduled.bytes) ? 'retryable' : 'scheduled')
  }

  /** Jobs of a page that are not over and fit, but for their state. */
  #inPage(page: PageRef, bytes: Buffer, queueId: number): { readonly index: number; readonly offset: number }[] {
    const places: { index: number; offset: number }[] = []
    let offset = PAGE_HEADER_BYTES
    for (let index = 0; index < page.header.count; index++) {
      const entry = readEntry(bytes, offset)
      if (!page.isDone(index) && this.#fits(queueId, entry.definitionId, page.header.enqueuedAt) && !this.#isTried(bytes, entry))
        places.push({ index, offset })
      offset = entry.end
    }
    return places
  }

  #isTried(bytes: Buffer, entry: EntryView): boolean {
    return this.#manner.skipsTried && (readHistory(bytes, entry)?.attempts.at(-1)?.endedAt ?? 0) > this.#startedAt
  }

  /** A job that was handed to a thread and has not begun there counts as either. */
  #fitsLane(page: PageRef, index: number, mayBeHeld: boolean): boolean {
    const { states } = this.#filter
    const held = mayBeHeld ? this.#options.dispatcher.find(page, index) : undefined
    if (held === undefined) return states.has('available')
    return states.has('running') || (states.has('available') && held.index >= held.batch.control.taken)
  }

  #fits(queueId: number, definitionId: number, enqueuedAt: number): boolean {
    return (
      (this.#queueId === undefined || queueId === this.#queueId) &&
      (this.#definitionId === undefined || definitionId === this.#definitionId) &&
      enqueuedAt <= this.#before
    )
  }

  #wants(jobs: number): boolean {
    return jobs < BULK_JOBS && jobs < this.#left
  }
}

/** Whether any of the numbers, which ascend, lies within a range. */
function hasWithin(numbers: readonly number[], lowest: number, highest: number): boolean {
  let from = 0
  let to = numbers.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((numbers[middle] ?? 0) < lowest) from = middle + 1
    else to = middle
  }
  return (numbers[from] ?? Infinity) <= highest
}
