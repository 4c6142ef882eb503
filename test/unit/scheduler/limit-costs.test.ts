/** What limited jobs cost that may not run: nothing per dispatch, whatever their number. Counted, not timed. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { KEY_TURN_MS } from '../../../src/base/limits.js'
import { LimitBench, seqs } from '../../support/limit-bench.js'
import { countedLooks } from '../../support/looks.js'

describe('jobs that may not run', () => {
  it('cost nothing per dispatch, however many they are, and of however many keys', async (t) => {
    const costs: { waiting: number; reads: number; looks: number }[] = []
    const looks = countedLooks(t)
    for (const waiting of [1000, 40_000]) {
      const bench = new LimitBench()
      // A few keys with many jobs, of which as many run as may …
      for (let key = 0; key < 4; key++) {
        for (let page = 0; page < waiting / 4 / 250; page++) bench.add({ key: `full ${key}`, jobs: 250 })
        assert.ok(bench.pick(key, { budgetMs: 1 }) !== undefined)
      }
      // … as many keys as jobs, each of which has used up its rate, …
      for (let key = 0; key < waiting / 10; key++)
        bench.add({ key: `resting ${key}`, jobs: 2, limitMax: 9, limitRate: { max: 1, perMs: 1e9 } })
      await bench.commit()
      while (bench.ready.hasRunnable) {
        const filled = bench.pick(9, { budgetMs: 9999 })
        if (filled !== undefined) bench.end(filled)
      }
      // … and as many keys, each of which has all that it may in a thread.
      for (let key = 0; key < waiting / 50; key++) bench.add({ key: `held ${key}`, jobs: 2 })
      await bench.commit()
      for (let slot = 100; bench.pick(slot, { budgetMs: 20 }) !== undefined; slot++);
      await bench.commit()
      bench.counted.reads = 0
      looks.lanes = 0
      const rounds = 300
      for (let round = 0; round < rounds; round++) {
        bench.add({ key: `free ${round % 7}` })
        const filled = bench.pick(9, { budgetMs: 1 })
        assert.equal(seqs(filled).length, 1)
        assert.ok(filled !== undefined)
        assert.equal(bench.pick(10), undefined)
        bench.end(filled)
        await bench.commit()
        assert.ok((bench.ready.readyAt(bench.store.queueId('default')) ?? 0) > 0)
      }
      costs.push({ waiting, reads: bench.counted.reads / rounds, looks: looks.lanes / rounds })
    }
    const [few, many] = costs
    assert.ok(few !== undefined && many !== undefined)
    t.diagnostic(JSON.stringify(costs))
    // What comes when thousands of keys have pages in memory is read back from the store.
    assert.ok(few.reads <= 2 && many.reads <= 2, JSON.stringify(costs))
    assert.ok(many.looks <= few.looks + 1 && many.looks < 100, JSON.stringify(costs))
  })

  it('are not looked at by a dispatch, full or resting, be they a thousand keys or forty thousand', async (t) => {
    const looks = countedLooks(t)
    const costs: Record<string, number>[] = []
    for (const keys of [1000, 40_000]) {
      // Longer than a key's turn, so that a thread is given one job of each key.
      const bench = new LimitBench({ jobMs: 2 * KEY_TURN_MS })
      for (let key = 0; key < keys / 8; key++)
        bench.add({ key: `resting ${key}`, jobs: 2, limitMax: 9, limitRate: { max: 1, perMs: 1e9 } })
      await bench.commit()
      while (bench.ready.hasRunnable) {
        const filled = bench.pick(9, { budgetMs: 1e9, all: 1 })
        if (filled !== undefined) bench.end(filled)
      }
      for (let key = 0; key < keys; key++) bench.add({ key: `full ${key}`, jobs: 2 })
      await bench.commit()
      // Few picks, of many jobs: a walk in each of them is to show in the rounds below, and not to hold up the test before.
      const picks = keys / 1000
      for (let pick = 0; pick < picks; pick++)
        assert.equal(new Set(bench.pick(100 + pick, { budgetMs: 2000 * KEY_TURN_MS, all: 1 })?.keys.keys()).size, 1000)
      await bench.commit()
      assert.equal(bench.ready.hasRunnable, false)
      Object.assign(looks, { lanes: 0, keys: 0, steps: 0 })
      bench.counted.reads = 0
      const rounds = 20
      for (let round = 0; round < rounds; round++) {
        bench.add({ key: `free ${round % 3}` })
        // Beyond so many keys in memory what comes is read back from the store, where it has to be first.
        await bench.commit()
        assert.equal(bench.ready.hasWorkFor(9, 255), true)
        const filled = bench.pick(9, { budgetMs: 1 })
        assert.ok(filled !== undefined)
        assert.equal(bench.pick(10), undefined)
        assert.equal(bench.ready.hasWorkFor(10, 255), false)
        bench.end(filled)
        await bench.commit()
        assert.ok(bench.ready.freeAt > bench.now && bench.ready.hasWork)
      }
      const { lanes, keys: atKeys, steps } = looks
      costs.push({ lanes: lanes / rounds, keys: atKeys / rounds, steps: steps / rounds, reads: bench.counted.reads / rounds })
    }
    const told = JSON.stringify(costs)
    t.diagnostic(told)
    const [few = {}, many = {}] = costs
    for (const [what, count = NaN] of Object.entries(many)) {
      assert.ok(count < 200, `${count} ${what} a round: ${told}`)
      assert.ok(count <= (few[what] ?? 0) + 10, `${what} grow with the keys: ${told}`)
    }
  })
})
