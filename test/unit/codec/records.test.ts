/** Pages, batches, blocks, claims, keys and ids: what is written is what is read, also from random values. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { PAGE_BYTES, PAGE_JOBS } from '../../../src/base/limits.js'
import { BatchReader, writeBatch, type Segment } from '../../../src/codec/batch.js'
import { ByteWriter } from '../../../src/codec/byte-writer.js'
import { readClaim, writeClaim } from '../../../src/codec/claim-record.js'
import {
  FinishedBlockBuilder,
  findInBlock,
  readBlock,
  readBlockHeader,
  type FinishedDetails,
} from '../../../src/codec/finished-block.js'
import * as keys from '../../../src/codec/keys.js'
import * as page from '../../../src/codec/page.js'
import { formatJobId, parseJobId, STORE_MARKS } from '../../../src/job/job-id.js'
import type { JobLedger } from '../../../src/job/job-state.js'
import type { JobOverrides } from '../../../src/job/job-overrides.js'
import { withCode } from '../../support/executor.js'
import { createPrng, seedOfRun, type Prng } from '../../support/prng.js'

function seeded(t: TestContext): Prng {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  return createPrng(seed)
}

const header = { solo: false, count: 0, firstSeq: 1, enqueuedAt: 1.5e12, runAt: 0, epoch: 3 }

const ledger: JobLedger = {
  charged: 2,
  crashes: 1,
  suspect: true,
  attempts: [
    {
      attempt: 1,
      startedAt: 1,
      endedAt: 2,
      outcome: 'failed',
      error: { name: 'E', message: '∞', data: { '∞': '∞', timeoutMs: '∞' } },
    },
  ],
}

interface Entry {
  readonly definitionId: number
  readonly flags: number
  readonly overrides: JobOverrides | undefined
  readonly history: JobLedger | undefined
  readonly payload: Buffer
}

function randomEntry(prng: Prng): Entry {
  const overrides = prng.pick([undefined, undefined, { maxRetries: Infinity }, { maxRetries: prng.below(9), timeoutMs: 5 }])
  return {
    definitionId: prng.below(65_536),
    flags: prng.pick([0, page.ENTRY_SAME, page.ENTRY_EXTERNAL | page.ENTRY_RETRY]),
    overrides,
    history: prng.below(5) === 0 ? ledger : undefined,
    payload: prng.bytes(prng.below(prng.below(10) === 0 ? 3000 : 40)),
  }
}

function build(entries: readonly Entry[], of = header): Buffer {
  const builder = new page.PageBuilder()
  for (const { definitionId, flags, overrides, history, payload } of entries) {
    builder.begin(definitionId, flags, overrides, history === undefined ? undefined : JSON.stringify(history))
    builder.writer.bytes(payload)
    builder.end()
  }
  return builder.seal(of)
}

function assertPage(bytes: Buffer, entries: readonly Entry[]): void {
  const overrides = page.readOverrides(bytes)
  let offset = page.PAGE_HEADER_BYTES
  for (const [index, entry] of entries.entries()) {
    assert.equal(page.entryOffset(bytes, index), offset)
    const view = page.readEntry(bytes, offset)
    assert.equal(view.definitionId, entry.definitionId)
    assert.equal(view.flags & ~page.ENTRY_HISTORY, entry.flags)
    assert.deepEqual(view.overrides === 0 ? undefined : overrides[view.overrides - 1], entry.overrides)
    assert.deepEqual(page.readHistory(bytes, view), entry.history)
    assert.ok(bytes.subarray(view.payloadFrom, view.end).equals(entry.payload))
    offset = view.end
  }
}

describe('a page', () => {
  it('keeps its header and random entries', (t) => {
    const prng = seeded(t)
    for (let round = 0; round < 300; round++) {
      const entries = Array.from({ length: 1 + prng.below(40) }, () => randomEntry(prng))
      const of = {
        solo: prng.below(2) === 1,
        count: entries.length,
        firstSeq: prng.below(2 ** 40),
        enqueuedAt: prng.next() * 2e12,
        runAt: prng.next() * 8e15,
        epoch: prng.below(2 ** 32),
      }
      const bytes = build(entries, of)
      assert.deepEqual(page.readPageHeader(bytes), of)
      assertPage(bytes, entries)
    }
  })

  it('forgets an entry that was taken back, and goes on', () => {
    const builder = new page.PageBuilder()
    const first: Entry = { definitionId: 1, flags: 0, overrides: undefined, history: undefined, payload: Buffer.from('one') }
    const last: Entry = { ...first, definitionId: 2, payload: Buffer.from('two'), overrides: { timeoutMs: Infinity } }
    builder.begin(1, 0, undefined)
    builder.writer.bytes(first.payload)
    builder.end()
    builder.begin(7, 0, { maxRetries: 3 })
    builder.writer.bytes(Buffer.alloc(50_000))
    builder.abandon()
    builder.begin(2, 0, last.overrides)
    builder.writer.bytes(last.payload)
    builder.end()
    const bytes = builder.seal(header)
    assert.equal(page.readPageHeader(bytes).count, 2)
    assertPage(bytes, [first, last])
    assert.ok(bytes.length < 500, 'what was taken back is still in it')
  })

  it('is full by jobs, by bytes, and by different overrides', () => {
    let different = 0
    const fill = (payload: Buffer, overrides: () => JobOverrides | undefined): number => {
      const builder = new page.PageBuilder()
      while (!builder.isFull) {
        builder.begin(1, 0, overrides())
        builder.writer.bytes(payload)
        builder.end()
      }
      const { count } = builder
      const bytes = builder.seal(header)
      assert.equal(page.readPageHeader(bytes).count, count)
      assert.equal(page.readEntry(bytes, page.entryOffset(bytes, count - 1)).definitionId, 1)
      return count
    }
    assert.equal(
      fill(Buffer.alloc(0), () => undefined),
      PAGE_JOBS,
    )
    assert.ok(fill(Buffer.alloc(1000), () => undefined) <= Math.ceil(PAGE_BYTES / 1000))
    assert.equal(
      fill(Buffer.alloc(40 * 1024), () => undefined),
      1,
    )
    assert.equal(
      fill(Buffer.alloc(0), () => ({ maxRetries: different++ })),
      255,
    )
    assert.equal(
      fill(Buffer.alloc(0), () => ({ maxRetries: 1 })),
      PAGE_JOBS,
      'equal ones are stored once',
    )
    const shared = { maxRetries: 1 }
    assert.equal(
      fill(Buffer.alloc(0), () => shared),
      PAGE_JOBS,
    )
  })

  it('knows whether all its jobs are of one definition, without overrides or histories', () => {
    const builder = new page.PageBuilder()
    const add = (definitionId: number, overrides?: JobOverrides, history?: string): number => {
      builder.begin(definitionId, 0, overrides, history)
      builder.end()
      return builder.uniformDefinition
    }
    assert.equal(add(4), 4)
    assert.equal(add(4), 4)
    assert.equal(add(5), -1)
    assert.equal(add(4), -1)
    builder.seal(header)
    assert.equal(add(0), 0)
    assert.equal(add(0, { maxRetries: 1 }), -1)
    builder.seal(header)
    assert.equal(add(3, undefined, '{}'), -1)
    builder.seal(header)
    assert.equal(add(3), 3)
    assert.equal(add(3, undefined, '{}'), -1)
  })

  it('of one job carries it on with its history', () => {
    const source = build([
      {
        definitionId: 9,
        flags: page.ENTRY_SAME,
        overrides: { maxRetries: Infinity },
        history: ledger,
        payload: Buffer.from('payload'),
      },
    ])
    const view = page.readEntry(source, page.PAGE_HEADER_BYTES)
    const parts = {
      seq: 77,
      enqueuedAt: 5,
      runAt: 6,
      epoch: 2,
      definitionId: 9,
      overrides: { maxRetries: Infinity },
      source,
      payloadFrom: view.payloadFrom,
      payloadTo: view.end,
    }
    const later = { ...ledger, charged: 3 }
    const solo = page.buildSolo({ ...parts, flags: view.flags | page.ENTRY_RETRY, ledger: later })
    assert.deepEqual(page.readPageHeader(solo), { solo: true, count: 1, firstSeq: 77, enqueuedAt: 5, runAt: 6, epoch: 2 })
    const payload = Buffer.from('payload')
    assertPage(solo, [
      {
        definitionId: 9,
        flags: page.ENTRY_SAME | page.ENTRY_RETRY,
        overrides: { maxRetries: Infinity },
        history: later,
        payload,
      },
    ])
  })

  it('that is cut short or of another version is a corrupt store', () => {
    const whole = build([randomEntry(createPrng(1)), randomEntry(createPrng(2))])
    const other = Buffer.from(whole)
    other[0] = 2
    assert.throws(() => page.readPageHeader(other), withCode('MILLRACE_STORE_CORRUPT', /version 2/))
    assert.throws(() => page.readPageHeader(Buffer.alloc(0)), withCode('MILLRACE_STORE_CORRUPT', /version none/))
    const second = page.entryOffset(whole, 1)
    for (const length of [second + 9, second - 1])
      assert.throws(
        () => page.readEntry(whole.subarray(0, length), length > second ? second : page.PAGE_HEADER_BYTES),
        withCode('MILLRACE_STORE_CORRUPT', /cut short/),
      )
  })
})

it('a batch gives its jobs back one by one, whatever the segments', (t) => {
  const prng = seeded(t)
  for (let round = 0; round < 200; round++) {
    const expected: object[] = []
    const segments: Segment[] = Array.from({ length: 1 + prng.below(8) }, () => {
      const entries = Array.from({ length: 1 + prng.below(20) }, () => randomEntry(prng))
      const source = build(entries)
      const from = prng.below(entries.length)
      const to = from + 1 + prng.below(entries.length - from)
      const offset = page.entryOffset(source, from)
      const shape = {
        firstSeq: prng.below(2 ** 40),
        enqueuedAt: prng.next() * 2e12,
        attempt: 1 + prng.below(50),
        queueId: prng.below(65_536),
        rank: prng.below(256),
        checked: prng.below(2) === 1,
      }
      for (let index = from; index < to; index++)
        expected.push({
          seq: shape.firstSeq + index - from,
          enqueuedAt: shape.enqueuedAt,
          attempt: shape.attempt,
          queueId: shape.queueId,
          rank: shape.rank,
          checked: shape.checked,
          payload: entries[index]?.payload,
          definitionId: entries[index]?.definitionId,
        })
      const end =
        to < entries.length ? page.entryOffset(source, to) : page.readEntry(source, page.entryOffset(source, to - 1)).end
      return { ...shape, count: to - from, source, from: offset, to: end }
    })
    const encoded = writeBatch(segments)
    const reader = new BatchReader(encoded)
    assert.equal(reader.jobs, expected.length)
    for (const job of expected) {
      reader.advance()
      const { seq, enqueuedAt, attempt, queueId, rank, checked } = reader
      const view = page.readEntry(reader.bytes, reader.entry)
      const payload = Buffer.from(reader.bytes.subarray(view.payloadFrom, view.end))
      assert.deepEqual({ seq, enqueuedAt, attempt, queueId, rank, checked, payload, definitionId: view.definitionId }, job)
    }
    assert.equal(page.readEntry(reader.bytes, reader.entry).end, encoded.byteLength, 'bytes are left over')
  }
})

describe('a block of finished jobs', () => {
  it('keeps random jobs, and finds each of them', (t) => {
    const prng = seeded(t)
    for (let round = 0; round < 100; round++) {
      const builder = new FinishedBlockBuilder()
      const seqs = new Set<number>()
      const jobs = Array.from({ length: 1 + prng.below(60) }, () => {
        let seq = prng.below(1e6)
        while (seqs.has(seq)) seq++
        seqs.add(seq)
        const details: FinishedDetails | undefined = prng.pick([
          undefined,
          { ledger, overrides: { maxRetries: Infinity, timeoutMs: Infinity } },
          { error: { name: '∞', message: '∞', data: { '∞': '∞' } } },
        ])
        const job = {
          seq,
          enqueuedAt: prng.next() * 2e12,
          startedAt: prng.below(2) * 1e12,
          runMs: Math.fround(prng.next() * 1000),
          definitionId: prng.below(65_536),
          queueId: prng.below(65_536),
          rank: prng.below(256),
          inputApart: prng.below(2) === 1,
          outputApart: prng.below(2) === 1,
        }
        const [input, output] = [prng.bytes(prng.below(200)), prng.bytes(prng.below(200))]
        // The ranges lie in the middle of larger buffers, as they do in a page and in a batch's area.
        const around = (bytes: Buffer): Buffer => Buffer.concat([Buffer.alloc(3, 0xaa), bytes, Buffer.alloc(3, 0xbb)])
        builder.add(job, details, around(input), 3, 3 + input.length, around(output), 3, 3 + output.length)
        return { ...details, ...job, input, output }
      })
      const bytes = builder.seal(1234.5)
      const of = { count: jobs.length, finishedAt: 1234.5, lowestSeq: Math.min(...seqs), highestSeq: Math.max(...seqs) }
      assert.deepEqual(readBlockHeader(bytes), of)
      const skip = prng.below(jobs.length + 1)
      assert.deepEqual([...readBlock(bytes, skip)], jobs.slice(skip))
      for (const [index, job] of jobs.entries())
        assert.deepEqual(findInBlock(bytes, job.seq, skip), index < skip ? undefined : job)
      for (const absent of [-1, of.lowestSeq - 1, of.highestSeq + 1]) assert.equal(findInBlock(bytes, absent), undefined)
    }
  })

  it('of another version is a corrupt store', () => {
    const builder = new FinishedBlockBuilder()
    const bytes = builder.seal(1)
    bytes[0] = 9
    assert.throws(() => readBlockHeader(bytes), withCode('MILLRACE_STORE_CORRUPT', /version 9/))
    assert.throws(() => readBlockHeader(bytes.subarray(0, 10)), withCode('MILLRACE_STORE_CORRUPT'))
  })
})

it('a claim keeps its slices', (t) => {
  const prng = seeded(t)
  for (let round = 0; round < 100; round++) {
    const claim = {
      batchId: prng.below(2 ** 40),
      claimedAt: prng.next() * 2e12,
      alone: prng.below(2) === 1,
      slices: Array.from({ length: prng.below(30) }, () => ({
        key: keys.lanePageKey(
          prng.below(32_768),
          prng.below(256),
          prng.pick([0, 1 + prng.below(2 ** 47)]),
          prng.below(2 ** 47),
          prng.below(513),
        ),
        from: prng.below(512),
        to: prng.below(513),
      })),
    }
    assert.deepEqual(readClaim(claim.batchId, writeClaim(claim)), claim)
  }
})

describe('keys', () => {
  it('order as what they stand for', (t) => {
    const prng = seeded(t)
    const number = (bits: number): number => prng.pick([0, 1, 2 ** bits - 1, prng.below(2 ** Math.min(bits, 40)), 255, 256])
    const compare = (left: readonly number[], right: readonly number[]): number => {
      for (const [index, value] of left.entries()) if (value !== right[index]) return value - (right[index] ?? 0)
      return 0
    }
    const kinds: readonly (readonly [(parts: readonly number[]) => Buffer, () => number[]])[] = [
      [
        ([queue, rank, ord, sub]) => keys.pageKey(queue!, rank!, ord!, sub!),
        () => [number(16), prng.below(256), number(48), number(16)],
      ],
      [
        ([queue, rank, lane, ord, sub]) => keys.lanePageKey(queue!, rank!, lane!, ord!, sub!),
        () => [number(15), prng.below(256), 1 + prng.below(2 ** 47), number(48), number(16)],
      ],
      [([runAt, seq, solo]) => keys.scheduledKey(runAt!, seq!, solo === 1), () => [number(48), number(48), prng.below(2)]],
      [([kind, seq]) => keys.indexKey(kind!, seq!), () => [prng.below(3), number(48)]],
      [([seq, kind]) => keys.payloadKey(seq!, kind!), () => [number(48), prng.below(2)]],
      [([value]) => keys.numberKey(value!), () => [number(48)]],
    ]
    for (const [make, parts] of kinds) {
      for (let round = 0; round < 1000; round++) {
        const [left, right] = [parts(), parts()]
        assert.equal(
          Math.sign(Buffer.compare(make(left), make(right))),
          Math.sign(compare(left, right)),
          JSON.stringify([left, right]),
        )
      }
    }
  })

  it('are read back', () => {
    assert.deepEqual(keys.readPageKey(keys.pageKey(65_535, 255, 2 ** 48 - 1, 65_535)), {
      queueId: 65_535,
      rank: 255,
      lane: 0,
      ord: 2 ** 48 - 1,
      sub: 65_535,
    })
    assert.deepEqual(keys.readPageKey(keys.lanePageKey(32_767, 255, 2 ** 48 - 1, 7, 65_535)), {
      queueId: 32_767,
      rank: 255,
      lane: 2 ** 48 - 1,
      ord: 7,
      sub: 65_535,
    })
    assert.deepEqual(keys.readScheduledKey(keys.scheduledKey(1.2, 5, false)), { runAt: 2, seq: 5 }, 'never early')
    assert.deepEqual(keys.readScheduledKey(keys.scheduledKey(8.64e15, 5, true)), { runAt: 2 ** 48 - 1, seq: 5 })
    assert.deepEqual(keys.readScheduledKey(keys.scheduledKey(-5, 5, false)), { runAt: 0, seq: 5 })
  })

  it('of a lane end before the next lane', () => {
    for (const [queue, rank] of [
      [0, 0],
      [0, 255],
      [255, 255],
      [256, 254],
      [65_534, 255],
    ] as const) {
      const end = keys.laneEnd(queue, rank)
      assert.ok(Buffer.compare(keys.pageKey(queue, rank, 2 ** 48 - 1, 65_535), end) < 0)
      const next = rank < 255 ? keys.pageKey(queue, rank + 1, 0, 0) : keys.pageKey(queue + 1, 0, 0, 0)
      assert.ok(Buffer.compare(end, next) <= 0)
    }
  })

  it('of a higher priority come first', () => {
    const priorities = Array.from({ length: 256 }, (_, index) => index - 128)
    assert.deepEqual(
      priorities.map((priority) => keys.priorityOf(keys.rankOf(priority))),
      priorities,
    )
    assert.ok(keys.rankOf(127) === 0 && keys.rankOf(-128) === 255)
  })
})

it('job ids are read back, sort by number, and everything else is refused', (t) => {
  const prng = seeded(t)
  const ids: string[] = []
  for (let round = 0; round < 2000; round++) {
    const address = {
      seq: prng.pick([1, 2 ** 48 - 2, prng.below(2 ** 40), round]),
      queueId: prng.below(65_536),
      rank: prng.below(256),
    }
    const mark = prng.pick([0, STORE_MARKS - 1, prng.below(STORE_MARKS)])
    const id = formatJobId(address.seq, address.queueId, address.rank, mark)
    assert.match(id, /^[0-9a-hjkmnp-tv-z]{20}$/)
    assert.deepEqual(parseJobId(id, mark), address)
    assert.throws(() => parseJobId(id, (mark + 1) % STORE_MARKS), withCode('MILLRACE_INVALID_ID', /another store/))
    ids.push(formatJobId(round, prng.below(65_536), prng.below(256), 7))
    const broken = Buffer.from(id)
    broken[prng.below(20)] = prng.pick([...Buffer.from('ilouILOU-_ \0é')])
    assert.throws(() => parseJobId(broken.toString('latin1'), mark), withCode('MILLRACE_INVALID_ID'))
  }
  assert.deepEqual([...ids].sort(), ids)
})

it('a byte writer never writes again to bytes it gave away', (t) => {
  const prng = seeded(t)
  const writer = new ByteWriter(64)
  const given: [Buffer, Buffer][] = []
  for (let round = 0; round < 300; round++) {
    const parts = Array.from({ length: prng.below(6) }, () => prng.bytes(prng.below(200)))
    for (const part of parts) {
      if (prng.below(2) === 0) writer.bytes(part)
      else writer.slice(Buffer.concat([Buffer.alloc(2), part]), 2, 2 + part.length)
    }
    writer.u8(1)
    writer.u16(2)
    writer.u32(3)
    writer.f64(4.5)
    const bytes = writer.finish()
    const tail = Buffer.alloc(15)
    tail.writeUInt8(1, 0)
    tail.writeUInt16LE(2, 1)
    tail.writeUInt32LE(3, 3)
    tail.writeDoubleLE(4.5, 7)
    given.push([bytes, Buffer.concat([...parts, tail])])
  }
  for (const [bytes, expected] of given) assert.ok(bytes.equals(expected))
})
