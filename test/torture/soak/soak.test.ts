/** The quick form of the soak: some seconds of load, and the trend test on series whose answer is known. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { createPrng, seedOfRun } from '../../support/prng.js'
import { roundUp, toSvg } from './plot.js'
import { showing, tooFew } from '../rung.js'
import { FAULTS } from './faults.js'
import { planted } from './rung.js'
import { judge, MEASURES, toCsv, type Measure, type Sample } from './samples.js'
import { trendOf } from './trend.js'
import { soak, watch } from './watch.js'

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
  const few = { name: 'RangeError', message: /^8 samples tell nothing/ }
  assert.throws(() => trendOf([1, 2, 3, 4, 5, 6, 7, 8], MARGIN), few, 'too few are neither flat nor growing')
})

function sampled(...growing: Measure[]): Sample[] {
  return of((index) => index).map((index) => {
    const values = MEASURES.map((name) => {
      const step = name.startsWith('waitMs') || name.endsWith('Pages') ? 100 : 2
      return [name, growing.includes(name) ? 50 + index * step : 50]
    })
    return { seconds: index, jobs: index * 10, values: Object.fromEntries(values) as Sample['values'] }
  })
}

test('each measure that grows is named, and drawn', () => {
  assert.deepEqual(judge(sampled()), [])
  for (const name of MEASURES) {
    const found = judge(sampled(name))
    assert.equal(found.length, 1, name)
    assert.match(found[0] ?? '', new RegExp(`^${name} grew: median`))
  }
  const svg = toSvg(sampled('rssMb'), 18)
  assert.equal(svg.match(/<polyline/g)?.length, MEASURES.length)
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
  assert.equal(toCsv(sampled()).split('\n').length, 92)
  assert.deepEqual([0, 0.3, 1, 7, 230].map(roundUp), [1, 0.5, 1, 10, 500])
})

test('what the system does not tell is left out', () => {
  const untold = sampled('threads').map(({ values: { files: _files, ...values }, ...sample }) => ({ ...sample, values }))
  assert.equal(judge(untold).length, 1)
  assert.doesNotMatch(toCsv(untold) + toSvg(untold, 18), /files|NaN/)
})

test('every measure has a planted fault that only it shows, and too few samples show none', () => {
  const grown = new Set(FAULTS.flatMap(({ grows = [] }) => grows))
  assert.deepEqual(
    MEASURES.filter((name) => !grown.has(name) && !name.startsWith('waitMs')),
    [],
  )
  assert.ok([...grown].some((name) => name.startsWith('waitMs')))
  for (const { grows = [], ...fault } of FAULTS) {
    if (grows.length === 0) continue
    const proof = planted({ ...fault, grows })
    const others = MEASURES.filter((name) => !grows.includes(name))
    assert.ok(showing(proof, judge(sampled(...grows))), fault.name)
    assert.equal(showing(proof, judge(sampled(...others))), undefined, fault.name)
    assert.equal(showing(proof, judge(sampled(...grows).slice(0, 8))), undefined, fault.name)
  }
  assert.match(judge(sampled().slice(0, 8)).join(), /^nothing is proven: 8 samples/)
})

test('a process that makes no step any more is ended, and has hung', async () => {
  const stage = JSON.stringify({ is: 'at', stage: 'a drain' })
  const program = `require('node:fs').writeSync(3, ${JSON.stringify(`${stage}\n`)}); setInterval(() => undefined, 1000)`
  const found = await watch(['-e', program], { ms: 1000, processes: 5 }, () => undefined)
  assert.deepEqual(found, ['it hung in a drain: no step for 1 s, nor while 5 processes came and went'])
})

test('mixed work ends as it was told to', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { figures, violations } = await soak({ seed, rounds: 2, seconds: 5, progress: () => undefined })
  t.diagnostic(`${figures['jobs']} jobs, ${figures['copies']} copies`)
  const few = tooFew({ least: { rounds: 2, completed: 60, copies: 1 } }, figures)
  assertHeld([...violations, ...few], `MILLRACE_SEED=${seed}`)
})
