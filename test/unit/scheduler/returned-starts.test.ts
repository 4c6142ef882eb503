/** Jobs come back unstarted longer after they were handed out than a rate looks back: those handed out since count as they did. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { LimitBench, seqs } from '../../support/limit-bench.js'

const RATE = { max: 2, perMs: 100 }

for (const of of ['queue', 'key'] as const) {
  it(`for the rate of a ${of}`, async () => {
    const bench = new LimitBench(of === 'queue' ? { queue: { rate: RATE } } : {})
    bench.add({ jobs: 8, ...(of === 'key' && { key: 'one', limitMax: 9, limitRate: RATE }) })
    await bench.commit()
    const early = bench.pick(0)
    bench.now += 120
    const late = bench.pick(1)
    assert.ok(early !== undefined && late !== undefined)
    assert.equal(seqs(late).length, 2)
    bench.now += 5
    bench.end(early, { comesBack: true })
    assert.equal(bench.pick(0), undefined, 'two have begun 5 ms ago')
    bench.end(late, { comesBack: true })
    assert.deepEqual(seqs(bench.pick(0)), seqs(early), 'they did not begin after all')
  })

  it(`for the rate of a ${of}, when they begin at last`, async () => {
    const bench = new LimitBench(of === 'queue' ? { queue: { rate: RATE } } : {})
    bench.add({ jobs: 8, ...(of === 'key' && { key: 'one', limitMax: 9, limitRate: RATE }) })
    await bench.commit()
    for (let turn = 0; turn < 3; turn++) {
      const back = bench.pick(0)
      assert.ok(back !== undefined)
      bench.now += 30
      bench.end(back, { comesBack: true })
    }
    const begun = bench.pick(0)
    assert.ok(begun !== undefined)
    bench.end(begun)
    assert.equal(bench.pick(0), undefined, 'they count once')
    bench.now += 100
    assert.equal(seqs(bench.pick(0)).length, 2)
  })
}
