/** The store checker on a store made by hand: nothing is wrong with it, and every fault planted in it is named. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { writeClaim } from '../../src/codec/claim-record.js'
import { FinishedBlockBuilder } from '../../src/codec/finished-block.js'
import {
  finishedKey,
  INDEX_GROUP,
  INDEX_SOLO,
  INDEX_SUSPECT,
  indexKey,
  lanePageKey,
  metaKey,
  numberKey,
  pageKey,
  payloadKey,
  scheduledKey,
} from '../../src/codec/keys.js'
import { laneOf } from '../../src/codec/limit-lane.js'
import type { SoloParts } from '../../src/codec/page.js'
import { buildSolo, ENTRY_EXTERNAL, ENTRY_RETRY, ENTRY_SUSPECT, PageBuilder } from '../../src/codec/page.js'
import { scheduleKey, writeScheduleRecord } from '../../src/codec/schedule-record.js'
import { writeScheduled } from '../../src/codec/scheduled-record.js'
import { seriesKey, writeSeriesNow, writeSeriesPast } from '../../src/codec/series-record.js'
import { type KeyHolder, uniqueExpiryKey, uniqueHash, uniqueIndexKey, writeHolder } from '../../src/codec/unique-entry.js'
import type { JobAddress } from '../../src/job/job-id.js'
import { EMPTY_LEDGER } from '../../src/job/job-state.js'
import type { JobOverrides } from '../../src/job/job-overrides.js'
import type { Engine } from '../../src/store/engine.js'
import { WriteBatch } from '../../src/store/engine.js'
import { putRate } from '../../src/store/rates.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { AT, FIELDS } from '../../src/telemetry/counts.js'
import { WINDOWS } from '../../src/telemetry/windows.js'
import { planRepair } from '../../src/maintenance/repair.js'
import type { AuditOptions } from '../../src/maintenance/store-audit.js'
import { checkStore } from '../support/store-check.js'

const QUEUE = 0
const RANK = 127
const BEGUN_AT = 1000
const DUE_AT = 5000

const LIMITED: JobOverrides = { limitKey: 'tenant', limitMax: 1 }

const keys = {
  /** Job 12, in the lane of its limit key. */
  keyed: lanePageKey(QUEUE, RANK, laneOf('tenant'), 12, 0),
  /** Jobs 1 to 3; the second is over, the third has a page of its own. */
  page: pageKey(QUEUE, RANK, 1, 0),
  /** Job 3, put back behind its page. */
  suspect: pageKey(QUEUE, RANK, 1, 3),
  /** Jobs 4 and 5, once delayed together. */
  promoted: pageKey(QUEUE, RANK, 9, 0),
  /** Jobs 6 and 7, delayed together; the first was cancelled. */
  delayed: scheduledKey(DUE_AT, 6, false),
  /** Job 8, waiting for its second attempt; it holds a unique key. */
  retry: scheduledKey(DUE_AT + 1, 8, true),
  /** Job 10, alone in its page for the sake of its unique key. */
  unique: pageKey(QUEUE, RANK, 10, 0),
  completed: finishedKey('completed', 1),
  cancelled: finishedKey('cancelled', 2),
  /** Job 11, whose key is held as long as it is kept. */
  kept: finishedKey('completed', 3),
}

const hashes = {
  waiting: uniqueHash('job', 'w'),
  retry: uniqueHash('job', 'r'),
  kept: uniqueHash('job', 'k'),
  timed: uniqueHash('job', 't'),
}

function holder(change: Partial<KeyHolder>): Buffer {
  const plain = { seq: 10, queueId: QUEUE, rank: RANK, while: 'incomplete', released: false, over: false, expiresAt: 0 } as const
  return writeHolder({ ...plain, ...change })
}

/** Held by its time alone, by a job that is gone. */
const TIMED: Partial<KeyHolder> = { seq: 9, released: true, over: true, expiresAt: 80 }

/** With a flag that no holder has. */
function flagged(change: Partial<KeyHolder>): Buffer {
  const bytes = holder(change)
  bytes.writeUInt8(bytes.readUInt8(10) | 0x40, 10)
  return bytes
}

const counters = {
  nextSeq: 13,
  nextBatch: 4,
  nextBlock: 4,
  epoch: 2,
  waiting: 6,
  scheduled: 1,
  retryable: 1,
  completed: 2,
  cancelled: 1,
  discarded: 0,
}

function page(firstSeq: number, flags: readonly number[], runAt = 0, overrides?: JobOverrides): Buffer {
  const builder = new PageBuilder()
  for (const flag of flags) {
    builder.begin(0, flag, overrides)
    if ((flag & ENTRY_EXTERNAL) === 0) builder.writer.bytes(Buffer.from([1, 0x31]))
    builder.end()
  }
  return builder.seal({ solo: false, count: flags.length, firstSeq, enqueuedAt: BEGUN_AT, runAt, epoch: 1 })
}

function solo(seq: number, change: Partial<SoloParts>): Buffer {
  return buildSolo({
    seq,
    enqueuedAt: BEGUN_AT,
    runAt: 0,
    epoch: 1,
    definitionId: 0,
    flags: 0,
    overrides: undefined,
    ledger: EMPTY_LEDGER,
    source: Buffer.from([1, 0x31]),
    payloadFrom: 0,
    payloadTo: 2,
    ...change,
  })
}

function block(
  seq: number,
  change: {
    inputApart?: boolean
    outputApart?: boolean
    definitionId?: number
    output?: Buffer
    overrides?: JobOverrides
  },
): Buffer {
  const builder = new FinishedBlockBuilder()
  const nothing = Buffer.alloc(0)
  const { output = nothing, overrides, ...rest } = change
  const job = {
    seq,
    enqueuedAt: BEGUN_AT,
    startedAt: 0,
    runMs: 0,
    definitionId: 0,
    queueId: QUEUE,
    rank: RANK,
    inputApart: false,
    outputApart: false,
  }
  builder.add({ ...job, ...rest }, overrides && { overrides }, nothing, 0, 0, output, 0, output.length)
  return builder.seal(BEGUN_AT)
}

function withBit(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes)
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  return changed
}

function leadTo(table: 0 | 1, key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(table), key])
}

function putCounters(batch: WriteBatch, change: Partial<typeof counters>): void {
  batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify({ ...counters, ...change })))
}

function nightly(last: JobAddress): Buffer {
  return writeScheduleRecord({
    name: 'nightly',
    rule: { everyMs: 1000 },
    definition: 'job',
    queue: 'default',
    priority: 0,
    overrides: undefined,
    input: Buffer.of(1, 0x31),
    overlap: false,
    misfire: 'once',
    nextRunAt: DUE_AT,
    seenAt: BEGUN_AT,
    lastRunAt: BEGUN_AT,
    last,
    skippedAt: undefined,
  })
}

/** Statistics of all the jobs there are. */
const counts = {
  enqueued: 11,
  started: 2,
  completed: 2,
  failed: 0,
  retried: 0,
  cancelled: 1,
  discarded: 0,
  waiting: 6,
  scheduled: 1,
  retryable: 1,
}

function putStatistics(batch: WriteBatch, change: Partial<typeof counts>): void {
  const vector = new Float64Array(FIELDS)
  for (const [name, count] of Object.entries({ ...counts, ...change })) vector[AT[name as keyof typeof counts]] = count
  batch.put('meta', seriesKey('now', QUEUE, 0), writeSeriesNow({ at: BEGUN_AT, counts: vector }))
}

function past(completed: number): Buffer {
  const vector = new Float64Array(FIELDS)
  vector[AT.completed] = completed
  return writeSeriesPast({ marks: WINDOWS.map(() => [{ step: 1, counts: vector }]), wait: [], run: [] })
}

function putSince(batch: WriteBatch, completed: number): void {
  batch.put('meta', metaKey('stats:since'), Buffer.from(JSON.stringify({ at: BEGUN_AT, completed, cancelled: 0, discarded: 0 })))
}

async function goodStore(): Promise<Engine> {
  const engine = createMemoryEngine()
  const batch = new WriteBatch()
  batch.put('meta', metaKey('format'), Buffer.from('{"format":2,"mark":1}'))
  batch.put('meta', metaKey('queue:0'), Buffer.from('default'))
  batch.put('meta', metaKey('definition:0'), Buffer.from('job'))
  batch.put('meta', metaKey('queue-state:0'), Buffer.from('{"paused":true,"concurrency":"∞"}'))
  putCounters(batch, {})
  putStatistics(batch, {})
  putSince(batch, 0)
  batch.put('meta', seriesKey('past', QUEUE, 0), past(2))
  batch.put('pages', keys.page, page(1, [0, 0, 0]))
  batch.put('marks', keys.page, Buffer.of(0b110))
  batch.put('pages', keys.suspect, solo(3, { flags: ENTRY_SUSPECT, ledger: { ...EMPTY_LEDGER, suspect: true } }))
  batch.put('index', indexKey(INDEX_SOLO, 3), leadTo(0, keys.suspect))
  batch.put('index', indexKey(INDEX_SUSPECT, 3), leadTo(0, keys.suspect))
  batch.put('pages', keys.promoted, page(4, [0, ENTRY_EXTERNAL], DUE_AT))
  batch.put('index', indexKey(INDEX_GROUP, 4), leadTo(0, keys.promoted))
  batch.put('payloads', payloadKey(5, 0), Buffer.of(1, 0x31))
  batch.put('scheduled', keys.delayed, writeScheduled(QUEUE, RANK, page(6, [0, 0], DUE_AT)))
  batch.put('marks', keys.delayed, Buffer.of(0b01))
  batch.put('index', indexKey(INDEX_GROUP, 6), leadTo(1, keys.delayed))
  const ledger = { ...EMPTY_LEDGER, charged: 1 }
  const retry = solo(8, { runAt: DUE_AT + 1, flags: ENTRY_RETRY, ledger, overrides: { unique: { key: 'r', while: 'kept' } } })
  batch.put('scheduled', keys.retry, writeScheduled(QUEUE, RANK, retry))
  batch.put('index', indexKey(INDEX_SOLO, 8), leadTo(1, keys.retry))
  batch.put('finished', keys.completed, block(2, { outputApart: true }))
  batch.put('payloads', payloadKey(2, 1), Buffer.of(1, 0x31))
  batch.put('finished', keys.cancelled, block(6, {}))
  batch.put('pages', keys.unique, page(10, [0], 0, { unique: { key: 'w', while: 'waiting' } }))
  batch.put('pages', keys.keyed, page(12, [0], 0, LIMITED))
  batch.put('index', indexKey(INDEX_GROUP, 12), leadTo(0, keys.keyed))
  putRate(batch, '0', { spanMs: 1000, moments: [[BEGUN_AT, 2]] })
  batch.put('finished', keys.kept, block(11, { overrides: { unique: { key: 'k', while: 'kept' } } }))
  batch.put('index', uniqueIndexKey(hashes.waiting), holder({ while: 'waiting', expiresAt: 70 }))
  batch.put('index', uniqueExpiryKey(70, hashes.waiting), Buffer.alloc(0))
  batch.put('index', uniqueIndexKey(hashes.retry), holder({ seq: 8, while: 'kept' }))
  batch.put('index', uniqueIndexKey(hashes.kept), holder({ seq: 11, while: 'kept', over: true }))
  batch.put('index', uniqueIndexKey(hashes.timed), holder(TIMED))
  batch.put('index', uniqueExpiryKey(80, hashes.timed), Buffer.alloc(0))
  batch.put('meta', scheduleKey('hourly'), nightly({ seq: 2, queueId: QUEUE, rank: RANK }))
  await engine.commit(batch)
  return engine
}

const claim = { batchId: 3, claimedAt: BEGUN_AT, alone: false, slices: [{ key: keys.page, from: 0, to: 1 }] }

interface Fault {
  readonly plant: (batch: WriteBatch) => void
  readonly sees: RegExp
  readonly options?: AuditOptions
}

async function problemsOf(plant: Fault['plant'], options: AuditOptions = {}): Promise<string> {
  const engine = await goodStore()
  const batch = new WriteBatch()
  plant(batch)
  await engine.commit(batch)
  return checkStore(engine, { keepsAll: true, ...options }).join('\n')
}

const faults: Readonly<Record<string, Fault>> = {
  'a page that is gone': {
    plant: (batch) => batch.remove('pages', keys.promoted),
    sees: /counter waiting is 6, a recount gives 4/,
  },
  'a page that stayed': {
    plant: (batch) => batch.put('marks', keys.page, Buffer.of(0b111)),
    sees: /all of its jobs are marked/,
  },
  'a job in a page and finished': {
    plant: (batch) => batch.remove('marks', keys.page),
    sees: /job 2 is in two places: pages .* finished completed/,
  },
  'a job in a page and scheduled': {
    plant: (batch) => batch.put('pages', pageKey(QUEUE, RANK, 6, 0), page(7, [0])),
    sees: /job 7 is in two places/,
  },
  'a job in two blocks': {
    plant: (batch) => batch.put('finished', finishedKey('discarded', 1), block(2, {})),
    sees: /job 2 is in two places/,
  },
  'a finished job that is gone': {
    plant: (batch) => batch.remove('finished', keys.cancelled),
    sees: /job 6 is marked .* nowhere else/,
  },
  'marks of another length': {
    plant: (batch) => batch.put('marks', keys.page, Buffer.of(0b110, 0)),
    sees: /are 2 bytes for 3 jobs/,
  },
  'marks behind the last job': { plant: (batch) => batch.put('marks', keys.page, Buffer.of(0b1110)), sees: /mark job 3 of 3/ },
  'marks without a page': {
    plant: (batch) => batch.put('marks', pageKey(QUEUE, RANK, 8, 0), Buffer.of(1)),
    sees: /belong to no page/,
  },
  'an index entry that is gone': {
    plant: (batch) => batch.remove('index', indexKey(INDEX_SOLO, 8)),
    sees: /index solo 8 is missing/,
  },
  'a group that nothing leads to': {
    plant: (batch) => batch.remove('index', indexKey(INDEX_GROUP, 4)),
    sees: /index group 4 is missing/,
  },
  'a suspect that nothing leads to': {
    plant: (batch) => batch.remove('index', indexKey(INDEX_SUSPECT, 3)),
    sees: /index suspect 3 is missing/,
  },
  'a stray index entry': {
    plant: (batch) => batch.put('index', indexKey(INDEX_SUSPECT, 2), leadTo(0, keys.page)),
    sees: /index suspect 2 is stray/,
  },
  'an index entry that leads elsewhere': {
    plant: (batch) => batch.put('index', indexKey(INDEX_SOLO, 8), leadTo(1, keys.delayed)),
    sees: /index solo 8 leads to/,
  },
  'a page that no limit key leads to': {
    plant: (batch) => batch.remove('index', indexKey(INDEX_GROUP, 12)),
    sees: /index group 12 is missing/,
  },
  'a page in the lane of another limit key': {
    plant: (batch) => {
      batch.remove('pages', keys.keyed)
      batch.put('pages', lanePageKey(QUEUE, RANK, 5, 12, 0), page(12, [0], 0, LIMITED))
    },
    sees: /lies in lane 5, and its limit key has lane/,
  },
  'a page with a limit key among those without': {
    plant: (batch) => batch.put('pages', keys.promoted, page(4, [0, ENTRY_EXTERNAL], 0, LIMITED)),
    sees: /lies in lane 0, and its limit key has lane/,
  },
  'a rate of a queue that is not there': {
    plant: (batch) => putRate(batch, '7', { spanMs: 10, moments: [[1, 1]] }),
    sees: /meta rate "7" is of an unknown queue/,
  },
  'a rate that cannot be read': {
    plant: (batch) => batch.put('meta', metaKey('rate:0'), Buffer.from('{}')),
    sees: /meta rate "0" cannot be read/,
  },
  'a unique key that nobody holds': {
    plant: (batch) => batch.remove('index', uniqueIndexKey(hashes.retry)),
    sees: /job 8 does not hold its unique key "r"$/m,
  },
  'a kept unique key that nobody holds': {
    plant: (batch) => batch.remove('index', uniqueIndexKey(hashes.kept)),
    sees: /job 11 does not hold its unique key "k"$/m,
  },
  'a unique key that another job holds': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.retry), holder({ seq: 3 })),
    sees: /index unique of job 3 is stray: no such job names its key\njob 8 does not hold its unique key "r": job 3 does/,
  },
  'a unique key of a job that is over': {
    plant: (batch) => batch.put('index', uniqueIndexKey(uniqueHash('job', 'x')), holder({ seq: 2 })),
    sees: /index unique of job 2 is stray: no such job/,
  },
  'a unique key of a job that ran since': {
    plant: (batch) => {
      const overrides: JobOverrides = { unique: { key: 'r', while: 'waiting' } }
      const ledger = { ...EMPTY_LEDGER, charged: 1 }
      const retry = solo(8, { runAt: DUE_AT + 1, flags: ENTRY_RETRY, ledger, overrides })
      batch.put('scheduled', keys.retry, writeScheduled(QUEUE, RANK, retry))
    },
    sees: /index unique of job 8 is stray: the job has let go of its key/,
  },
  'a holder that says something else than its job': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.retry), holder({ seq: 8, while: 'kept', rank: 3 })),
    sees: /index unique of job 8 says something else/,
  },
  'a holder with a flag that no holder has': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.retry), flagged({ seq: 8, while: 'kept' })),
    sees: /index unique of job 8 says something else/,
  },
  'a holder without a job, and with a flag that no holder has': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.timed), flagged(TIMED)),
    sees: /index unique of job 9 says something that no holder says/,
  },
  'a holder without a job, of an unknown queue': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.timed), holder({ ...TIMED, queueId: 7 })),
    sees: /index unique of job 9 is of the unknown queue 7/,
  },
  'a holder without a job, whose number was not given out': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.timed), holder({ ...TIMED, seq: 13 })),
    sees: /counter nextSeq is 13, and 13 is in use/,
  },
  'a holder that cannot be read': {
    plant: (batch) => batch.put('index', uniqueIndexKey(hashes.retry), Buffer.of(1)),
    sees: /index 03.* cannot be read/,
  },
  'a time that nothing tells': {
    plant: (batch) => batch.remove('index', uniqueExpiryKey(80, hashes.timed)),
    sees: /index unique expiry of job 9 is missing/,
  },
  'a stray time': {
    plant: (batch) => batch.put('index', uniqueExpiryKey(81, hashes.timed), Buffer.alloc(0)),
    sees: /index unique expiry 81 is stray/,
  },
  'half a suspect': {
    plant: (batch) => batch.put('pages', keys.suspect, solo(3, { flags: ENTRY_SUSPECT })),
    sees: /suspect by half/,
  },
  'a charge that is forgotten': {
    plant: (batch) => {
      const attempts = [{ attempt: 1, startedAt: 1, endedAt: 2, outcome: 'failed' }] as const
      batch.put('pages', keys.suspect, solo(3, { ledger: { ...EMPTY_LEDGER, attempts } }))
    },
    sees: /was charged 0 attempts of 1/,
  },
  'a page under another instant': {
    plant: (batch) => batch.put('scheduled', keys.delayed, writeScheduled(QUEUE, RANK, page(6, [0, 0], DUE_AT + 9))),
    sees: /due at 5009/,
  },
  'a payload that is gone': { plant: (batch) => batch.remove('payloads', payloadKey(5, 0)), sees: /payload 5\.0 is missing/ },
  'a payload of another size': {
    plant: (batch) => {
      const builder = new PageBuilder()
      builder.begin(0, 0, undefined)
      builder.writer.bytes(Buffer.from([1, 0x31]))
      builder.end()
      builder.begin(0, ENTRY_EXTERNAL, undefined)
      builder.writer.u32(9)
      builder.end()
      const bytes = builder.seal({ solo: false, count: 2, firstSeq: 4, enqueuedAt: BEGUN_AT, runAt: DUE_AT, epoch: 1 })
      batch.put('pages', keys.promoted, bytes)
    },
    sees: /payload 5\.0 has 2 bytes, and its job says 9/,
  },
  'an output that is gone': { plant: (batch) => batch.remove('payloads', payloadKey(2, 1)), sees: /payload 2\.1 is missing/ },
  'an orphaned payload': {
    plant: (batch) => batch.put('payloads', payloadKey(1, 0), Buffer.of(1)),
    sees: /payload 1\.0 belongs to no job/,
  },
  'an output of a cancelled job': {
    plant: (batch) => batch.put('finished', keys.cancelled, block(6, { output: Buffer.of(1) })),
    sees: /job 6 has an output/,
  },
  'an unknown definition': {
    plant: (batch) => batch.put('finished', keys.cancelled, block(6, { definitionId: 7 })),
    sees: /unknown definition 7/,
  },
  'what was set of a queue that there is not': {
    plant: (batch) => batch.put('meta', metaKey('queue-state:7'), Buffer.from('{"paused":true}')),
    sees: /queue-state:7 is of an unknown queue/,
  },
  'what was set of a queue and says nothing': {
    plant: (batch) => batch.put('meta', metaKey('queue-state:0'), Buffer.from('{"paused":false}')),
    sees: /queue-state:0 says nothing/,
  },
  'a bound of a queue that is none': {
    plant: (batch) => batch.put('meta', metaKey('queue-state:0'), Buffer.from('{"paused":true,"concurrency":0}')),
    sees: /queue-state:0 cannot be read/,
  },
  'what was set of a queue and more': {
    plant: (batch) => batch.put('meta', metaKey('queue-state:0'), Buffer.from('{"paused":true,"rate":0}')),
    sees: /queue-state:0 says more/,
  },
  'a charge that was forgiven for good': {
    plant: (batch) => {
      const attempt = { attempt: 1, startedAt: 1, endedAt: 2, outcome: 'failed' } as const
      batch.put('pages', keys.suspect, solo(3, { ledger: { ...EMPTY_LEDGER, forgiven: 1, attempts: [attempt, attempt] } }))
    },
    sees: /was charged 1 attempts of 2/,
  },
  'an earlier end that was not counted': {
    plant: (batch) => batch.put('pages', keys.suspect, solo(3, { ledger: { ...EMPTY_LEDGER, ended: { discarded: 1 } } })),
    sees: /counter discarded is 0, a recount gives 1/,
  },
  'an unknown queue': { plant: (batch) => batch.remove('meta', metaKey('queue:0')), sees: /unknown queue 0/ },
  'a claim': { plant: (batch) => batch.put('claims', numberKey(3), writeClaim(claim)), sees: /batch 3 is claimed/ },
  'a claim of what is not there': {
    plant: (batch) => {
      const slices = [{ key: keys.page, from: 2, to: 4 }]
      batch.put('claims', numberKey(3), writeClaim({ ...claim, slices }))
    },
    sees: /claims jobs 2 to 4 of a page of 3/,
    options: { crashed: true },
  },
  'a page that is cut off': {
    plant: (batch) => batch.put('pages', keys.promoted, page(4, [0, ENTRY_EXTERNAL]).subarray(0, 55)),
    sees: /pages .* cannot be read/,
  },
  'statistics that are gone': {
    plant: (batch) => batch.remove('meta', seriesKey('now', QUEUE, 0)),
    sees: /there are no statistics of 0:0, which has 6, 1, 1 jobs/,
  },
  'statistics that cannot be read': {
    plant: (batch) => batch.put('meta', seriesKey('now', QUEUE, 0), Buffer.alloc(7)),
    sees: /statistics 0:0 cannot be read/,
  },
  'statistics that lag behind the jobs': {
    plant: (batch) => putStatistics(batch, { waiting: 7, enqueued: 12 }),
    sees: /statistics 0:0 tell of 7, 1, 1 jobs waiting, scheduled and retryable, a recount gives 6, 1, 1/,
  },
  'statistics that have lost an enqueue': {
    plant: (batch) => putStatistics(batch, { enqueued: 10 }),
    sees: /tell of 10 jobs enqueued and of 11 that became something/,
  },
  'statistics that are not what the counters have gained': {
    plant: (batch) => putStatistics(batch, { completed: 1, enqueued: 9 }),
    sees: /do not add up to the counters: \{"at":1000,"completed":1,/,
  },
  'statistics since another moment': { plant: (batch) => putSince(batch, 4), sees: /do not add up to the counters/ },
  'statistics since nobody knows when': {
    plant: (batch) => batch.remove('meta', metaKey('stats:since')),
    sees: /since nobody knows when do not add up/,
  },
  'statistics of another definition': {
    plant: (batch) => {
      batch.put('meta', metaKey('definition:1'), Buffer.from('other'))
      batch.put('finished', keys.cancelled, block(6, { definitionId: 1 }))
    },
    sees: /statistics 0:0 tell of 1 jobs cancelled, a recount gives 0/,
  },
  'more ends than attempts': { plant: (batch) => putStatistics(batch, { failed: 1 }), sees: /tell of 3 ends of 2 attempts/ },
  'more retries than failures': {
    plant: (batch) => putStatistics(batch, { retried: 1 }),
    sees: /tell of 1 retries after 0 failures/,
  },
  'statistics of an unknown queue': {
    plant: (batch) => batch.put('meta', seriesKey('now', 9, 0), writeSeriesNow({ at: 0, counts: new Float64Array(FIELDS) })),
    sees: /statistics 9:0 are of the unknown queue 9/,
  },
  'a past of no statistics': {
    plant: (batch) => batch.put('meta', seriesKey('past', QUEUE, 7), past(0)),
    sees: /the past of statistics 0:7 belongs to none/,
  },
  'a past that is ahead': {
    plant: (batch) => batch.put('meta', seriesKey('past', QUEUE, 0), past(3)),
    sees: /the past of statistics 0:0 is ahead of them/,
  },
  'a past that cannot be read': {
    plant: (batch) => batch.put('meta', seriesKey('past', QUEUE, 0), Buffer.of(1, 255)),
    sees: /the past of statistics 0:0 cannot be read/,
  },
  'a record that is nobody’s': {
    plant: (batch) => batch.put('meta', metaKey('stats:later:1'), Buffer.of(1)),
    sees: /meta stats:later:1 is nobody's/,
  },
  'a schedule that cannot be read': {
    plant: (batch) => batch.put('meta', scheduleKey('nightly'), Buffer.from('{"version":1}')),
    sees: /meta schedule:nightly cannot be read/,
  },
  'a schedule whose last run has a number that was not given out': {
    plant: (batch) => batch.put('meta', scheduleKey('nightly'), nightly({ seq: 13, queueId: QUEUE, rank: RANK })),
    sees: /counter nextSeq is 13, and 13 is in use/,
  },
  'a schedule whose last run was in an unknown queue': {
    plant: (batch) => batch.put('meta', scheduleKey('nightly'), nightly({ seq: 2, queueId: 7, rank: RANK })),
    sees: /schedule "nightly" ran in the unknown queue 7/,
  },
  'no counters': { plant: (batch) => batch.remove('meta', metaKey('counters')), sees: /no counters/ },
  'no format': { plant: (batch) => batch.remove('meta', metaKey('format')), sees: /no format/ },
}

const miscounts = { waiting: 7, scheduled: 0, retryable: 0, completed: 3, cancelled: 0, discarded: 1, nextSeq: 12, nextBlock: 3 }

describe('checkStore', () => {
  it('finds nothing in a store that is whole', async () => {
    assert.deepEqual(checkStore(await goodStore(), { keepsAll: true }), [])
    assert.deepEqual(checkStore(await goodStore()), [])
  })

  it('allows a claim in a store that a dead process left, and what was pruned in one that prunes', async () => {
    const engine = await goodStore()
    const batch = new WriteBatch()
    batch.put('claims', numberKey(3), writeClaim(claim))
    batch.remove('finished', keys.cancelled)
    await engine.commit(batch)
    assert.deepEqual(checkStore(engine, { crashed: true }), [])
  })

  it('allows a key that a job handed to a thread gave up, and one that outlived the record of its job', async () => {
    const engine = await goodStore()
    const batch = new WriteBatch()
    batch.put('claims', numberKey(3), writeClaim({ ...claim, slices: [{ key: keys.unique, from: 0, to: 1 }] }))
    batch.put('index', uniqueIndexKey(hashes.waiting), holder({ seq: 9, released: true, over: true, expiresAt: 70 }))
    batch.remove('index', uniqueIndexKey(hashes.kept))
    await engine.commit(batch)
    assert.deepEqual(checkStore(engine, { crashed: true }), [])
  })

  it('sees each bit of the index that is another, and each byte too few or too many', async () => {
    const engine = await goodStore()
    for (const { key, value } of engine.range('index', { start: Buffer.of(0), limit: 100 })) {
      // Whose number, queue, rank and rule nobody else knows.
      const from = key.equals(uniqueIndexKey(hashes.timed)) ? 10 : 0
      const changed = Array.from({ length: 8 * (value.length - from) }, (_, bit) => withBit(value, 8 * from + bit))
      changed.push(Buffer.concat([value, Buffer.of(0)]), ...(value.length > 0 ? [value.subarray(0, -1)] : []))
      for (const bytes of changed) {
        const problems = await problemsOf((batch) => batch.put('index', key, bytes))
        assert.notEqual(problems, '', `${key.toString('hex')}: ${value.toString('hex')}, now ${bytes.toString('hex')}`)
      }
    }
  })

  it('puts right what follows from the jobs: keys that are astray, missing, or lead elsewhere', async () => {
    for (const plant of [
      (batch: WriteBatch) => batch.remove('index', uniqueIndexKey(hashes.retry)),
      (batch: WriteBatch) => batch.put('index', uniqueIndexKey(hashes.retry), holder({ seq: 3 })),
      (batch: WriteBatch) => batch.put('index', uniqueIndexKey(hashes.retry), holder({ seq: 8 })),
      (batch: WriteBatch) => batch.put('index', uniqueIndexKey(uniqueHash('job', 'x')), holder({ seq: 2, expiresAt: 90 })),
      (batch: WriteBatch) => batch.put('index', uniqueIndexKey(hashes.retry), flagged({ seq: 8, while: 'kept' })),
      (batch: WriteBatch) => batch.put('index', uniqueIndexKey(hashes.timed), flagged(TIMED)),
      (batch: WriteBatch) => batch.put('index', uniqueExpiryKey(80, hashes.timed), Buffer.of(1)),
      (batch: WriteBatch) => batch.remove('index', uniqueExpiryKey(80, hashes.timed)),
      (batch: WriteBatch) => batch.put('index', uniqueExpiryKey(81, hashes.timed), Buffer.alloc(0)),
    ]) {
      const engine = await goodStore()
      const batch = new WriteBatch()
      plant(batch)
      await engine.commit(batch)
      const { writes, repaired } = planRepair(engine, { keepsAll: true })
      assert.ok(repaired.length > 0)
      await engine.commit(writes)
      assert.deepEqual(checkStore(engine, { keepsAll: true }), [])
      const whole = await goodStore()
      const all = { start: Buffer.of(0), limit: 100 }
      assert.deepEqual(engine.range('index', all), whole.range('index', all))
    }
  })

  for (const [name, { plant, sees, options }] of Object.entries(faults)) {
    it(`sees ${name}`, async () => assert.match(await problemsOf(plant, options), sees))
  }

  it('every one of them about statistics that the store’s jobs can answer is put right', async () => {
    for (const [name, { plant }] of Object.entries(faults).filter(([each]) => /statistics|past|nobody/.test(each))) {
      const engine = await goodStore()
      const batch = new WriteBatch()
      plant(batch)
      await engine.commit(batch)
      const { writes, after } = planRepair(engine, {})
      const left = after.problems.map(({ text }) => text).join('\n')
      assert.match(left, /unknown queue/.test(left) ? /unknown queue 9/ : /^$/, name)
      await engine.commit(writes)
      assert.equal(checkStore(engine).join('\n'), left, name)
    }
  })

  for (const [name, count] of Object.entries(miscounts)) {
    it(`sees that the counter ${name} is wrong`, async () => {
      const problems = await problemsOf((batch) => putCounters(batch, { [name]: count }))
      assert.match(problems, new RegExp(`counter ${name} is ${count}, (a recount gives|and ${count} is in use)`))
    })
  }
})
