/** What was started under a rate: never too much in any span, whatever the history. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RateLog } from '../../../src/scheduler/rate-log.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

const RATE = { max: 3, perMs: 1000 }

describe('a rate', () => {
  it('lets as many start in a span as it says, and the next when the first is a span ago', () => {
    const log = new RateLog()
    assert.equal(log.free(RATE, 0), 3)
    log.add(RATE, 2, 0)
    log.add(RATE, 1, 400)
    assert.equal(log.free(RATE, 999), 0)
    assert.equal(log.freeAt(RATE, 999), 1000)
    assert.equal(log.free(RATE, 1000), 2)
    log.add(RATE, 2, 1000)
    assert.equal(log.freeAt(RATE, 1100), 1400)
  })

  it('takes back starts that did not come to be, and is then never too generous', () => {
    const log = new RateLog()
    log.add(RATE, 3, 0)
    log.refund(3, 0)
    assert.equal(log.free(RATE, 1), 3)
    log.add(RATE, 2, 100)
    log.add(RATE, 1, 900)
    log.refund(2, 100)
    assert.equal(log.freeAt({ max: 1, perMs: 1000 }, 950), 1900)
    assert.equal(log.free(RATE, 1100), 2)
    log.add(RATE, 2, 1100)
    log.refund(2, 100)
    assert.equal(log.free(RATE, 1110), 0, 'what is forgotten leaves nothing to be given back')
  })

  it('counts what a clock that was set back shows in the future as of now', () => {
    const log = new RateLog()
    log.add(RATE, 3, 1_000_000)
    assert.equal(log.free(RATE, 500), 0)
    assert.equal(log.freeAt(RATE, 500), 1500)
    assert.equal(log.free(RATE, 1500), 3)
  })

  it('knows a longer span when one is asked for later', () => {
    const log = new RateLog()
    log.free(RATE, 0)
    log.add(RATE, 1, 0)
    log.free({ max: 5, perMs: 60_000 }, 10)
    assert.equal(log.free({ max: 5, perMs: 60_000 }, 5000), 4)
  })

  it('keeps its promise in any history, read from its record or not, and is late by a share of the span at most', () => {
    const seed = seedOfRun()
    const prng = createPrng(seed)
    for (let round = 0; round < 40; round++) {
      const rate = { max: 1 + prng.below(round % 2 === 0 ? 5 : 400), perMs: 1 + prng.below(5000) }
      let log = new RateLog()
      const starts: number[] = []
      let now = 0
      let late = 0
      for (let step = 0; step < 300; step++) {
        now += prng.below(Math.max(1, Math.floor(rate.perMs / 20)))
        const free = log.free(rate, now)
        const inSpan = starts.filter((at) => at > now - rate.perMs).length
        assert.ok(free <= rate.max - inSpan, `seed ${seed}: ${free} free beside ${inSpan} of ${rate.max}`)
        const spared = starts.filter((at) => at > now - rate.perMs * (1 + 1 / 16)).length
        if (free < rate.max - spared) late++
        if (free === 0) assert.ok(log.freeAt(rate, now) > now, `seed ${seed}`)
        const taken = prng.below(free + 1)
        if (taken > 0) log.add(rate, taken, now)
        for (let count = 0; count < taken; count++) starts.push(now)
        // It does not matter how long ago, and what was started since.
        const [back] = prng.below(8) === 0 ? starts.splice(prng.below(Math.max(1, starts.length)), 1) : []
        if (back !== undefined) log.refund(1, back)
        if (prng.below(30) === 0) log = RateLog.of(log.record())
        assert.ok(log.record().moments.length <= 70, `seed ${seed}: ${log.record().moments.length} moments`)
      }
      assert.equal(late, 0, `seed ${seed}`)
    }
  })
})
