/**
 * Decides about enqueues of jobs with a unique key, in the turn that stores them: the jobs of earlier commits, those that this turn has
 * ended or moved, and those that other enqueues of the turn store are all known then.
 *
 *   the key is held by a job that …      return     reject     replace, debounce
 *   nobody                               stored     stored     stored
 *   waits (scheduled, available,         its        refused    it takes over input and settings; debounce and a told
 *     retryable; no thread has begun)    handle                time also when it runs; its handle
 *   runs                                 its        refused    stored: it cannot be changed any more, and gives up its key
 *                                        handle                (but within its time: its handle)
 *   is over (`kept`, or within its time) its handle refused    its handle
 *
 * With `while: 'waiting'` a job that a thread has begun holds nothing but its time. A call that is refused stores nothing.
 */
import { assert } from '../base/assert.js'
import { INDEX_GROUP, INDEX_SOLO, PAYLOAD_INPUT } from '../codec/keys.js'
import {
  ENTRY_EXTERNAL,
  ENTRY_RETRY,
  ENTRY_SUSPECT,
  type EntryView,
  PAGE_HEADER_BYTES,
  PageBuilder,
  type PageHeader,
  readEntry,
  readHistory,
  readOverrides,
} from '../codec/page.js'
import type { KeyHolder } from '../codec/unique-entry.js'
import { formatJobId } from '../job/job-id.js'
import type { JobLedger } from '../job/job-state.js'
import type { CompiledUnique } from '../job/unique.js'
import type { JobOverrides } from '../job/job-overrides.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'
import { removeSuspect } from '../store/suspects.js'
import type { Gathered, GatheredPage, Intake } from './intake.js'
import { keyHolder, type KeyHolderOptions, placeOfHolder } from './key-holder.js'
import type { Place } from './locate.js'
import type { PageHandles, ResultRegistry } from './results.js'
import { scheduledPlace } from './scheduled-place.js'
import type { Settlement } from './settlement.js'
import type { UniqueTicket } from './unique-call.js'
import { withdraw } from './withdraw.js'

export interface UniquenessOptions extends KeyHolderOptions {
  readonly results: ResultRegistry
  readonly intake: Intake
}

/** The pages of a gathering that are to be stored. The others' jobs have become handles of those that hold their keys. */
export function admit(
  gathered: Gathered,
  settlement: Settlement,
  writes: WriteBatch,
  now: number,
  options: UniquenessOptions,
): readonly GatheredPage[] {
  if (!gathered.hasTickets) return gathered.pages
  const admission = new Admission(settlement, writes, now, options)
  for (const page of gathered.pages) admission.decide(page)
  return admission.pages
}

/** The job of a page that was just stored holds its key from now on. */
export function holdKey({ hash, unique }: UniqueTicket, page: PageRef, store: JobStore, writes: WriteBatch): void {
  const { queueId, rank, header } = page
  const expiresAt = unique.withinMs === 0 ? 0 : Math.ceil(header.enqueuedAt + unique.withinMs)
  store.uniques.take(writes, hash, {
    seq: header.firstSeq,
    queueId,
    rank,
    while: unique.while,
    released: false,
    over: false,
    expiresAt,
  })
}

/** What a new input brings along. */
interface Content {
  readonly bytes: Buffer
  readonly entry: EntryView
  readonly overrides: JobOverrides | undefined
}

class Admission {
  readonly pages: GatheredPage[] = []
  readonly #settlement: Settlement
  readonly #writes: WriteBatch
  readonly #now: number
  readonly #options: UniquenessOptions
  /** Keys that enqueues of this turn take: where their pages are among `pages`. */
  readonly #fresh = new Map<string, number>()

  constructor(settlement: Settlement, writes: WriteBatch, now: number, options: UniquenessOptions) {
    this.#settlement = settlement
    this.#writes = writes
    this.#now = now
    this.#options = options
  }

  decide(page: GatheredPage): void {
    const { ticket } = page
    if (ticket === undefined) {
      this.pages.push(page)
      return
    }
    if (!ticket.call.isChecked) this.#check(ticket)
    if (!ticket.call.isRefused && this.#isNew(page, ticket)) {
      this.#fresh.set(ticket.hash, this.pages.length)
      this.pages.push(page)
    } else {
      this.#options.intake.release(ticket.bytes)
    }
  }

  /** Refuses a call if one of its keys is held, by whomever. */
  #check({ call, unique }: UniqueTicket): void {
    call.isChecked = true
    if (unique.onConflict !== 'reject') return
    const own = new Set<string>()
    for (const ticket of call.tickets) {
      const fresh = this.#pageOf(ticket.hash)
      const holder = this.#holder(ticket.hash)
      if (fresh !== undefined) call.refuse(ticket, () => fresh.handles.id(0))
      else if (holder !== undefined) call.refuse(ticket, () => this.#id(holder))
      else if (own.has(ticket.hash)) call.refuse(ticket, () => undefined)
      if (call.isRefused) return
      own.add(ticket.hash)
    }
  }

  /** Whether the job is to be stored; if not, its ticket leads to the one that holds the key. */
  #isNew(page: GatheredPage, ticket: UniqueTicket): boolean {
    const changes = ticket.unique.onConflict !== 'return'
    const fresh = this.#pageOf(ticket.hash)
    if (fresh !== undefined) {
      ticket.existing = fresh.handles
      if (changes) this.#changeFresh(fresh, page, ticket)
      return false
    }
    const holder = this.#holder(ticket.hash)
    if (holder === undefined) return true
    if (changes && !holder.over) {
      const place = placeOfHolder(holder, this.#settlement, this.#options)
      if (place !== undefined && withdraw(place, this.#options)) this.#change(place, page, ticket)
      // Nobody may be left behind with an input that never runs.
      else if (holder.expiresAt <= this.#now) return true
    }
    ticket.existing = this.#handles(holder)
    return false
  }

  // ---- who holds a key ----

  #pageOf(hash: string): GatheredPage | undefined {
    const at = this.#fresh.get(hash)
    return at === undefined ? undefined : this.pages[at]
  }

  #holder(hash: string): KeyHolder | undefined {
    return keyHolder(hash, this.#settlement, this.#now, this.#options)
  }

  #id({ seq, queueId, rank }: KeyHolder): string {
    return formatJobId(seq, queueId, rank, this.#options.store.mark)
  }

  #handles(holder: KeyHolder): PageHandles {
    const { results, store } = this.#options
    const place = this.#settlement.moves.places.get(holder.seq)
    const isSolo = place?.page.header.solo ?? store.isSolo(holder.seq)
    return results.handlesOfOne(holder, holder.over ? 'over' : isSolo ? 'solo' : 'page')
  }

  // ---- other input and settings for a job that waits ----

  /** It is about to be stored by this very commit: the later content goes in its place. */
  #changeFresh(fresh: GatheredPage, page: GatheredPage, ticket: UniqueTicket): void {
    const content = contentOf(page)
    const builder = new PageBuilder()
    begin(builder, content, keyOf(fresh.ticket?.unique ?? ticket.unique), content.entry.flags, undefined)
    const runAt = ticket.unique.tellsWhen ? page.runAt : fresh.runAt
    const at = this.#fresh.get(ticket.hash)
    if (at === undefined || fresh.ticket === undefined) return
    const { bytes } = ticket
    const { lane, externals } = page
    this.pages[at] = { ...fresh, lane, builder, runAt, externals, ticket: { ...fresh.ticket, bytes } }
    // Its content is pending until the commit, and that which was there before is not any more.
    this.#options.intake.release(fresh.ticket.bytes - bytes)
  }

  #change(place: Place, given: GatheredPage, ticket: UniqueTicket): void {
    const { page, offset } = place
    assert(page.header.count === 1, 'a job with a unique key has its page to itself')
    const entry = readEntry(page.data, offset)
    const key = page.overrides(entry.overrides)?.unique ?? keyOf(ticket.unique)
    this.#changePayload(page.seqOf(0), entry, given)
    const content = contentOf(given)
    const ledger = readHistory(page.data, entry)
    const kept = entry.flags & (ENTRY_RETRY | ENTRY_SUSPECT)
    if (place.at === 'page' && (!ticket.unique.tellsWhen || given.runAt <= this.#now)) {
      const header = { ...page.header, epoch: this.#options.store.counters.epoch }
      if (given.lane !== page.lane) {
        this.#changeLane(page, given.lane, content, key, ledger)
        return
      }
      page.rewrite(seal(header, content, key, kept, ledger))
      this.#options.store.putPage(this.#writes, page)
      this.#options.store.changing(page)
      this.#settlement.moves.places.set(header.firstSeq, { ...place, offset: PAGE_HEADER_BYTES })
      return
    }
    const runAt = !ticket.unique.tellsWhen ? page.header.runAt : Math.max(given.runAt, Math.ceil(this.#now))
    if (place.at === 'page') {
      this.#options.store.stats.moved(page, 'waiting', hasRun(ledger) ? 'retryable' : 'scheduled')
      this.#leaveLane(page, ledger)
    } else this.#leaveSchedule(place.scheduled.key)
    const isRetry = place.at === 'page' ? hasRun(ledger) : (kept & ENTRY_RETRY) !== 0
    const history = ledger === undefined ? undefined : { ...ledger, suspect: false }
    this.#schedule(page, runAt, content, key, isRetry ? ENTRY_RETRY : 0, history)
  }

  #changePayload(seq: number, { flags }: EntryView, { externals }: GatheredPage): void {
    const { store } = this.#options
    if ((flags & ENTRY_EXTERNAL) !== 0) store.removePayload(this.#writes, seq, PAYLOAD_INPUT)
    for (const { bytes } of externals) store.putPayload(this.#writes, seq, PAYLOAD_INPUT, bytes)
  }

  /** Its limit key is another one: it goes to the end of the lane of that. */
  #changeLane(from: PageRef, lane: number, content: Content, key: JobOverrides['unique'], ledger: JobLedger | undefined): void {
    const { store, ready } = this.#options
    const { queueId, rank } = from
    const header = { ...from.header, epoch: store.counters.epoch }
    const bytes = seal(header, content, key, 0, ledger === undefined ? undefined : { ...ledger, suspect: false })
    this.#leaveLane(from, ledger)
    const page = new PageRef(queueId, rank, store.counters.nextSeq++, 0, header, bytes, -1, lane)
    store.putPage(this.#writes, page)
    store.putLocation(this.#writes, header.solo ? INDEX_SOLO : INDEX_GROUP, header.firstSeq, page.key)
    ready.append(page)
    this.#settlement.moves.places.set(header.firstSeq, { at: 'page', page, index: 0, offset: PAGE_HEADER_BYTES })
  }

  /** It is elsewhere from now on. Another input's suspicion is not this one's. */
  #leaveLane(page: PageRef, ledger: JobLedger | undefined): void {
    const { store, ready } = this.#options
    page.markDone(0)
    store.putProgress(this.#writes, page)
    store.changing(page)
    if (ledger?.suspect !== true) return
    removeSuspect(this.#writes, page.seqOf(0))
    ready.suspects.leaves(page)
  }

  #leaveSchedule(key: Buffer): void {
    this.#writes.remove('scheduled', key)
    // Should it be due in this turn, the record that can be read is the old one.
    this.#settlement.unscheduled.add(key.toString('latin1'))
  }

  #schedule(
    { queueId, rank, header }: PageRef,
    runAt: number,
    content: Content,
    key: JobOverrides['unique'],
    flags: number,
    ledger: JobLedger | undefined,
  ): void {
    const { store } = this.#options
    const seq = header.firstSeq
    const bytes = seal({ ...header, runAt, epoch: store.counters.epoch }, content, key, flags, ledger)
    store.scheduled.put(this.#writes, runAt, queueId, rank, bytes, seq, header.solo)
    this.#settlement.dueAt = Math.min(this.#settlement.dueAt, runAt)
    this.#settlement.moves.places.set(seq, scheduledPlace(runAt, queueId, rank, bytes))
  }
}

/** One that was brought back may have a history without attempts. */
function hasRun(ledger: JobLedger | undefined): boolean {
  return ledger !== undefined && ledger.attempts.length > 0
}

function keyOf({ key, while: until }: CompiledUnique): JobOverrides['unique'] {
  return { key, while: until }
}

/** The page is not stored; what is in it goes elsewhere. */
function contentOf({ builder }: GatheredPage): Content {
  const bytes = builder.seal({ solo: false, count: 1, firstSeq: 0, enqueuedAt: 0, runAt: 0, epoch: 0 })
  const entry = readEntry(bytes, PAGE_HEADER_BYTES)
  return { bytes, entry, overrides: readOverrides(bytes)[entry.overrides - 1] }
}

/** Writes the one job of a page. How long the key is held stays as it was. */
function begin(
  builder: PageBuilder,
  { bytes, entry, overrides }: Content,
  key: JobOverrides['unique'],
  flags: number,
  ledger: JobLedger | undefined,
): void {
  const kept = { ...overrides, ...(key && { unique: key }) }
  builder.begin(entry.definitionId, flags, kept, ledger === undefined ? undefined : JSON.stringify(ledger))
  builder.writer.slice(bytes, entry.payloadFrom, entry.end)
  builder.end()
}

function seal(
  header: PageHeader,
  content: Content,
  key: JobOverrides['unique'],
  flags: number,
  ledger: JobLedger | undefined,
): Buffer {
  const builder = new PageBuilder()
  begin(builder, content, key, content.entry.flags | flags, ledger)
  return builder.seal(header)
}
