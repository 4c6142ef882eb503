/** Limit keys over a store in memory: who may run, who comes next, and who is held up by whom. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Filled } from '../../../src/scheduler/ready-queues.js'
import { LimitBench, seqs } from '../../support/limit-bench.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

describe('a limit of a key', () => {
  it('lets as many threads have its jobs as it says; a thread that has some may have more', async () => {
    const bench = new LimitBench()
    for (let count = 0; count < 6; count++) bench.add({ key: 'a', limitMax: 2 })
    await bench.commit()
    const [first, second] = [bench.pick(0, { budgetMs: 1 }), bench.pick(1, { budgetMs: 1 })]
    assert.deepEqual([...seqs(first), ...seqs(second)], [1, 2])
    assert.equal(bench.pick(2), undefined)
    assert.equal(bench.ready.hasWorkFor(2, 255), false)
    assert.equal(bench.ready.hasRunnable, false)
    assert.equal(bench.ready.hasWork, true)
    assert.deepEqual(seqs(bench.pick(0, { budgetMs: 1 })), [3])
    assert.ok(second !== undefined)
    bench.end(second)
    assert.deepEqual(seqs(bench.pick(2, { budgetMs: 1 })), [4])
  })

  it('counts each job against the number that it brings itself', async () => {
    const bench = new LimitBench()
    bench.add({ key: 'a', limitMax: 3 })
    bench.add({ key: 'a', limitMax: 1 })
    bench.add({ key: 'a', limitMax: 3 })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 1 })
    assert.equal(bench.pick(1), undefined, 'the second job wants to be alone')
    assert.ok(first !== undefined)
    bench.end(first)
    assert.deepEqual(seqs(bench.pick(1, { budgetMs: 1 })), [2])
    assert.deepEqual(seqs(bench.pick(2, { budgetMs: 1 })), [3])
  })

  it('is heard of when it changes with the job that waits, more or less, whether it was full or rested', async () => {
    const bench = new LimitBench()
    bench.add({ key: 'a' })
    const second = bench.add({ key: 'a' })
    await bench.commit()
    assert.deepEqual(seqs(bench.pick(0, { budgetMs: 1 })), [1])
    assert.equal(bench.ready.hasWorkFor(1, 255), false)
    bench.change(second, { key: 'a', limitMax: 2 })
    assert.equal(bench.ready.hasWorkFor(1, 255), true, 'two threads may have its jobs now')
    bench.change(second, { key: 'a', limitMax: 1 })
    assert.equal(bench.ready.hasWorkFor(1, 255), false, 'and one again')
    assert.deepEqual(seqs(bench.pick(1)), [])
    bench.change(second, { key: 'a', limitMax: 2 })
    assert.deepEqual(seqs(bench.pick(1)), [2])

    const rated = new LimitBench()
    const limitRate = { max: 1, perMs: 1000 }
    rated.add({ key: 'a', limitMax: 9, limitRate })
    const waiting = rated.add({ key: 'a', limitMax: 9, limitRate })
    await rated.commit()
    assert.deepEqual(seqs(rated.pick(0)), [1])
    assert.deepEqual(seqs(rated.pick(1)), [])
    assert.equal(rated.ready.freeAt, 2000)
    rated.change(waiting, { key: 'a', limitMax: 9, limitRate: { max: 2, perMs: 1000 } })
    assert.deepEqual(seqs(rated.pick(1)), [2], 'it does not rest any more')
  })

  it('holds up nobody behind it', async () => {
    const bench = new LimitBench()
    bench.add({ key: 'a', jobs: 50 })
    bench.add({ key: 'b' })
    bench.add()
    await bench.commit()
    assert.deepEqual(seqs(bench.pick(0, { budgetMs: 1 })), [1])
    assert.deepEqual(
      seqs(bench.pick(1, { budgetMs: 9 })).toSorted((left, right) => left - right),
      [51, 52],
    )
  })

  it('holds over the priorities of its key', async () => {
    const bench = new LimitBench()
    bench.add({ key: 'a', rank: 127 })
    bench.add({ key: 'a', rank: 100 })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 1 })
    assert.deepEqual(seqs(first), [2])
    assert.equal(bench.pick(1), undefined)
    assert.ok(first !== undefined)
    bench.end(first)
    assert.deepEqual(seqs(bench.pick(1)), [1])
  })
})

/** Three jobs that lie in one thread, behind others, while another thread gets on with ten of those. */
function threeBehind(bench: LimitBench, isOfThem: (filled: Filled | undefined) => boolean): Filled[] {
  const behind: Filled[] = []
  while (behind.length < 3) {
    const filled = bench.pick(1)
    assert.ok(filled)
    if (isOfThem(filled)) behind.push(filled)
  }
  for (let count = 0; count < 10; count++) assert.ok(!isOfThem(bench.pick(0)))
  return behind
}

describe('keys of one queue', () => {
  it('share its threads fairly: three jobs are not held back by a thousand', async () => {
    const bench = new LimitBench()
    for (let page = 0; page < 5; page++) bench.add({ key: 'many', jobs: 200, limitMax: Infinity })
    bench.add({ key: 'few', jobs: 3, limitMax: Infinity })
    await bench.commit()
    const order: number[] = []
    for (let filled = bench.pick(0, { budgetMs: 20 }); filled !== undefined; filled = bench.pick(0, { budgetMs: 20 })) {
      order.push(...seqs(filled))
      bench.end(filled)
      await bench.commit()
    }
    assert.equal(order.length, 1003)
    assert.ok(order.indexOf(1003) < 20, `the last of three came at place ${order.indexOf(1003)}`)
    assert.deepEqual(
      order.filter((seq) => seq <= 1000),
      Array.from({ length: 1000 }, (_, index) => index + 1),
      'in order within a key',
    )
  })

  for (const key of ['few', undefined])
    it(`come first for as long as what came back unstarted takes, and no longer: ${key ?? 'jobs without a key'}`, async () => {
      const bench = new LimitBench({ jobMs: 4 })
      const few = { ...(key !== undefined && { key }), limitMax: Infinity }
      for (let count = 0; count < 3; count++) bench.add(few)
      for (let count = 0; count < 100; count++) bench.add({ key: 'many', limitMax: Infinity })
      await bench.commit()
      const isFew = (filled: Filled | undefined): boolean => (seqs(filled)[0] ?? 0) < 4 || (seqs(filled)[0] ?? 0) > 103
      const behind = threeBehind(bench, isFew)
      for (const filled of behind) bench.end(filled, { comesBack: true })
      for (let count = 0; count < 9; count++) bench.add(few)
      await bench.commit()
      const turns = Array.from({ length: 13 }, () => isFew(bench.pick(0)))
      assert.deepEqual(turns.slice(0, 3), [true, true, true])
      // And one for the turn that was under way, and one of two that stand level.
      assert.equal(turns.slice(5).filter(Boolean).length, 4, turns.join())
    })

  it('keep their place also when one job of them runs at a time', async () => {
    const bench = new LimitBench({ jobMs: 4 })
    for (let count = 0; count < 9; count++) bench.add({ key: 'one', limitMax: 1 })
    for (let count = 0; count < 100; count++) bench.add({ key: 'many', limitMax: Infinity })
    await bench.commit()
    const isOne = (filled: Filled | undefined): boolean => (seqs(filled)[0] ?? 0) < 10
    const behind = threeBehind(bench, isOne)
    for (const filled of behind) bench.end(filled, { comesBack: true })
    await bench.commit()
    const turns = Array.from({ length: 13 }, () => isOne(bench.pick(0)))
    assert.deepEqual(turns.slice(0, 3), [true, true, true], turns.join())
  })

  it('that had nothing but jobs of low priority start level with the others when those of high priority are done', async () => {
    const bench = new LimitBench({ jobMs: 4 })
    for (let count = 0; count < 20; count++) bench.add({ key: 'low', limitMax: Infinity, rank: 200 })
    for (let count = 0; count < 50; count++) bench.add({ key: 'high', limitMax: Infinity, rank: 100 })
    await bench.commit()
    for (let count = 0; count < 50; count++) {
      const filled = bench.pick(0)
      assert.ok((seqs(filled)[0] ?? 0) > 20)
    }
    for (let count = 0; count < 20; count++) bench.add({ key: 'new', limitMax: Infinity, rank: 200 })
    await bench.commit()
    const turns = Array.from({ length: 20 }, () => (seqs(bench.pick(0))[0] ?? 0) > 70)
    assert.ok(turns.filter(Boolean).length >= 6, turns.join())
  })

  it('share with the jobs that have none', async () => {
    const bench = new LimitBench()
    bench.add({ jobs: 300 })
    bench.add({ key: 'few', jobs: 3 })
    await bench.commit()
    assert.ok(seqs(bench.pick(0, { budgetMs: 10 })).includes(303))
  })

  it('are spread over the threads', async () => {
    const bench = new LimitBench()
    for (const key of ['a', 'b', 'c', 'd']) bench.add({ key, jobs: 100 })
    await bench.commit()
    const lots = [0, 1, 2, 3].map((slot) => seqs(bench.pick(slot, { budgetMs: 30, all: 4 })))
    assert.deepEqual(
      lots.map(({ length }) => length > 0),
      [true, true, true, true],
    )
  })
})

describe('a rate', () => {
  const limitRate = { max: 3, perMs: 1000 }

  it('of a key lets so many start and wakes it in time, also after a crash', async () => {
    const bench = new LimitBench()
    bench.add({ key: 'a', jobs: 10, limitMax: 9, limitRate })
    bench.add({ key: 'b', limitMax: 9, limitRate })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 99 })
    assert.deepEqual(seqs(first), [1, 2, 3, 11])
    assert.ok(first !== undefined)
    bench.end(first)
    await bench.commit()
    assert.equal(bench.pick(0), undefined)
    assert.equal(bench.ready.freeAt, 2000)
    bench.reopen()
    bench.now = 1999
    assert.equal(bench.pick(0), undefined, 'the store tells what was started')
    assert.equal(bench.ready.freeAt, 2000)
    bench.now = 2000
    assert.deepEqual(seqs(bench.pick(0, { budgetMs: 99 })), [4, 5, 6])
  })

  it('of a queue holds for all of its jobs, also after a crash', async () => {
    const bench = new LimitBench({ queue: { rate: limitRate } })
    bench.add({ jobs: 10 })
    bench.add({ key: 'a', jobs: 10 })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 99 })
    assert.equal(seqs(first).length, 3)
    assert.ok(first !== undefined)
    bench.end(first)
    await bench.commit()
    assert.equal(bench.pick(0), undefined)
    assert.equal(bench.ready.hasWorkFor(0, 255), false)
    bench.reopen()
    assert.equal(bench.pick(0), undefined)
    bench.now = 2000
    assert.equal(seqs(bench.pick(0, { budgetMs: 99 })).length, 3)
  })

  it('does not count what comes back unstarted', async () => {
    const bench = new LimitBench({ queue: { rate: { max: 4, perMs: 1000 } } })
    bench.add({ key: 'a', jobs: 10, limitMax: 9, limitRate })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 99 })
    assert.ok(first !== undefined)
    bench.end(first, { comesBack: true })
    await bench.commit()
    assert.deepEqual(seqs(bench.pick(1, { budgetMs: 99 })), [1, 2, 3])
    await bench.commit()
    bench.reopen()
    assert.equal(bench.pick(0), undefined)
  })

  it('leaves no record behind when it has run out', async () => {
    const bench = new LimitBench()
    for (let key = 0; key < 50; key++) bench.add({ key: `key ${key}`, limitRate })
    await bench.commit()
    const rates = (): number =>
      bench.store.engine.range('meta', { start: Buffer.from('rate:'), end: Buffer.from('rate;'), limit: 1000 }).length
    for (let filled = bench.pick(0, { budgetMs: 99 }); filled !== undefined; filled = bench.pick(0)) bench.end(filled)
    await bench.commit()
    assert.equal(rates(), 50)
    for (let round = 0; round < 20; round++) {
      bench.now += 2000
      bench.add({ key: 'another', limitRate })
      const filled = bench.pick(0)
      assert.ok(filled !== undefined)
      bench.end(filled)
      await bench.commit()
    }
    assert.ok(rates() <= 1, `${rates()} records`)
  })
})

describe('waiting', () => {
  it('adds to the priority, so that nobody waits for ever; without ageing somebody does', async () => {
    for (const ageingMs of [1000, Infinity]) {
      const bench = new LimitBench({ queue: { ageingMs } })
      bench.add({ rank: 127 })
      bench.add({ rank: 127, key: 'a' })
      const low = new Set([1, 2])
      let rounds = 0
      for (; low.size > 0 && rounds < 40; rounds++) {
        bench.now += 500
        bench.add({ rank: 120 })
        bench.add({ rank: 120, key: 'b' })
        await bench.commit()
        const filled = bench.pick(0, { budgetMs: 2 })
        assert.ok(filled !== undefined)
        for (const seq of seqs(filled)) low.delete(seq)
        bench.end(filled)
      }
      if (ageingMs === Infinity) assert.equal(low.size, 2)
      else assert.ok(rounds >= 12 && rounds <= 20, `${rounds} rounds of half a step`)
    }
  })

  it('is counted from when the job became available', async () => {
    const bench = new LimitBench({ queue: { ageingMs: 1000 } })
    bench.add({ rank: 120, at: 60_000 })
    bench.add({ rank: 127, at: 55_000 })
    bench.add({ rank: 127, at: 52_000 })
    bench.now = 60_000
    await bench.commit()
    assert.deepEqual(seqs(bench.pick(0, { budgetMs: 1 })), [1], 'five steps are not enough for the front of its lane')
  })
})

describe('a heavy job', () => {
  it('is alone in its batch, counts as its threads, and nothing of its queue overtakes it', async () => {
    const bench = new LimitBench({ queue: { concurrency: 4 } })
    bench.add()
    bench.add({ weight: 3 })
    bench.add()
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 99 })
    assert.deepEqual(seqs(first), [1])
    assert.equal(bench.pick(1, { free: 2 }), undefined)
    assert.equal(bench.ready.wanted?.threads, 3)
    const heavy = bench.pick(1, { free: 3 })
    assert.deepEqual(seqs(heavy), [2])
    assert.equal(heavy?.weight, 3)
    assert.equal(bench.ready.wanted, undefined)
    assert.equal(bench.pick(2), undefined, 'one and three threads are as many as the queue may have')
    assert.ok(heavy !== undefined)
    bench.end(heavy)
    assert.deepEqual(seqs(bench.pick(2)), [3])
  })

  it('counts as all there are if it is heavier, and as one thread of one', async () => {
    const bench = new LimitBench({ queue: { concurrency: 2 } })
    bench.add({ weight: 900 })
    bench.add({ weight: 900 })
    await bench.commit()
    assert.equal(bench.pick(0, { free: 2, all: 8 })?.weight, 2)
    const alone = new LimitBench()
    alone.add({ weight: 5 })
    await alone.commit()
    assert.equal(alone.pick(0, { free: 0, all: 1 })?.weight, 1)
  })

  it('waits for its queue to have room before it asks for threads', async () => {
    const bench = new LimitBench({ queue: { concurrency: 3 } })
    bench.add()
    bench.add({ weight: 3 })
    bench.add({ rank: 100, key: 'a' })
    await bench.commit()
    const first = bench.pick(0, { budgetMs: 1 })
    const second = bench.pick(1, { budgetMs: 1 })
    assert.deepEqual([seqs(first), seqs(second)], [[3], [1]])
    assert.equal(bench.pick(2), undefined)
    assert.equal(bench.ready.wanted, undefined)
    assert.equal(bench.ready.hasWorkFor(2, 255), false)
    for (const filled of [first, second]) if (filled !== undefined) bench.end(filled)
    assert.equal(bench.pick(2)?.weight, 3)
  })
})

describe('what lies in the store', () => {
  it('is found step by step, the highest priority first, with each job once', async () => {
    const bench = new LimitBench()
    for (let key = 0; key < 300; key++) bench.add({ key: `key ${key}`, rank: 100 + (key % 3), jobs: 2 })
    bench.add({ jobs: 5 })
    await bench.commit()
    bench.reopen()
    bench.counted.reads = 0
    assert.ok(bench.pick(0, { budgetMs: 1 }) !== undefined)
    assert.ok(bench.counted.reads < 200, `${bench.counted.reads} reads for the first pick`)
    bench.reopen()
    const all: number[] = []
    for (let turns = 0; bench.ready.hasWork && turns < 3000; turns++) {
      const filled = bench.pick(0, { budgetMs: 9 })
      if (filled === undefined) continue
      all.push(...seqs(filled))
      bench.end(filled)
      await bench.commit()
    }
    assert.equal(all.length, 605)
    assert.equal(new Set(all).size, 605)
  })

  it('is what a key goes on with that had to give way to others', async () => {
    const bench = new LimitBench({ keysKnown: 4 })
    for (let round = 0; round < 3; round++) for (let key = 0; key < 20; key++) bench.add({ key: `key ${key}`, jobs: 3 })
    await bench.commit()
    const firstTurns: number[] = []
    const all: number[] = []
    for (let turns = 0; bench.ready.hasWork && turns < 3000; turns++) {
      const filled = bench.pick(0, { budgetMs: 1 })
      if (filled !== undefined) {
        all.push(...seqs(filled))
        firstTurns.push(...filled.slices.map(({ page }) => page.lane))
        bench.end(filled)
      }
      await bench.commit()
    }
    assert.deepEqual(
      all.toSorted((left, right) => left - right),
      Array.from({ length: 180 }, (_, index) => index + 1),
    )
    assert.equal(new Set(firstTurns.slice(0, 60)).size, 20, 'each key has had a turn when a third is done')
  })

  it('comes out once and in order within a key, whatever happens', async () => {
    const seed = seedOfRun()
    const prng = createPrng(seed)
    for (let round = 0; round < 30; round++) {
      const bench = new LimitBench({ ...(prng.below(2) === 0 && { keysKnown: 3 }), queue: { concurrency: 1 + prng.below(4) } })
      const places = new Map<number, { key: string; max: number }>()
      const over = new Set<number>()
      const out = new Map<Filled, number>()
      let added = 0
      for (let step = 0; step < 400; step++) {
        const what = prng.below(10)
        if (what < 3 && added < 400) {
          const key = prng.below(5) === 0 ? undefined : `key ${prng.below(8)}`
          const max = key === undefined ? Infinity : 1 + ((key.codePointAt(4) ?? 0) % 3)
          const page = bench.add({ jobs: 1 + prng.below(5), limitMax: max, ...(key !== undefined && { key }) })
          added += page.header.count
          for (let index = 0; index < page.header.count; index++) places.set(page.seqOf(index), { key: key ?? '', max })
        } else if (what < 7) {
          const slot = prng.below(4)
          const filled = bench.pick(slot, { budgetMs: 1 + prng.below(6), all: 4 })
          if (filled === undefined) continue
          out.set(filled, slot)
          const slots = new Map<string, Set<number>>()
          for (const [other, at] of out) {
            for (const seq of seqs(other)) {
              const { key = '' } = places.get(seq) ?? {}
              slots.set(key, (slots.get(key) ?? new Set()).add(at))
            }
          }
          for (const seq of seqs(filled)) {
            const { key = '', max = 0 } = places.get(seq) ?? {}
            assert.ok((slots.get(key)?.size ?? 0) <= max, `seed ${seed}: ${key} in ${slots.get(key)?.size} of ${max} threads`)
            assert.ok(!over.has(seq), `seed ${seed}: job ${seq} came twice`)
          }
        } else if (what < 9) {
          const [filled] = out.keys()
          if (filled === undefined) continue
          out.delete(filled)
          const comesBack = prng.below(3) === 0
          if (!comesBack) for (const seq of seqs(filled)) over.add(seq)
          bench.end(filled, { comesBack })
        } else await bench.commit()
      }
      for (const filled of out.keys()) {
        for (const seq of seqs(filled)) over.add(seq)
        bench.end(filled)
      }
      await bench.commit()
      const last = new Map<string, number>()
      for (let turns = 0; bench.ready.hasWork && turns < 3000; turns++) {
        const filled = bench.pick(0, { budgetMs: 50 })
        for (const seq of seqs(filled)) {
          const { key = '' } = places.get(seq) ?? {}
          assert.ok(!over.has(seq), `seed ${seed}: job ${seq} came twice`)
          assert.ok(seq > (last.get(key) ?? 0), `seed ${seed}: job ${seq} of ${key} came behind ${last.get(key)}`)
          last.set(key, seq)
          over.add(seq)
        }
        if (filled !== undefined) bench.end(filled)
        await bench.commit()
      }
      assert.equal(over.size, added, `seed ${seed}: ${added - over.size} jobs did not come`)
    }
  })
})
