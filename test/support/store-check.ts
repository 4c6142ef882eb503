/**
 * Checks a whole store, record by record, against what must hold between two commits. It knows the bytes (`src/codec`) and no more
 * of the library, so that a fault in the store's own bookkeeping cannot hide itself.
 *
 * - A job is in exactly one place: in a page and not marked, in a scheduled page and not marked, or in a finished block.
 * - The index leads to every job that left the page it was enqueued in, to every suspect, and to nothing else.
 * - Marks belong to a page and leave at least one of its jobs. Payloads belong to a job, and every job has those it names.
 * - The counters are what a recount gives; numbers that were given out are below the next one.
 * - Nothing is claimed.
 */
import type { ClaimedSlice } from '../../src/codec/claim-record.js'
import { readClaim } from '../../src/codec/claim-record.js'
import { readBlock, readBlockHeader } from '../../src/codec/finished-block.js'
import {
  finishedEnd,
  finishedKey,
  INDEX_GROUP,
  INDEX_SOLO,
  INDEX_SUSPECT,
  metaKey,
  PAYLOAD_INPUT,
  PAYLOAD_OUTPUT,
  readPageKey,
  scheduledKey,
} from '../../src/codec/keys.js'
import type { EntryView, PageHeader } from '../../src/codec/page.js'
import {
  ENTRY_EXTERNAL,
  ENTRY_RETRY,
  ENTRY_SUSPECT,
  ENTRY_UNFIT,
  PAGE_HEADER_BYTES,
  readEntry,
  readHistory,
  readOverrides,
  readPageHeader,
} from '../../src/codec/page.js'
import { readScheduled } from '../../src/codec/scheduled-record.js'
import type { FinalState } from '../../src/job/job-info.js'
import type { Engine, Entry, Table } from '../../src/store/engine.js'

export interface StoreCheckOptions {
  /** The store is as a dead process left it: claims are allowed, if they make sense. */
  readonly crashed?: boolean
  /** Nothing was ever pruned: each job that is over must be there still. */
  readonly keepsAll?: boolean
}

/** What is wrong with the store, one line each; empty when nothing is. */
export function checkStore(engine: Engine, options: StoreCheckOptions = {}): string[] {
  return new StoreCheck(engine, options).run()
}

/** As much of the counters record as is checked. */
type Counters = Record<'nextSeq' | 'nextBatch' | 'nextBlock' | 'scheduled' | 'waiting' | 'retryable' | FinalState, number>

interface FoundPage {
  readonly table: 'pages' | 'scheduled'
  readonly key: Buffer
  readonly header: PageHeader
  readonly suspect: boolean
  readonly isDone: (index: number) => boolean
}

const FINAL_STATES = ['completed', 'cancelled', 'discarded'] as const
const KINDS = { [INDEX_SOLO]: 'solo', [INDEX_GROUP]: 'group', [INDEX_SUSPECT]: 'suspect' } as const
const STEP = 500

class StoreCheck {
  readonly #engine: Engine
  readonly #options: StoreCheckOptions
  readonly #problems: string[] = []
  /** Where each job is, by number. */
  readonly #places = new Map<number, string>()
  /** Both tables; their keys differ in length. */
  readonly #pages = new Map<string, FoundPage>()
  /** Payloads that jobs name: the job's number and the kind. */
  readonly #payloads = new Set<string>()
  /** Index entries that there must be: kind and number, and the key they lead to. */
  readonly #index = new Map<string, Buffer>()
  readonly #names = { queue: new Set<number>(), definition: new Set<number>() }
  readonly #recount = { waiting: 0, scheduled: 0, retryable: 0, completed: 0, cancelled: 0, discarded: 0 }
  /** Marked jobs, which must be somewhere else. */
  readonly #left = new Map<number, string>()
  #highest = { seq: 0, block: 0, batch: 0 }

  constructor(engine: Engine, options: StoreCheckOptions) {
    this.#engine = engine
    this.#options = options
  }

  run(): string[] {
    this.#readNames()
    for (const entry of this.#entries('pages')) this.#try('pages', entry, () => this.#page(entry))
    for (const entry of this.#entries('scheduled')) this.#try('scheduled', entry, () => this.#scheduled(entry))
    for (const state of FINAL_STATES) this.#finished(state)
    for (const entry of this.#entries('marks')) this.#marksHavePage(entry)
    for (const entry of this.#entries('claims')) this.#try('claims', entry, () => this.#claim(entry))
    this.#checkIndex()
    this.#checkPayloads()
    this.#checkCounters()
    if (this.#options.keepsAll === true) {
      for (const [seq, where] of this.#left)
        if (!this.#places.has(seq)) this.#problem(`job ${seq} is marked in ${where} and is nowhere else`)
    }
    return this.#problems
  }

  #problem(text: string): void {
    this.#problems.push(text)
  }

  #try(table: Table, { key }: Entry, check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#problem(`${table} ${hex(key)} cannot be read: ${String(error)}`)
    }
  }

  *#entries(table: Table, start?: Buffer, end?: Buffer): Generator<Entry> {
    let from = start
    for (;;) {
      const found = this.#engine.range(table, { ...(from && { start: from }), ...(end && { end }), limit: STEP })
      yield* found
      const last = found.at(-1)
      if (last === undefined || found.length < STEP) return
      from = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  #readNames(): void {
    for (const { key } of this.#entries('meta')) {
      const [kind, id] = key.toString('utf8').split(':')
      if (kind === 'queue' || kind === 'definition') this.#names[kind].add(Number(id))
    }
    if (this.#engine.get('meta', metaKey('format')) === undefined) this.#problem('meta has no format')
  }

  // ---- pages ----

  #page({ key, value }: Entry): void {
    const { queueId, ord, sub } = readPageKey(key)
    const found = this.#readPage('pages', key, value, queueId)
    const { solo, firstSeq } = found.header
    this.#highest.seq = Math.max(this.#highest.seq, ord)
    if (!solo && sub !== 0) this.#problem(`pages ${hex(key)} holds a page of several jobs behind another page`)
    if (!solo && ord !== firstSeq) this.#expectIndex(INDEX_GROUP, firstSeq, key, 0)
    if (solo) this.#expectIndex(INDEX_SOLO, firstSeq, key, 0)
    if (found.suspect) this.#expectIndex(INDEX_SUSPECT, firstSeq, key, 0)
  }

  #scheduled({ key, value }: Entry): void {
    const { queueId, bytes } = readScheduled(key, value)
    const { header, suspect } = this.#readPage('scheduled', key, bytes, queueId)
    if (!scheduledKey(header.runAt, header.firstSeq).equals(key))
      this.#problem(`scheduled ${hex(key)} holds a page that is due at ${header.runAt} and begins with job ${header.firstSeq}`)
    if (suspect) this.#problem(`scheduled ${hex(key)} holds a suspect`)
    this.#expectIndex(header.solo ? INDEX_SOLO : INDEX_GROUP, header.firstSeq, key, 1)
  }

  #readPage(table: 'pages' | 'scheduled', key: Buffer, bytes: Buffer, queueId: number): FoundPage {
    const header = readPageHeader(bytes)
    const where = `${table} ${hex(key)}`
    const isDone = this.#readMarks(where, key, header.count)
    if (!this.#names.queue.has(queueId)) this.#problem(`${where} is of the unknown queue ${queueId}`)
    if (header.count === 0 || (header.solo && header.count !== 1)) this.#problem(`${where} holds ${header.count} jobs`)
    const overridesAt = bytes.readUInt32LE(4)
    const overrides = readOverrides(bytes).length
    let suspect = false
    let offset = PAGE_HEADER_BYTES
    for (let index = 0; index < header.count; index++) {
      const entry = readEntry(bytes, offset)
      const seq = header.firstSeq + index
      const isSuspect = this.#readJob(`${where}, job ${seq}`, bytes, entry, header.solo, overrides)
      this.#highest.seq = Math.max(this.#highest.seq, seq)
      if (isDone(index)) this.#left.set(seq, where)
      else {
        suspect ||= isSuspect
        this.#place(seq, where)
        if ((entry.flags & ENTRY_EXTERNAL) !== 0) this.#payloads.add(`${seq}.${PAYLOAD_INPUT}`)
        if (table === 'pages') this.#recount.waiting++
        else this.#recount[(entry.flags & ENTRY_RETRY) === 0 ? 'scheduled' : 'retryable']++
      }
      offset = entry.end
    }
    if (offset !== (overridesAt === 0 ? bytes.length : overridesAt)) this.#problem(`${where} has bytes that are nobody's`)
    const found = { table, key, header, suspect, isDone }
    this.#pages.set(nameOf(key), found)
    return found
  }

  /** Checks one entry of a page. Returns whether the job is a suspect. */
  #readJob(where: string, bytes: Buffer, entry: EntryView, solo: boolean, overrides: number): boolean {
    const { definitionId, flags } = entry
    const ledger = readHistory(bytes, entry)
    if (!this.#names.definition.has(definitionId)) this.#problem(`${where} is of the unknown definition ${definitionId}`)
    if (entry.overrides > overrides) this.#problem(`${where} names overrides ${entry.overrides} of ${overrides}`)
    if ((flags & ENTRY_UNFIT) !== 0) this.#problem(`${where} has a flag that is never stored`)
    if (solo !== (ledger !== undefined))
      this.#problem(`${where} ${solo ? 'is alone and has no' : 'is with others and has a'} history`)
    if ((flags & ENTRY_RETRY) !== 0 && !solo) this.#problem(`${where} is a retry among others`)
    if (((flags & ENTRY_SUSPECT) !== 0) !== (ledger?.suspect ?? false)) this.#problem(`${where} is a suspect by half`)
    const charged = ledger?.attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'timedOut').length ?? 0
    if (charged > (ledger?.charged ?? 0)) this.#problem(`${where} was charged ${ledger?.charged} attempts of ${charged}`)
    return ledger?.suspect ?? false
  }

  #readMarks(where: string, key: Buffer, count: number): (index: number) => boolean {
    const marks = this.#engine.get('marks', key)
    if (marks === undefined) return () => false
    if (marks.length !== (count + 7) >> 3) this.#problem(`marks of ${where} are ${marks.length} bytes for ${count} jobs`)
    const isDone = (index: number): boolean => ((marks[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
    let done = 0
    for (let index = 0; index < marks.length * 8; index++) {
      if (!isDone(index)) continue
      done++
      if (index >= count) this.#problem(`marks of ${where} mark job ${index} of ${count}`)
    }
    if (done >= count) this.#problem(`${where} is there although all of its jobs are marked`)
    return isDone
  }

  #marksHavePage({ key }: Entry): void {
    if (!this.#pages.has(nameOf(key))) this.#problem(`marks ${hex(key)} belong to no page`)
  }

  #place(seq: number, where: string): void {
    const other = this.#places.get(seq)
    if (other === undefined) this.#places.set(seq, where)
    else this.#problem(`job ${seq} is in two places: ${other} and ${where}`)
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
    for (const { seq, queueId, definitionId, inputApart, outputApart, output } of jobs) {
      this.#place(seq, where)
      this.#highest.seq = Math.max(this.#highest.seq, seq)
      if (seq < lowestSeq || seq > highestSeq) this.#problem(`${where} says ${lowestSeq} to ${highestSeq} and holds job ${seq}`)
      if (!this.#names.queue.has(queueId)) this.#problem(`${where}, job ${seq} is of the unknown queue ${queueId}`)
      if (!this.#names.definition.has(definitionId))
        this.#problem(`${where}, job ${seq} is of the unknown definition ${definitionId}`)
      if (state !== 'completed' && (output.length > 0 || outputApart)) this.#problem(`${where}, job ${seq} has an output`)
      if (inputApart) this.#payloads.add(`${seq}.${PAYLOAD_INPUT}`)
      if (outputApart) this.#payloads.add(`${seq}.${PAYLOAD_OUTPUT}`)
    }
    this.#recount[state] += jobs.length
    if (count === 0) this.#problem(`${where} is empty`)
  }

  // ---- what leads to jobs, and what belongs to them ----

  #claim({ key, value }: Entry): void {
    const claim = readClaim(key.readUIntBE(0, 6), value)
    this.#highest.batch = Math.max(this.#highest.batch, claim.batchId)
    if (this.#options.crashed !== true) this.#problem(`batch ${claim.batchId} is claimed`)
    for (const slice of claim.slices) this.#claimedSlice(claim.batchId, slice)
  }

  #claimedSlice(batchId: number, { key, from, to }: ClaimedSlice): void {
    const count = this.#pages.get(nameOf(key))?.header.count ?? Infinity
    if (from >= to || to > count) this.#problem(`batch ${batchId} claims jobs ${from} to ${to} of a page of ${count}`)
  }

  #expectIndex(kind: keyof typeof KINDS, seq: number, key: Buffer, table: 0 | 1): void {
    this.#index.set(`${kind}.${seq}`, Buffer.concat([Buffer.of(table), key]))
  }

  #checkIndex(): void {
    for (const { key, value } of this.#entries('index')) {
      const kind = key.readUInt8(0) as keyof typeof KINDS
      const seq = key.readUIntBE(1, 6)
      const name = `index ${KINDS[kind] ?? `kind ${kind}`} ${seq}`
      const expected = this.#index.get(`${kind}.${seq}`)
      this.#index.delete(`${kind}.${seq}`)
      if (expected === undefined) this.#problem(`${name} is stray: it leads to ${hex(value)}`)
      else if (!expected.equals(value)) this.#problem(`${name} leads to ${hex(value)} instead of ${hex(expected)}`)
    }
    for (const [name, key] of this.#index) {
      const [kind, seq] = name.split('.')
      this.#problem(`index ${KINDS[Number(kind) as keyof typeof KINDS]} ${seq} is missing: nothing leads to ${hex(key)}`)
    }
  }

  #checkPayloads(): void {
    for (const { key } of this.#entries('payloads')) {
      const name = `${key.readUIntBE(0, 6)}.${key.readUInt8(6)}`
      if (!this.#payloads.delete(name)) this.#problem(`payload ${name} belongs to no job`)
    }
    for (const name of this.#payloads) this.#problem(`payload ${name} is missing`)
  }

  #checkCounters(): void {
    const record = this.#engine.get('meta', metaKey('counters'))
    if (record === undefined) {
      this.#problem('meta has no counters')
      return
    }
    const counters = JSON.parse(record.toString('utf8')) as Counters
    for (const state of ['waiting', 'scheduled', 'retryable'] as const) this.#sameCount(state, counters[state])
    for (const state of FINAL_STATES) {
      if (this.#options.keepsAll === true || this.#recount[state] > counters[state]) this.#sameCount(state, counters[state])
    }
    const { seq, block, batch } = this.#highest
    for (const [name, used] of [
      ['nextSeq', seq],
      ['nextBlock', block],
      ['nextBatch', batch],
    ] as const)
      if (!(counters[name] > used)) this.#problem(`counter ${name} is ${counters[name]}, and ${used} is in use`)
  }

  #sameCount(state: 'waiting' | 'scheduled' | 'retryable' | FinalState, counted: number): void {
    const found = this.#recount[state]
    if (counted !== found) this.#problem(`counter ${state} is ${counted}, a recount gives ${found}`)
  }
}

function hex(key: Buffer): string {
  return key.toString('hex')
}

function nameOf(key: Buffer): string {
  return key.toString('latin1')
}
