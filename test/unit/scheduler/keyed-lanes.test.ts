/** Limit keys over a store in memory: who may run, who comes next, who is held up by whom, and what that costs. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { INDEX_GROUP } from '../../../src/codec/keys.js'
import { laneOf } from '../../../src/codec/limit-lane.js'
import { PageBuilder } from '../../../src/codec/page.js'
import type { JobOverrides } from '../../../src/job/job-overrides.js'
import type { Room } from '../../../src/scheduler/draft.js'
import type { ReadyQueueOptions } from '../../../src/scheduler/ready-queue.js'
import { Lane } from '../../../src/scheduler/lane.js'
import { ReadyQueues, type Filled } from '../../../src/scheduler/ready-queues.js'
import { RunTimes } from '../../../src/scheduler/run-times.js'
import { type Engine, WriteBatch } from '../../../src/store/engine.js'
import { JobStore } from '../../../src/store/job-store.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { PageRef } from '../../../src/store/page-ref.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

interface Counted {
  readonly engine: Engine
  reads: number
}

/** An engine that counts what is read of it. */
function counted(): Counted {
  const inner = createMemoryEngine()
  const result: Counted = {
    reads: 0,
    engine: {
      ...inner,
      commit: (batch) => inner.commit(batch),
      stats: () => inner.stats(),
      close: () => inner.close(),
      get: (table, key) => {
        result.reads++
        return inner.get(table, key)
      },
      range: (table, options) => {
        result.reads++
        return inner.range(table, options)
      },
    },
  }
  return result
}

interface Added extends Pick<JobOverrides, 'limitMax' | 'limitRate' | 'weight'> {
  readonly key?: string
  readonly rank?: number
  readonly jobs?: number
  readonly at?: number
}

class Bench {
  readonly store: JobStore
  readonly counted: Counted
  readonly #options: { queue?: Partial<ReadyQueueOptions>; keysKnown?: number }
  ready: ReadyQueues
  now = 1000
  #writes = new WriteBatch()
  readonly #held = new Map<Filled, number>()

  constructor(options: { queue?: Partial<ReadyQueueOptions>; keysKnown?: number } = {}) {
    this.#options = options
    this.counted = counted()
    this.store = JobStore.open(this.counted.engine, { next: () => 0 }, 'memory')
    this.ready = this.#open()
  }

  #open(): ReadyQueues {
    const runTimes = new RunTimes()
    runTimes.measure(0, 1, 1)
    const { queue, keysKnown } = this.#options
    return new ReadyQueues({
      store: this.store,
      runTimes,
      queues: new Map([['default', { concurrency: Infinity, ...queue }]]),
      states: new Map(),
      canRun: (id) => id === 0,
      definitionsExpire: false,
      hasExpired: () => false,
      onUnknown: () => undefined,
      onUnknownQueue: () => undefined,
      ...(keysKnown !== undefined && { keysKnown }),
    })
  }

  /** As if the process had died and come back: what the store has is all there is. */
  reopen(): void {
    this.ready = this.#open()
    this.#held.clear()
  }

  add({ key, rank = 127, jobs = 1, at = this.now, limitMax = 1, limitRate, weight }: Added = {}): PageRef {
    const overrides = {
      ...(key !== undefined && { limitKey: key, limitMax }),
      ...(limitRate !== undefined && { limitRate }),
      ...(weight !== undefined && { weight }),
    }
    const builder = new PageBuilder()
    for (let count = 0; count < jobs; count++) {
      builder.begin(0, 0, Object.keys(overrides).length > 0 ? overrides : undefined)
      builder.end()
    }
    const firstSeq = this.store.counters.nextSeq
    this.store.counters.nextSeq += jobs
    const header = { solo: false, count: jobs, firstSeq, enqueuedAt: at, runAt: 0, epoch: 1 }
    const lane = key === undefined ? 0 : laneOf(key)
    const page = new PageRef(this.store.queueId('default'), rank, firstSeq, 0, header, builder.seal(header), -1, lane)
    this.store.putPage(this.#writes, page)
    if (lane !== 0) this.store.putLocation(this.#writes, INDEX_GROUP, firstSeq, page.key)
    this.ready.append(page)
    return page
  }

  async commit(): Promise<void> {
    this.ready.writeRates(this.#writes, this.now)
    const writes = this.#writes
    this.#writes = new WriteBatch()
    await this.store.engine.commit(writes)
    this.store.committed()
    this.ready.committed()
  }

  pick(slot: number, { budgetMs = 4, lastRank = 255, free = 8, all = 8 } = {}): Filled | undefined {
    this.ready.wake(this.now)
    const room: Room = { now: this.now, lastRank, threadsFor: () => ({ free, all }), slots: 1, budgetMs: () => budgetMs }
    const filled = this.ready.fill(slot, room)
    if (filled === undefined) return undefined
    for (const { page } of filled.slices) page.pins++
    this.#held.set(filled, slot)
    return filled
  }

  /** The batch's jobs are over; or come back, unstarted. */
  end(filled: Filled, { comesBack = false } = {}): void {
    const slot = this.#held.get(filled)
    assert.ok(slot !== undefined)
    this.#held.delete(filled)
    if (comesBack) this.ready.putBack(filled.slices)
    else {
      for (const { page, from, to } of filled.slices) {
        for (let index = from; index < to; index++) page.markDone(index)
        this.store.putProgress(this.#writes, page)
      }
    }
    for (const { page } of filled.slices) page.pins--
    this.ready.releaseKeys(filled, slot, new Map())
    this.ready.release(filled, slot, new Map())
  }
}

function seqs(filled: Filled | undefined): number[] {
  return (filled?.slices ?? []).flatMap(({ page, from, to }) =>
    Array.from({ length: to - from }, (_, index) => page.seqOf(from + index)),
  )
}

describe('a limit of a key', () => {
  it('lets as many threads have its jobs as it says; a thread that has some may have more', async () => {
    const bench = new Bench()
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
    const bench = new Bench()
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

  it('holds up nobody behind it', async () => {
    const bench = new Bench()
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
    const bench = new Bench()
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

describe('keys of one queue', () => {
  it('share its threads fairly: three jobs are not held back by a thousand', async () => {
    const bench = new Bench()
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

  it('share with the jobs that have none', async () => {
    const bench = new Bench()
    bench.add({ jobs: 300 })
    bench.add({ key: 'few', jobs: 3 })
    await bench.commit()
    assert.ok(seqs(bench.pick(0, { budgetMs: 10 })).includes(303))
  })

  it('are spread over the threads', async () => {
    const bench = new Bench()
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
    const bench = new Bench()
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
    const bench = new Bench({ queue: { rate: limitRate } })
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
    const bench = new Bench({ queue: { rate: { max: 4, perMs: 1000 } } })
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
    const bench = new Bench()
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
      const bench = new Bench({ queue: { ageingMs } })
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
    const bench = new Bench({ queue: { ageingMs: 1000 } })
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
    const bench = new Bench({ queue: { concurrency: 4 } })
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
    const bench = new Bench({ queue: { concurrency: 2 } })
    bench.add({ weight: 900 })
    bench.add({ weight: 900 })
    await bench.commit()
    assert.equal(bench.pick(0, { free: 2, all: 8 })?.weight, 2)
    const alone = new Bench()
    alone.add({ weight: 5 })
    await alone.commit()
    assert.equal(alone.pick(0, { free: 0, all: 1 })?.weight, 1)
  })

  it('waits for its queue to have room before it asks for threads', async () => {
    const bench = new Bench({ queue: { concurrency: 3 } })
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
    const bench = new Bench()
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
    const bench = new Bench({ keysKnown: 4 })
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
      const bench = new Bench({ ...(prng.below(2) === 0 && { keysKnown: 3 }), queue: { concurrency: 1 + prng.below(4) } })
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

describe('jobs that may not run', () => {
  it('cost nothing per dispatch, however many they are, and of however many keys', async (t) => {
    const costs: { waiting: number; reads: number; looks: number }[] = []
    const lanes = countedLanes(t)
    for (const waiting of [1000, 40_000]) {
      const bench = new Bench()
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
      lanes.looks = 0
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
      costs.push({ waiting, reads: bench.counted.reads / rounds, looks: lanes.looks / rounds })
    }
    const [few, many] = costs
    assert.ok(few !== undefined && many !== undefined)
    t.diagnostic(JSON.stringify(costs))
    // What comes when thousands of keys have pages in memory is read back from the store.
    assert.ok(few.reads <= 2 && many.reads <= 2, JSON.stringify(costs))
    assert.ok(many.looks <= few.looks + 1 && many.looks < 100, JSON.stringify(costs))
  })
})

/** Counts how often anybody looks at a lane: whoever goes through keys does. */
function countedLanes(t: TestContext): { looks: number } {
  const counter = { looks: 0 }
  const own = (name: string): PropertyDescriptor => Object.getOwnPropertyDescriptor(Lane.prototype, name) ?? {}
  for (const name of ['hasWork', 'isReadable', 'window', 'readyAt']) {
    const { get } = own(name)
    const counting = function (this: Lane): unknown {
      counter.looks++
      return get?.call(this)
    }
    t.mock.getter(Lane.prototype, name as keyof Lane, counting as never)
  }
  return counter
}
