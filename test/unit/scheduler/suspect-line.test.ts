/** Jobs to be run alone: when each may begin, and what becomes of one that no thread has begun. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PAGE_HEADER_BYTES } from '../../../src/codec/page.js'
import type { PageRef, Slice } from '../../../src/store/page-ref.js'
import { LimitBench, seqs } from '../../support/limit-bench.js'

const limitRate = { max: 1, perMs: 1000 }

function whole(page: PageRef): Slice {
  return { page, from: 0, to: 1, offset: PAGE_HEADER_BYTES }
}

function seqOf(page: PageRef | undefined): number | undefined {
  return page?.header.firstSeq
}

/** After a death of the process, with suspects that were added before. */
async function died(bench: LimitBench): Promise<void> {
  await bench.commit()
  bench.reopen()
}

describe('a suspect', () => {
  it('rests until the rate of its limit key lets it begin, and is counted by it', async () => {
    const bench = new LimitBench()
    for (let count = 0; count < 2; count++) bench.addSuspect({ key: 'a', limitMax: 9, limitRate })
    await died(bench)
    assert.equal(seqOf(bench.pickAlone()), 1)
    await bench.commit()
    assert.equal(seqOf(bench.pickAlone()), undefined, 'the rate is used up')
    assert.equal(bench.ready.suspects.isWaiting, false)
    assert.equal(bench.ready.suspects.hasWork, true)
    assert.equal(bench.ready.freeAt, 2000)
    bench.now = 1999
    assert.equal(seqOf(bench.pickAlone()), undefined)
    bench.now = 2000
    assert.equal(seqOf(bench.pickAlone()), 2)
  })

  it('rests until the rate of its queue lets it begin, and is counted by it', async () => {
    const bench = new LimitBench({ queue: { rate: limitRate } })
    for (let count = 0; count < 2; count++) bench.addSuspect()
    await died(bench)
    assert.equal(seqOf(bench.pickAlone()), 1)
    assert.equal(seqOf(bench.pickAlone()), undefined, 'the rate is used up')
    assert.equal(bench.ready.freeAt, 2000)
    bench.now = 2000
    assert.equal(seqOf(bench.pickAlone()), 2)
  })

  it('goes before those that rest when its own rate is free', async () => {
    const bench = new LimitBench()
    for (const key of ['a', 'a', 'b']) bench.addSuspect({ key, limitMax: 9, limitRate })
    await died(bench)
    assert.deepEqual([bench.pickAlone(), bench.pickAlone()].map(seqOf), [1, 3])
    assert.equal(bench.ready.suspects.size, 1)
  })

  it('that no thread has begun is next again, joins no lane, and does not count as started', async () => {
    for (const key of ['a', undefined]) {
      const bench = new LimitBench({ queue: { rate: limitRate } })
      for (let count = 0; count < 2; count++) bench.addSuspect({ ...(key !== undefined && { key, limitMax: 9, limitRate }) })
      await died(bench)
      for (let time = 0; time < 3; time++) {
        const page = bench.pickAlone()
        assert.equal(seqOf(page), 1, `time ${time} of ${key}`)
        await bench.commit()
        bench.ready.putBack([whole(page as PageRef)])
        assert.equal(bench.ready.suspects.size, 2)
        assert.deepEqual(seqs(bench.pick(0)), [], 'nothing of it may run beside others')
        await bench.commit()
      }
    }
  })

  it('waits with its queue while that is paused, also when it comes back', async () => {
    const bench = new LimitBench()
    bench.addSuspect()
    await died(bench)
    const queueId = bench.store.queueId('default')
    const page = bench.pickAlone()
    assert.ok(page !== undefined)
    bench.ready.setState(queueId, { paused: true, concurrency: undefined })
    bench.ready.putBack([whole(page)])
    assert.equal(seqOf(bench.pickAlone()), undefined)
    assert.deepEqual(
      [bench.ready.suspects.size, bench.ready.suspects.hasWork, bench.ready.suspects.hasOf(queueId)],
      [1, false, false],
    )
    bench.ready.setState(queueId, { paused: false, concurrency: undefined })
    assert.equal(seqOf(bench.pickAlone()), 1)
  })

  it('that is over leaves the line wherever it stands in it', async () => {
    const bench = new LimitBench()
    const pages = ['a', 'a', 'b'].map((key) => bench.addSuspect({ key, limitMax: 9, limitRate }))
    await died(bench)
    assert.deepEqual([seqOf(bench.pickAlone()), seqOf(bench.pickAlone())], [1, 3])
    assert.equal(bench.ready.freeAt, 2000)
    bench.ready.suspects.leaves(pages[1] as PageRef)
    assert.deepEqual([bench.ready.suspects.size, bench.ready.suspects.hasWork, bench.ready.freeAt], [0, false, Infinity])
  })
})
