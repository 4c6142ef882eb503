/** The records of statistics: what is written comes back, and bytes that are none are refused with a code. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  NOW_BYTES,
  readSeriesKey,
  readSeriesNow,
  readSeriesPast,
  seriesEnd,
  seriesKey,
  writeSeriesNow,
  writeSeriesPast,
} from '../../../src/codec/series-record.js'
import { AT, COUNTS, FIELDS, GAUGES } from '../../../src/telemetry/counts.js'
import { GENERATION_MS, Histogram } from '../../../src/telemetry/histogram.js'
import { Windows, WINDOWS } from '../../../src/telemetry/windows.js'
import { withCode } from '../../support/executor.js'
import { seedOfRun } from '../../support/prng.js'

const NOW = Date.UTC(2030, 0, 1)
const options = { seed: seedOfRun() | 0, numRuns: 200 }

/** A series after something has happened in some minutes. */
const pasts = fc
  .array(fc.record({ passMs: fc.nat(20 * 3_600_000), jobs: fc.maxSafeNat().map((each) => each / 2 ** 12), ms: fc.nat(1e6) }))
  .map((acts) => {
    let at = NOW
    const counts = new Float64Array(FIELDS)
    const windows = new Windows()
    const wait = new Histogram()
    const run = new Histogram()
    for (const { passMs, jobs, ms } of acts) {
      at += passMs
      windows.note(at, counts)
      counts[AT.completed] = (counts[AT.completed] ?? 0) + Math.floor(jobs)
      for (const histogram of [wait, run]) histogram.roll(at)
      wait.add(ms)
      run.add(ms / 7)
    }
    return { at, counts, marks: windows.marks, wait: wait.generations, run: run.generations }
  })

describe('the record of a series', () => {
  it('has the counts where they are said to be', () => {
    assert.deepEqual(
      [...COUNTS, ...GAUGES].map((name) => AT[name]),
      Array.from({ length: FIELDS }, (_, place) => place),
    )
    const counts = Float64Array.from({ length: FIELDS }, (_, place) => 2 ** 53 - 1 - place)
    const bytes = writeSeriesNow({ at: NOW, counts })
    assert.equal(bytes.length, NOW_BYTES)
    assert.equal(NOW_BYTES, 120)
    assert.deepEqual(readSeriesNow(bytes), { at: NOW, counts })
  })

  it('of the past comes back, and is short', () => {
    fc.assert(
      fc.property(pasts, ({ marks, wait, run }) => {
        const read = readSeriesPast(writeSeriesPast({ marks, wait, run }))
        const plain = (all: typeof marks) => all.map((each) => each.map(({ step, counts }) => [step, Array.from(counts)]))
        assert.deepEqual(plain(read.marks), plain(marks))
        for (const [told, written] of [
          [read.wait, wait],
          [read.run, run],
        ] as const) {
          const counted = written.filter(({ counts }) => counts.some((count) => count > 0))
          assert.deepEqual(
            told.map(({ slot, counts }) => ({ slot, counts })),
            counted.map(({ slot, counts }) => ({ slot, counts })),
          )
          for (const [index, { sumMs }] of told.entries()) assert.ok(Math.abs(sumMs - (counted[index]?.sumMs ?? 0)) <= 0.0005)
        }
      }),
      options,
    )
  })

  it('of a busy month has some kilobytes', () => {
    const windows = new Windows()
    const histogram = new Histogram()
    const counts = new Float64Array(FIELDS)
    for (let minute = 0; minute < 31 * 24 * 60; minute++) {
      const at = NOW + minute * 60_000
      windows.note(at, counts)
      for (const name of ['enqueued', 'started', 'completed'] as const) counts[AT[name]] = (counts[AT[name]] ?? 0) + 10_000
      histogram.roll(at)
      for (let job = 0; job < 30; job++) histogram.add(2 ** (job / 2))
    }
    assert.equal(histogram.generations[0]?.slot, Math.floor(NOW / GENERATION_MS) + 31 * 96 - 5)
    const { length } = writeSeriesPast({ marks: windows.marks, wait: histogram.generations, run: histogram.generations })
    assert.ok(length < 5000, `${length} bytes`)
    assert.equal(
      windows.marks.flat().length,
      WINDOWS.reduce((sum, { steps }) => sum + steps + 1, 0),
    )
  })

  it('is refused with a code when it is none', () => {
    const past = writeSeriesPast({ marks: WINDOWS.map(() => []), wait: [], run: [] })
    const refused = withCode('MILLRACE_STORE_CORRUPT', /statistics.*cannot be read/)
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(119), Buffer.alloc(121), Buffer.alloc(120, 0xff)])
      assert.throws(() => readSeriesNow(bytes), refused)
    for (const bytes of [Buffer.alloc(0), Buffer.of(2), past.subarray(0, -1), Buffer.concat([past, Buffer.of(0)])])
      assert.throws(() => readSeriesPast(bytes), refused)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          readSeriesPast(Buffer.from([1, ...noise]))
        } catch (error) {
          refused(error)
        }
      }),
      options,
    )
  })

  it('lies under a key of its own kind, queue and definition', () => {
    for (const kind of ['now', 'past'] as const) {
      const key = seriesKey(kind, 65_535, 7)
      assert.deepEqual(readSeriesKey(key), { kind, queueId: 65_535, definitionId: 7 })
      assert.ok(key.compare(seriesEnd(kind)) < 0)
    }
    for (const key of ['stats:since', 'stats:now:1', 'stats:now:1:2:3', 'stats:now:1:x', 'stats:later:1:2', 'stats:now:1:123456'])
      assert.equal(readSeriesKey(Buffer.from(key)), undefined, key)
  })
})
