/** How far ahead threads are filled, by what their jobs and the commits take. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gatherMs, Pace } from '../../../src/dispatcher/pace.js'

describe('the pace', () => {
  it('grows with the run time of jobs, between bounds', () => {
    const sizes = [0.001, 0.1, 1, 5, 10, 25, 100, 10_000]
    const gathers = sizes.map(gatherMs)
    assert.deepEqual(
      gathers,
      gathers.toSorted((left, right) => left - right),
    )
    assert.deepEqual([gathers[0], gathers.at(-1)], [80, 250])
    const pace = new Pace()
    for (const size of sizes) {
      assert.equal(pace.horizonMs(size), pace.lowMs(size) + gatherMs(size))
      assert.ok(pace.wantsMore(0, size))
      assert.ok(!pace.wantsMore(pace.horizonMs(size), size))
    }
  })

  it('fills threads the earlier the longer turns take, and forgets a slow one', () => {
    const pace = new Pace()
    const quick = pace.lowMs(1)
    for (let turn = 0; turn < 100; turn++) pace.turnTook(30)
    assert.ok(Math.abs(pace.lowMs(1) - quick - 60) < 1, `${pace.lowMs(1)}`)
    pace.turnTook(60_000)
    assert.ok(pace.lowMs(1) < quick + 80, 'one turn of a minute')
    for (let turn = 0; turn < 200; turn++) pace.turnTook(0)
    assert.ok(pace.lowMs(1) - quick < 0.1)
  })
})
