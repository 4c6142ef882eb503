/** Counts of windows: against a list of everything that happened, through idle times and clocks that are set. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { AT, FIELDS } from '../../../src/telemetry/counts.js'
import { Windows, WINDOWS, WindowTime } from '../../../src/telemetry/windows.js'
import { seedOfRun } from '../../support/prng.js'

const NOW = Date.UTC(2030, 0, 1)
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A series of one count, with the wall clock it goes by. */
class Bench {
  wall = NOW
  readonly time = new WindowTime(0)
  readonly windows = new Windows()
  readonly counts = new Float64Array(FIELDS)
  /** The window time of each job. */
  readonly happened: { readonly at: number; readonly jobs: number }[] = []

  complete(jobs: number): void {
    const at = this.time.at(this.wall)
    this.windows.note(at, this.counts)
    this.counts[AT.completed] = (this.counts[AT.completed] ?? 0) + jobs
    this.happened.push({ at, jobs })
  }

  get told(): number[] {
    const at = this.time.at(this.wall)
    return WINDOWS.map((_, level) => this.windows.within(level, at, this.counts)(AT.completed))
  }

  /** Counted anew: what happened in a window's steps and in the one under way. */
  get right(): number[] {
    const at = this.time.at(this.wall)
    return WINDOWS.map(({ steps, stepMs }) => {
      const from = (Math.floor(at / stepMs) - steps) * stepMs
      return this.happened.filter((each) => each.at >= from).reduce((sum, { jobs }) => sum + jobs, 0)
    })
  }
}

describe('windows', () => {
  it('are a whole number of the steps of their names', () => {
    assert.deepEqual(
      WINDOWS.map(({ name, steps, stepMs }) => [name, steps * stepMs]),
      [
        ['hour', HOUR],
        ['day', DAY],
        ['month', 30 * DAY],
      ],
    )
  })

  it('tell what happened, whatever the pace, the pauses, and the jumps of the clock', () => {
    const act = fc.oneof(
      { weight: 5, arbitrary: fc.record({ jobs: fc.integer({ min: 1, max: 1e9 }) }) },
      { weight: 3, arbitrary: fc.record({ passMs: fc.constantFrom(1, 999, 59_999, MINUTE, 17 * MINUTE, HOUR, DAY) }) },
      { weight: 1, arbitrary: fc.record({ passMs: fc.constantFrom(11 * DAY, 400 * DAY) }) },
      { weight: 1, arbitrary: fc.record({ passMs: fc.constantFrom(-1, -MINUTE, -3 * HOUR, -20 * DAY) }) },
    )
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200, size: 'max' }), (acts) => {
        const bench = new Bench()
        for (const each of acts) {
          if ('jobs' in each) bench.complete(each.jobs)
          else bench.wall += each.passMs
          assert.deepEqual(bench.told, bench.right)
        }
      }),
      { seed: seedOfRun() | 0, numRuns: 200 },
    )
  })

  it('empty by themselves when nothing happens, one after the other', () => {
    const bench = new Bench()
    bench.complete(7)
    for (const [passedMs, told] of [
      [0, [7, 7, 7]],
      [HOUR, [7, 7, 7]],
      [HOUR + MINUTE, [0, 7, 7]],
      [DAY, [0, 7, 7]],
      [DAY + HOUR, [0, 0, 7]],
      [30 * DAY, [0, 0, 7]],
      [31 * DAY, [0, 0, 0]],
    ] as const) {
      bench.wall = NOW + passedMs
      assert.deepEqual(bench.told, told, `after ${passedMs} ms`)
    }
  })

  it('keep no more marks than they have steps, and none of idle times', () => {
    const bench = new Bench()
    for (let minute = 0; minute < 45 * 24 * 60; minute++) {
      bench.wall = NOW + minute * MINUTE
      bench.complete(1)
    }
    assert.deepEqual(
      bench.windows.marks.map(({ length }) => length),
      WINDOWS.map(({ steps }) => steps + 1),
    )
    assert.deepEqual(bench.told, [61, 48 * 30 + 30, 60 * 720 + 720])
    bench.wall += 400 * DAY
    bench.complete(1)
    assert.deepEqual(
      bench.windows.marks.map(({ length }) => length),
      [1, 1, 1],
    )
  })
})

describe('the clock set back', () => {
  it('leaves windows as they are, and they empty when their time has passed', () => {
    const bench = new Bench()
    bench.complete(5)
    bench.wall -= 2 * DAY
    assert.deepEqual(bench.told, [5, 5, 5])
    bench.complete(3)
    assert.deepEqual(bench.told, [8, 8, 8])
    bench.wall += HOUR + MINUTE
    assert.deepEqual(bench.told, [0, 8, 8])
    bench.complete(1)
    assert.deepEqual(bench.told, [1, 9, 9])
  })

  it('after it was years ahead does not freeze them', () => {
    const bench = new Bench()
    bench.complete(5)
    bench.wall += 3650 * DAY
    bench.complete(2)
    assert.deepEqual(bench.told, [2, 2, 2])
    bench.wall -= 3650 * DAY
    bench.complete(1)
    assert.deepEqual(bench.told, [3, 3, 3])
    bench.wall += HOUR + MINUTE
    assert.deepEqual(bench.told, [0, 3, 3])
  })

  it('while no process ran goes on from what was stored', () => {
    const time = new WindowTime(NOW)
    assert.equal(time.at(NOW - HOUR), NOW)
    assert.equal(time.at(NOW - HOUR + 5), NOW + 5)
    assert.equal(new WindowTime(NOW).at(NOW + HOUR), NOW + HOUR)
  })
})
