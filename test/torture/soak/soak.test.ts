/** The quick form of the soak: some seconds of load, and the trend test on series whose answer is known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { createPrng, seedOfRun } from '../../support/prng.js'
import { roundUp, toSvg } from './plot.js'
import { soak } from './rung.js'
import { growths, toCsv, type Sample } from './samples.js'
import { trendOf } from './trend.js'

const MARGIN = { share: 0.2, least: 5 }
const prng = createPrng(5)
const of = (value: (index: number) => number): number[] => Array.from({ length: 90 }, (_, index) => value(index))

test('the trend test knows what is flat from what grows', () => {
  const flat = {
    'a flat series': of(() => 100),
    'a noisy one': of(() => 100 + prng.below(30)),
    'a sawtooth': of((index) => 60 + (index % 15) * 5),
    'one that settles': of((index) => 100 - 40 * Math.exp(-index / 8)),
    'one with a few spikes': of((index) => (index % 20 === 19 ? 900 : 100)),
  }
  const growing = {
    'a leak': of((index) => 100 + index),
    'a leak beneath a sawtooth': of((index) => 60 + (index % 15) * 3 + index),
    'a noisy leak': of((index) => 100 + index + prng.below(40)),
    'a step': of((index) => (index < 45 ? 100 : 150)),
  }
  for (const [name, series] of Object.entries(flat)) assert.ok(trendOf(series, MARGIN).isFlat, name)
  for (const [name, series] of Object.entries(growing)) assert.ok(!trendOf(series, MARGIN).isFlat, name)
  assert.ok(!trendOf([1, 1, 1], MARGIN).isFlat, 'too few samples tell nothing')
})

function sampled(grows: keyof Sample | undefined): Sample[] {
  const still = { rssMb: 100, heapMb: 20, externalMb: 10, fileMb: 5, handles: 4, threads: 2, readers: 1, oldestWaitMs: 50 }
  return of((index) => index).map((index) => {
    const sample = { seconds: index, jobs: index * 10, ...still }
    return grows === undefined ? sample : { ...sample, [grows]: sample[grows] + index * (grows === 'oldestWaitMs' ? 100 : 2) }
  })
}

test('each measure that grows is named, and drawn', () => {
  assert.deepEqual(growths(sampled(undefined)), [])
  for (const name of ['rssMb', 'heapMb', 'externalMb', 'fileMb', 'handles', 'threads', 'readers', 'oldestWaitMs'] as const) {
    const found = growths(sampled(name))
    assert.equal(found.length, 1, name)
    assert.match(found[0] ?? '', new RegExp(`^${name} grew`))
  }
  const svg = toSvg(sampled('rssMb'), 18)
  assert.equal(svg.match(/<polyline/g)?.length, 8)
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
  assert.equal(toCsv(sampled(undefined)).split('\n').length, 92)
  assert.deepEqual([0, 0.3, 1, 7, 230].map(roundUp), [1, 0.5, 1, 10, 500])
})

test('mixed work ends as it was told to', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { load } = await soak(8, { seed }, () => undefined)
  t.diagnostic(`${load.jobs} jobs, ${load.copies} copies`)
  assertHeld(load.violations, `MILLRACE_SEED=${seed}`)
  assert.ok(load.ended.completed > 0)
})
