/** Times as counts in buckets: what is told of them, how far it may be from what was measured, and when it is forgotten. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  bucketEndingAt,
  bucketOf,
  BUCKETS,
  GENERATION_MS,
  Histogram,
  recentOf,
  RELATIVE_ERROR,
  upperBoundMs,
} from '../../../src/telemetry/histogram.js'
import { seedOfRun } from '../../support/prng.js'

const NOW = Date.UTC(2030, 0, 1)
/** Spread over all magnitudes that buckets tell apart, not over all numbers. */
const times = fc.double({ min: -9.99, max: 41.9, noNaN: true }).map((exponent) => 2 ** exponent)

function measured(values: readonly number[], at = NOW): Histogram {
  const histogram = new Histogram()
  histogram.roll(at)
  for (const value of values) histogram.add(value)
  return histogram
}

describe('buckets of times', () => {
  it('take in their upper bound, and nothing above it', () => {
    fc.assert(
      fc.property(times, (ms) => {
        const bucket = bucketOf(ms)
        const stored = Math.fround(ms)
        assert.ok(stored <= upperBoundMs(bucket), `${ms} is above bucket ${bucket}`)
        assert.ok(stored > upperBoundMs(bucket - 1), `${ms} is below bucket ${bucket}`)
      }),
      { seed: seedOfRun() | 0, numRuns: 5000 },
    )
    for (let bucket = 0; bucket < BUCKETS; bucket++) assert.equal(bucketOf(upperBoundMs(bucket)), bucket)
    for (const exponent of [-10, -4, 0, 10, 26]) assert.equal(upperBoundMs(bucketEndingAt(exponent)), 2 ** exponent)
  })

  it('are the first and the last for what lies beyond, whatever it is', () => {
    for (const ms of [0, -0, -1, -Infinity, 1e-7, 1e-45, 2 ** -10, Number.NaN]) assert.equal(bucketOf(ms), 0, String(ms))
    for (const ms of [2 ** 43, 1e300, Infinity]) assert.equal(bucketOf(ms), BUCKETS - 1, String(ms))
  })
})

describe('what is told of times', () => {
  it('is within the error promised, and its mean is exact', () => {
    assert.ok(RELATIVE_ERROR < 0.06)
    fc.assert(
      fc.property(fc.array(times, { minLength: 1, maxLength: 300 }), (values) => {
        const told = recentOf([measured(values)], NOW)
        const sorted = values.toSorted((left, right) => left - right)
        assert.ok(told !== undefined)
        assert.equal(told.count, values.length)
        const sum = values.reduce((total, value) => total + value, 0)
        assert.ok(Math.abs(told.meanMs - sum / values.length) <= 1e-9 * sum)
        for (const [share, value] of [
          [0.5, told.p50Ms],
          [0.9, told.p90Ms],
          [0.99, told.p99Ms],
        ] as const) {
          const exact = sorted[Math.ceil(values.length * share) - 1] ?? 0
          const error = Math.abs(value - exact) / exact
          assert.ok(error <= RELATIVE_ERROR + 1e-6, `p${share * 100} of ${values.length}: ${value} for ${exact}, off by ${error}`)
        }
      }),
      { seed: seedOfRun() | 0, numRuns: 300 },
    )
  })

  it('is of all of several histograms', () => {
    assert.deepEqual(recentOf([measured([1, 2]), measured([4])], NOW), recentOf([measured([4, 2, 1])], NOW))
    assert.equal(recentOf([], NOW), undefined)
    assert.equal(recentOf([measured([])], NOW), undefined)
  })

  it('is forgotten after an hour, to a quarter of an hour, though nothing comes after it', () => {
    const histogram = measured([1, 2, 3])
    assert.equal(recentOf([histogram], NOW + 60 * 60_000)?.count, 3)
    assert.equal(recentOf([histogram], NOW + 5 * GENERATION_MS), undefined)
    histogram.roll(NOW + GENERATION_MS)
    histogram.add(8)
    assert.equal(recentOf([histogram], NOW + GENERATION_MS)?.count, 4)
    assert.equal(recentOf([histogram], NOW + 5 * GENERATION_MS)?.count, 1)
    assert.ok(histogram.generations.length <= 6)
    for (let quarter = 2; quarter < 100; quarter++) {
      histogram.roll(NOW + quarter * GENERATION_MS)
      histogram.add(quarter)
    }
    assert.equal(histogram.generations.length, 5)
    assert.equal(recentOf([histogram], NOW + 99 * GENERATION_MS)?.count, 5)
  })

  it('since the executor opened only grows, and leaves out what an earlier process has measured', () => {
    const stored = measured([1, 1, 1])
    stored.roll(NOW + GENERATION_MS)
    stored.add(5)
    const histogram = new Histogram(stored.generations)
    assert.deepEqual([sumOf(histogram), histogram.sinceOpen.sumMs], [0, 0])
    histogram.roll(NOW + GENERATION_MS)
    histogram.add(7)
    assert.deepEqual([sumOf(histogram), histogram.sinceOpen.sumMs], [1, 7])
    assert.equal(recentOf([histogram], NOW + GENERATION_MS)?.count, 5)
    for (let quarter = 2; quarter < 20; quarter++) {
      histogram.roll(NOW + quarter * GENERATION_MS)
      histogram.add(quarter)
      assert.equal(sumOf(histogram), quarter)
    }
    assert.ok(histogram.sinceOpen.counts.every((count) => count >= 0))
  })
})

function sumOf(histogram: Histogram): number {
  return histogram.sinceOpen.counts.reduce((sum, count) => sum + count, 0)
}
