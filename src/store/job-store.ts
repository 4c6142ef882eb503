/**
 * What lies where in the store. Turns the words of the domain (a page, a claim, a finished block) into writes of a commit and
 * reads them back; owns the counters and the interned names. It decides nothing.
 *
 * Tables (keys in `codec/keys`):
 *   meta       'format' · 'counters' · 'queue:<id>' · 'definition:<id>' · 'queue-state:<queue id>' · 'stats:…' · 'schedule:<name>'
 *   pages      waiting and running jobs, in run order
 *   marks      which jobs of a page are over, while others are not
 *   scheduled  delayed pages and retries, in due order (`scheduled-pages`)
 *   index      the way to jobs that left the page in which they were enqueued, and to the holders of unique keys
 *   claims     what is handed to threads: one record a batch
 *   finished   jobs that are over, in blocks (`finished-blocks`)
 *   payloads   inputs and outputs too large to be carried along
 */
import { MillraceError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import {
  INDEX_GROUP,
  INDEX_SOLO,
  indexKey,
  isKeyed,
  keyAfter,
  laneEnd,
  lanePageKey,
  metaKey,
  numberKey,
  pageKey,
  payloadKey,
  readPageKey,
} from '../codec/keys.js'
import { readPageHeader } from '../codec/page.js'
import { type Claim, readClaim, writeClaim } from '../codec/claim-record.js'
import { type Location, readLocation, writeLocation } from '../codec/location.js'
import { STORE_MARKS } from '../job/job-id.js'
import { type Counters, firstCounters, storedCounters } from './counters.js'
import type { Engine, WriteBatch } from './engine.js'
import { FinishedBlocks } from './finished-blocks.js'
import { FORMAT, readFormat } from './format.js'
import { readMeta } from './meta.js'
import { pagesOfQueue } from './keyed-pages.js'
import { Names } from './names.js'
import { UniqueIndex } from './unique-index.js'
import { PageRef } from './page-ref.js'
import { ScheduledPages } from './scheduled-pages.js'
import { Statistics, storedSince } from './statistics.js'

export type { Counters } from './counters.js'

export class JobStore {
  readonly engine: Engine
  readonly mark: number
  readonly counters: Counters
  readonly stats: Statistics
  readonly uniques: UniqueIndex
  readonly scheduled: ScheduledPages
  readonly finished: FinishedBlocks
  readonly #names = { queue: new Names('queue'), definition: new Names('definition') }
  #newMeta: { key: string; value: string }[] = []
  /** Pages that the commit under way changes: what is read meanwhile must not be older than that. */
  readonly #changing = new Map<string, PageRef>()

  private constructor(engine: Engine, mark: number, counters: Counters) {
    this.engine = engine
    this.mark = mark
    this.counters = counters
    this.stats = new Statistics(engine, counters, storedSince(readMeta(engine, 'stats:since')))
    this.uniques = new UniqueIndex(engine)
    this.scheduled = new ScheduledPages(engine)
    this.finished = new FinishedBlocks(engine)
  }

  /**
   * Reads what the store says of itself, and makes a fresh one.
   * @throws MillraceError `MILLRACE_STORE_TOO_NEW`, `MILLRACE_STORE_CORRUPT`
   */
  static open(engine: Engine, random: Random, where: string): JobStore {
    const format = readFormat(engine, where)
    const mark = format?.mark ?? Math.floor(random.next() * STORE_MARKS)
    const counters = format === undefined ? firstCounters() : storedCounters(readMeta(engine, 'counters'), where)
    counters.epoch++
    const store = new JobStore(engine, mark, counters)
    if (format?.format !== FORMAT) store.#newMeta.push({ key: 'format', value: JSON.stringify({ format: FORMAT, mark }) })
    store.#names.queue.load(engine)
    store.#names.definition.load(engine)
    return store
  }

  // ---- names ----

  /** The number under which a name is stored; a new one is stored with the next commit. */
  queueId(name: string): number {
    return this.#intern(this.#names.queue, name)
  }

  definitionId(name: string): number {
    return this.#intern(this.#names.definition, name)
  }

  /** The number of a name that the store has met. */
  findQueue(name: string): number | undefined {
    return this.#names.queue.id(name)
  }

  findDefinition(name: string): number | undefined {
    return this.#names.definition.id(name)
  }

  queueName(id: number): string {
    return this.#names.queue.name(id)
  }

  definitionName(id: number): string {
    return this.#names.definition.name(id)
  }

  /** Every definition the store has ever held a job of, by id. */
  definitionNames(): readonly (string | undefined)[] {
    return this.#names.definition.all
  }

  #intern(names: Names, name: string): number {
    const known = names.id(name)
    if (known !== undefined) return known
    const id = names.add(name)
    this.#newMeta.push({ key: `${names.kind}:${id}`, value: name })
    return id
  }

  /** New names, the counters, and the statistics that changed, once per commit that writes anything. */
  writeMeta(batch: WriteBatch): void {
    for (const { key, value } of this.#newMeta) batch.put('meta', metaKey(key), Buffer.from(value, 'utf8'))
    this.#newMeta = []
    batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify(this.counters), 'utf8'))
    this.stats.write(batch)
  }

  // ---- pages ----

  putPage(batch: WriteBatch, page: PageRef): void {
    if (page.bytes === undefined) throw new TypeError('a page is stored with its bytes')
    batch.put('pages', page.key, page.bytes)
  }

  /** Writes what has become of a page's jobs: new marks, or its removal when the last one is over. */
  putProgress(batch: WriteBatch, page: PageRef): void {
    if (!page.isOver) {
      page.marked = true
      batch.put('marks', page.key, page.marks())
      return
    }
    batch.remove('pages', page.key)
    if (page.marked) batch.remove('marks', page.key)
    const { solo, firstSeq } = page.header
    if (!solo && (firstSeq !== page.ord || page.lane !== 0)) batch.remove('index', indexKey(INDEX_GROUP, firstSeq))
  }

  /** The pages of a lane behind `after`, in order, with their marks. */
  readLane(queueId: number, rank: number, after: { ord: number; sub: number }, limit: number, lane = 0): PageRef[] {
    const start = keyAfter(queueId, rank, after, lane)
    const entries = this.engine.range('pages', { start, end: laneEnd(queueId, rank, lane), limit })
    return entries.map(({ key, value }) => this.#pageOf(key, value))
  }

  /** Jobs put back behind a page that lie behind `after`, which has the same `ord`. */
  readPlace(queueId: number, rank: number, after: { ord: number; sub: number }, limit: number, lane = 0): PageRef[] {
    const entries = this.engine.range('pages', {
      start: keyAfter(queueId, rank, after, lane),
      end: lanePageKey(queueId, rank, lane, after.ord + 1, 0),
      limit,
    })
    return entries.map(({ key, value }) => this.#pageOf(key, value))
  }

  /** The highest place taken in a lane, 0 when it is empty. */
  lastOrd(queueId: number, rank: number): number {
    const [last] = this.engine.range('pages', {
      start: pageKey(queueId, rank, 0, 0),
      end: laneEnd(queueId, rank),
      limit: 1,
      reverse: true,
    })
    return last === undefined ? 0 : readPageKey(last.key).ord
  }

  /** The first lane of jobs without a limit key at or behind a place in the run order. */
  nextLane(queueId: number, rank: number): { queueId: number; rank: number } | undefined {
    const [first] = this.engine.range('pages', { start: pageKey(queueId, rank, 0, 0), limit: 1 })
    return first === undefined || isKeyed(first.key) ? undefined : readPageKey(first.key)
  }

  readPage(key: Buffer): PageRef | undefined {
    const value = this.engine.get('pages', key)
    return value === undefined ? undefined : this.#pageOf(key, value)
  }

  /** Pages of any lane behind `after`, for looking through them. With a queue: from its first one on, and only its own. */
  readPages(after: Buffer | undefined, limit: number, queueId?: number): PageRef[] {
    const start = after === undefined ? undefined : Buffer.concat([after, Buffer.of(0)])
    const entries =
      queueId === undefined
        ? this.engine.range('pages', { ...(start && { start }), limit })
        : pagesOfQueue(this.engine, queueId, start, limit)
    return entries.map(({ key, value }) => this.#pageOf(key, value))
  }

  /** A page's bytes, read again when memory let go of them. */
  bytesOf(page: PageRef): Buffer {
    const bytes = page.bytes ?? this.engine.get('pages', page.key)
    if (bytes === undefined)
      throw new MillraceError('MILLRACE_STORE_CORRUPT', `The page of job ${page.header.firstSeq} is missing.`)
    page.bytes = bytes
    return bytes
  }

  /** Makes reads return this very page until `committed`. */
  changing(page: PageRef): void {
    this.#changing.set(page.name, page)
  }

  /** The commit under way has become durable. */
  committed(): void {
    this.uniques.committed()
    this.#changing.clear()
    this.scheduled.committed()
    this.finished.committed()
    this.stats.committed()
  }

  readMarks(key: Buffer): Buffer | undefined {
    return this.engine.get('marks', key)
  }

  #pageOf(key: Buffer, value: Buffer): PageRef {
    const { queueId, rank, lane, ord, sub } = readPageKey(key)
    const changing = this.#changing.get(`${ord}.${sub}`)
    if (changing !== undefined) return changing
    const page = new PageRef(queueId, rank, ord, sub, readPageHeader(value), value, -1, lane)
    const marks = this.engine.get('marks', key)
    if (marks !== undefined) page.restoreMarks(marks)
    return page
  }

  // ---- where a job is ----

  putLocation(batch: WriteBatch, kind: typeof INDEX_SOLO | typeof INDEX_GROUP, seq: number, key: Buffer): void {
    batch.put('index', indexKey(kind, seq), writeLocation('pages', key))
  }

  removeLocation(batch: WriteBatch, seq: number): void {
    batch.remove('index', indexKey(INDEX_SOLO, seq))
  }

  /** Whether a job goes its own way, with a history, as of the last commit. */
  isSolo(seq: number): boolean {
    return this.engine.get('index', indexKey(INDEX_SOLO, seq)) !== undefined
  }

  /** The place of a job that has a page of its own, or was delayed with others. */
  locate(seq: number): Location | undefined {
    const solo = this.engine.get('index', indexKey(INDEX_SOLO, seq))
    if (solo !== undefined) return readLocation(solo)
    const [group] = this.engine.range('index', {
      start: indexKey(INDEX_GROUP, 0),
      end: indexKey(INDEX_GROUP, seq + 1),
      limit: 1,
      reverse: true,
    })
    if (group === undefined) return undefined
    const location = readLocation(group.value)
    const page = location.table === 'pages' ? this.readPage(location.key)?.header : this.scheduled.readAt(location.key)?.header
    return page !== undefined && seq < page.firstSeq + page.count ? location : undefined
  }

  /** The page of its lane in which a job without a limit key was enqueued, if it is still there. */
  homePage(queueId: number, rank: number, seq: number): Buffer | undefined {
    const [entry] = this.engine.range('pages', {
      start: pageKey(queueId, rank, 0, 0),
      end: pageKey(queueId, rank, seq, 1),
      limit: 1,
      reverse: true,
    })
    // A job put back behind its page has a `sub`, and may lie between.
    if (entry === undefined) return undefined
    const { ord, sub } = readPageKey(entry.key)
    return sub === 0 ? entry.key : pageKey(queueId, rank, ord, 0)
  }

  // ---- claims ----

  putClaim(batch: WriteBatch, claim: Claim): void {
    batch.put('claims', numberKey(claim.batchId), writeClaim(claim))
  }

  removeClaim(batch: WriteBatch, batchId: number): void {
    batch.remove('claims', numberKey(batchId))
  }

  readClaims(limit: number): Claim[] {
    return this.engine.range('claims', { limit }).map(({ key, value }) => readClaim(key.readUIntBE(0, 6), value))
  }

  // ---- payloads that lie apart ----

  putPayload(batch: WriteBatch, seq: number, kind: number, bytes: Uint8Array): void {
    batch.put('payloads', payloadKey(seq, kind), bytes)
  }

  removePayload(batch: WriteBatch, seq: number, kind: number): void {
    batch.remove('payloads', payloadKey(seq, kind))
  }

  readPayload(seq: number, kind: number): Buffer | undefined {
    return this.engine.get('payloads', payloadKey(seq, kind))
  }
}
