/**
 * Looks through a whole store, record by record, for what must hold between two commits. It knows the bytes (`src/codec`) and no more
 * of the library, so that a fault in the store's own bookkeeping cannot hide itself. Used by the doctor and by the tests.
 *
 * - A job is in exactly one place: in a page and not marked, in a scheduled page and not marked, or in a finished block.
 * - The index leads to every job that left the page it was enqueued in, to every suspect, to every holder of a unique key, and to
 *   nothing else.
 * - Marks belong to a page and leave at least one of its jobs. Payloads belong to a job, and every job has those it names.
 * - The counters are what a recount gives; of what is over, that is kept which is not accounted for as gone. Numbers that were given
 *   out are below the next one. Statistics agree.
 * - What was set of queues is of queues that there are, and says something. Nothing is claimed.
 *
 * A problem whose truth follows from the rest of the store comes with the writes that put it right. What happened to a job decides
 * between two records of it: one that is over is over, and one that moved on is where it moved to. Nothing that only one record
 * knows is ever written over or removed.
 *
 * Holds some hundred bytes for each job of the store while it works.
 */
import { readClaim } from '../codec/claim-record.js'
import { readBlock, readBlockHeader } from '../codec/finished-block.js'
import {
  finishedEnd,
  finishedKey,
  INDEX_GROUP,
  INDEX_SOLO,
  INDEX_SUSPECT,
  INDEX_UNIQUE,
  INDEX_UNIQUE_EXPIRY,
  metaKey,
  PAYLOAD_INPUT,
  PAYLOAD_OUTPUT,
  readPageKey,
  scheduledKey,
} from '../codec/keys.js'
import {
  ENTRY_EXTERNAL,
  ENTRY_RETRY,
  ENTRY_UNFIT,
  type EntryView,
  PAGE_HEADER_BYTES,
  type PageHeader,
  readEntry,
  readHistory,
  readOverrides,
  readPageHeader,
} from '../codec/page.js'
import { readPayload } from '../codec/payload.js'
import { readScheduled } from '../codec/scheduled-record.js'
import type { FinalState } from '../job/job-info.js'
import type { JobLedger } from '../job/job-state.js'
import { type Engine, type Entry, type Table, TABLES, type WriteBatch } from '../store/engine.js'
import { checkCounters, type Recount } from './audit-counters.js'
import { isNew, ledgerProblems } from './audit-ledger.js'
import { auditMeta, type KnownNames } from './audit-meta.js'
import { StatisticsAudit } from './audit-statistics.js'
import { IndexAudit } from './audit-index.js'
import { misplacements } from './audit-limits.js'
import { UniqueAudit } from './audit-unique.js'
import { type FoundPage, hex, isMarked, leavePage, nameOf, type Place, removePage, setMark, sizeApart } from './found-page.js'

export interface AuditOptions {
  /** The store is as a dead process left it: claims are allowed, if they make sense. */
  readonly crashed?: boolean
  /** Nothing was ever pruned: each job that is over must be there still. */
  readonly keepsAll?: boolean
  /** Inputs and outputs are decoded too. */
  readonly payloads?: boolean
  /** Called now and then: the look goes on. */
  readonly onProgress?: (table: Table) => void
}

/** Something that is wrong. */
export interface AuditProblem {
  readonly text: string
  /** Adds the writes that put it right; absent when nothing in the store tells how. */
  readonly repair?: (batch: WriteBatch) => void
}

export interface Audit {
  /** Empty when nothing is wrong. */
  readonly problems: readonly AuditProblem[]
  readonly jobs: Recount
  /** Records by table. */
  readonly records: Readonly<Record<Table, number>>
  /** Jobs that a thread had been handed when the store was left. */
  readonly claimed: number
  /** Jobs that are to be run alone, because they were in flight at a crash beside others. */
  readonly suspects: number
  /** When the oldest job that is not over was enqueued, in epoch ms; undefined when there is none. */
  readonly oldestAt: number | undefined
  readonly queues: number
  readonly definitions: number
}

export function auditStore(engine: Engine, options: AuditOptions = {}): Audit {
  return new StoreAudit(engine, options).run()
}

const FINAL_STATES = ['completed', 'cancelled', 'discarded'] as const
const STEP = 500

class StoreAudit {
  readonly #engine: Engine
  readonly #options: AuditOptions
  readonly #problems: AuditProblem[] = []
  /** Where each job is, by number. */
  readonly #places = new Map<number, Place>()
  /** Both tables; their keys differ in length. */
  readonly #pages = new Map<string, FoundPage>()
  /** Payloads that jobs name: the job's number and the kind; and their sizes, where the job tells. */
  readonly #payloads = new Map<string, number | undefined>()
  readonly #index = new IndexAudit()
  readonly #unique: UniqueAudit
  readonly #names: KnownNames = { queue: new Set(), definition: new Set() }
  readonly #statistics = new StatisticsAudit()
  /** Marked jobs, which must be somewhere else. */
  readonly #left = new Map<number, string>()
  readonly #highest = { seq: 0, block: 0, batch: 0, epoch: 0 }
  readonly #records = Object.fromEntries(TABLES.map((table) => [table, 0])) as Record<Table, number>
  #oldestAt = Infinity
  #claimed = 0
  #suspects = 0
  /** Records that cannot be read: what they knew is unknown, so that nothing else may be taken for superfluous. */
  #unread = 0

  constructor(engine: Engine, options: AuditOptions) {
    this.#engine = engine
    this.#options = options
    this.#unique = new UniqueAudit(engine, options.keepsAll === true)
  }

  run(): Audit {
    this.#problems.push(...auditMeta([...this.#entries('meta')], this.#names, this.#highest))
    for (const entry of this.#entries('pages')) this.#try('pages', entry, () => this.#page(entry))
    for (const entry of this.#entries('scheduled')) this.#try('scheduled', entry, () => this.#scheduled(entry))
    for (const state of FINAL_STATES) this.#finished(state)
    for (const entry of this.#entries('marks')) this.#marksHavePage(entry)
    for (const entry of this.#entries('claims')) this.#try('claims', entry, () => this.#claim(entry))
    this.#checkIndex()
    this.#checkPayloads()
    this.#checkCounters()
    for (const [seq, where] of this.#options.keepsAll === true ? this.#left : [])
      if (!this.#places.has(seq)) this.#problem(`job ${seq} is marked in ${where} and is nowhere else`)
    const problems = this.#unread === 0 ? this.#problems : this.#problems.map(({ text }) => ({ text }))
    return {
      problems,
      jobs: this.#statistics.recount,
      records: this.#records,
      claimed: this.#claimed,
      suspects: this.#suspects,
      oldestAt: this.#oldestAt === Infinity ? undefined : this.#oldestAt,
      queues: this.#names.queue.size,
      definitions: this.#names.definition.size,
    }
  }

  #problem(text: string, repair?: AuditProblem['repair']): void {
    this.#problems.push({ text, ...(repair && { repair }) })
  }

  #try(table: Table, { key }: Entry, check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#unread++
      this.#problem(`${table} ${hex(key)} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  *#entries(table: Table, start?: Buffer, end?: Buffer): Generator<Entry> {
    let from = start
    for (;;) {
      const found = this.#engine.range(table, { ...(from && { start: from }), ...(end && { end }), limit: STEP })
      this.#options.onProgress?.(table)
      this.#records[table] += found.length
      yield* found
      const last = found.at(-1)
      if (last === undefined || found.length < STEP) return
      from = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  // ---- pages ----

  #page({ key, value }: Entry): void {
    const { queueId, rank, lane, ord, sub } = readPageKey(key)
    const { header, suspect } = this.#readPage('pages', key, value, queueId, rank)
    const { solo, firstSeq } = header
    this.#highest.seq = Math.max(this.#highest.seq, ord)
    if (!solo && sub !== 0) this.#problem(`pages ${hex(key)} holds a page of several jobs behind another page`)
    for (const text of misplacements(value, lane)) this.#problem(`pages ${hex(key)} ${text}`)
    if (!solo && (ord !== firstSeq || lane !== 0)) this.#index.expect(INDEX_GROUP, firstSeq, key, 0)
    if (solo) this.#index.expect(INDEX_SOLO, firstSeq, key, 0)
    if (suspect) this.#index.expect(INDEX_SUSPECT, firstSeq, key, 0)
  }

  #scheduled({ key, value }: Entry): void {
    const { queueId, rank, bytes } = readScheduled(key, value)
    const { header, suspect } = this.#readPage('scheduled', key, bytes, queueId, rank)
    for (const text of misplacements(bytes)) this.#problem(`scheduled ${hex(key)} ${text}`)
    const isAt = (isSolo: boolean): boolean => scheduledKey(header.runAt, header.firstSeq, isSolo).equals(key)
    if (!isAt(header.solo) && !isAt(false))
      this.#problem(`scheduled ${hex(key)} holds a page that is due at ${header.runAt} and begins with job ${header.firstSeq}`)
    if (suspect) this.#problem(`scheduled ${hex(key)} holds a suspect`)
    this.#index.expect(header.solo ? INDEX_SOLO : INDEX_GROUP, header.firstSeq, key, 1)
  }

  #readPage(
    table: 'pages' | 'scheduled',
    key: Buffer,
    bytes: Buffer,
    queueId: number,
    rank: number,
  ): { readonly header: PageHeader; readonly suspect: boolean } {
    const header = readPageHeader(bytes)
    const where = `${table} ${hex(key)}`
    const page: FoundPage = { table, key, header, marks: this.#readMarks(where, key, header.count) }
    const place: Place = { where, stage: header.solo ? 1 : 0, page }
    let done = 0
    if (!this.#names.queue.has(queueId)) this.#problem(`${where} is of the unknown queue ${queueId}`)
    if (header.count === 0 || (header.solo && header.count !== 1)) this.#problem(`${where} holds ${header.count} jobs`)
    const overridesAt = bytes.readUInt32LE(4)
    const overrides = readOverrides(bytes)
    let suspect = false
    let offset = PAGE_HEADER_BYTES
    for (let index = 0; index < header.count; index++) {
      const entry = readEntry(bytes, offset)
      const seq = header.firstSeq + index
      const ledger = readHistory(bytes, entry)
      const isSuspect = this.#readJob(`${where}, job ${seq}`, bytes, entry, ledger, header.solo, overrides.length)
      this.#highest.seq = Math.max(this.#highest.seq, seq)
      if (isMarked(page.marks, index)) {
        done++
        this.#left.set(seq, where)
      } else {
        suspect ||= isSuspect
        this.#place(seq, place)
        const hasRun = header.solo && !isNew(ledger)
        const job = { seq, definitionId: entry.definitionId, queueId, rank, over: false, hasRun }
        this.#unique.add(job, overrides[entry.overrides - 1]?.unique)
        this.#oldestAt = Math.min(this.#oldestAt, header.enqueuedAt)
        if ((entry.flags & ENTRY_EXTERNAL) !== 0)
          this.#payloads.set(`${seq}.${PAYLOAD_INPUT}`, sizeApart(bytes.subarray(entry.payloadFrom, entry.end)))
        const gauge = table === 'pages' ? 'waiting' : (entry.flags & ENTRY_RETRY) === 0 ? 'scheduled' : 'retryable'
        this.#statistics.job(queueId, entry.definitionId, gauge, ledger?.ended)
      }
      offset = entry.end
    }
    if (offset !== (overridesAt === 0 ? bytes.length : overridesAt)) this.#problem(`${where} has bytes that are nobody's`)
    if (suspect) this.#suspects++
    if (done >= header.count)
      this.#problem(`${where} is there although all of its jobs are marked`, (batch) => removePage(batch, page))
    this.#highest.epoch = Math.max(this.#highest.epoch, header.epoch)
    this.#pages.set(nameOf(key), page)
    return { header, suspect }
  }

  /** Checks one entry of a page. Returns whether the job is a suspect. */
  #readJob(
    where: string,
    bytes: Buffer,
    entry: EntryView,
    ledger: JobLedger | undefined,
    solo: boolean,
    overrides: number,
  ): boolean {
    const { definitionId, flags } = entry
    if ((flags & ENTRY_EXTERNAL) === 0) this.#decode(where, 'input', bytes, entry.payloadFrom, entry.end)
    if (!this.#names.definition.has(definitionId)) this.#problem(`${where} is of the unknown definition ${definitionId}`)
    if (entry.overrides > overrides) this.#problem(`${where} names overrides ${entry.overrides} of ${overrides}`)
    if ((flags & ENTRY_UNFIT) !== 0) this.#problem(`${where} has a flag that is never stored`)
    for (const text of ledgerProblems(ledger, flags, solo)) this.#problem(`${where} ${text}`)
    return ledger?.suspect ?? false
  }

  #readMarks(where: string, key: Buffer, count: number): Buffer {
    const stored = this.#engine.get('marks', key)
    const marks = Buffer.alloc((count + 7) >> 3)
    if (stored === undefined) return marks
    stored.copy(marks)
    for (let index = count; index < stored.length * 8; index++) {
      if (!isMarked(stored, index)) continue
      if (index < marks.length * 8) setMark(marks, index, false)
      this.#problem(`marks of ${where} mark job ${index} of ${count}`, (batch) => batch.put('marks', key, marks))
    }
    // Of marks that are too short nobody knows what the missing ones said.
    const repair = stored.length > marks.length ? (batch: WriteBatch) => batch.put('marks', key, marks) : undefined
    if (stored.length !== marks.length) this.#problem(`marks of ${where} are ${stored.length} bytes for ${count} jobs`, repair)
    return marks
  }

  #marksHavePage({ key }: Entry): void {
    if (!this.#pages.has(nameOf(key))) this.#problem(`marks ${hex(key)} belong to no page`, (batch) => batch.remove('marks', key))
  }

  #decode(where: string, what: string, bytes: Buffer, from = 0, to = bytes.length): void {
    if (this.#options.payloads !== true) return
    try {
      readPayload(bytes, from, to)
    } catch (error) {
      this.#problem(`${where}, ${what}: ${(error as Error).message}`)
    }
  }

  #place(seq: number, place: Place): void {
    const other = this.#places.get(seq)
    if (other === undefined || other.stage < place.stage) this.#places.set(seq, place)
    if (other === undefined) return
    const text = `job ${seq} is in two places: ${other.where} and ${place.where}`
    const { page } = other.stage < place.stage ? other : place
    if (other.stage === place.stage || page === undefined) this.#problem(text)
    else this.#problem(text, (batch) => leavePage(batch, page, seq))
  }

  // ---- finished ----

  #finished(state: FinalState): void {
    for (const entry of this.#entries('finished', finishedKey(state, 0), finishedEnd(state)))
      this.#try('finished', entry, () => this.#block(state, entry))
  }

  #block(state: FinalState, { key, value }: Entry): void {
    const where = `finished ${state} ${hex(key)}`
    const { count, lowestSeq, highestSeq } = readBlockHeader(value)
    const jobs = Array.from(readBlock(value))
    this.#highest.block = Math.max(this.#highest.block, key.readUIntBE(1, 6))
    const place: Place = { where, stage: 2 }
    for (const job of jobs) {
      const { seq, queueId, definitionId, inputApart, outputApart, input, output } = job
      this.#place(seq, place)
      this.#statistics.job(queueId, definitionId, state, job.ledger?.ended)
      this.#unique.add({ ...job, over: true, hasRun: true }, job.overrides?.unique)
      this.#highest.seq = Math.max(this.#highest.seq, seq)
      if (!inputApart) this.#decode(`${where}, job ${seq}`, 'input', input)
      this.#decode(`${where}, job ${seq}`, 'output', output)
      if (seq < lowestSeq || seq > highestSeq) this.#problem(`${where} says ${lowestSeq} to ${highestSeq} and holds job ${seq}`)
      if (!this.#names.queue.has(queueId)) this.#problem(`${where}, job ${seq} is of the unknown queue ${queueId}`)
      if (!this.#names.definition.has(definitionId))
        this.#problem(`${where}, job ${seq} is of the unknown definition ${definitionId}`)
      if (state !== 'completed' && (output.length > 0 || outputApart)) this.#problem(`${where}, job ${seq} has an output`)
      if (inputApart) this.#payloads.set(`${seq}.${PAYLOAD_INPUT}`, sizeApart(input))
      if (outputApart) this.#payloads.set(`${seq}.${PAYLOAD_OUTPUT}`, undefined)
    }
    const last = jobs.at(-1)?.output
    if (last !== undefined && last.byteOffset + last.length !== value.byteOffset + value.length)
      this.#problem(`${where} has bytes that are nobody's`)
    if (count === 0) this.#problem(`${where} is empty`, (batch) => batch.remove('finished', key))
  }

  // ---- what leads to jobs, and what belongs to them ----

  #claim({ key, value }: Entry): void {
    const claim = readClaim(key.readUIntBE(0, 6), value)
    this.#highest.batch = Math.max(this.#highest.batch, claim.batchId)
    const repair = (batch: WriteBatch): void => batch.remove('claims', key)
    if (this.#options.crashed !== true) this.#problem(`batch ${claim.batchId} is claimed`, repair)
    for (const { key: page, from, to } of claim.slices) {
      const { count, firstSeq } = this.#pages.get(nameOf(page))?.header ?? { count: Infinity, firstSeq: 0 }
      this.#claimed += Math.max(0, Math.min(to, count) - from)
      this.#unique.claim(firstSeq + from, firstSeq + to)
      if (from >= to || to > count)
        this.#problem(`batch ${claim.batchId} claims jobs ${from} to ${to} of a page of ${count}`, repair)
    }
  }

  #checkIndex(): void {
    const tell = this.#problem.bind(this)
    for (const entry of this.#entries('index')) {
      const [kind] = entry.key
      if (kind === INDEX_UNIQUE) this.#try('index', entry, () => this.#unique.readHolder(entry))
      else if (kind === INDEX_UNIQUE_EXPIRY) this.#unique.readExpiry(entry)
      else this.#index.check(entry, tell)
    }
    this.#index.checkMissing(tell)
    this.#unique.check(this.#names.queue, this.#highest, tell)
  }

  #checkPayloads(): void {
    for (const { key, value } of this.#entries('payloads')) {
      const name = `${key.readUIntBE(0, 6)}.${key.readUInt8(6)}`
      this.#decode(`payload ${name}`, 'value', value)
      const size = this.#payloads.get(name) ?? value.length
      if (size !== value.length) this.#problem(`payload ${name} has ${value.length} bytes, and its job says ${size}`)
      if (!this.#payloads.delete(name))
        this.#problem(`payload ${name} belongs to no job`, (batch) => batch.remove('payloads', key))
    }
    for (const name of this.#payloads.keys()) this.#problem(`payload ${name} is missing`)
  }

  #checkCounters(): void {
    const record = this.#engine.get('meta', metaKey('counters'))
    const { keepsAll = false } = this.#options
    const { recount: kept, totals } = this.#statistics
    const { problems, rebuilt } = checkCounters(record, { kept, totals }, this.#highest, keepsAll)
    for (const text of problems) this.#problem(text, (batch) => batch.put('meta', metaKey('counters'), rebuilt))
    this.#problems.push(...this.#statistics.check(this.#engine, this.#names, record, keepsAll))
  }
}
