/** Lanes and ready queues over a store in memory: what is picked, in which order, and what is not. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BATCH_BYTES, BATCH_JOBS, BATCH_JOBS_UNMEASURED, EXPIRE_JOBS, WINDOW_PAGES } from '../../../src/base/limits.js'
import {
  ENTRY_EXTERNAL,
  ENTRY_SUSPECT,
  PAGE_HEADER_BYTES,
  PageBuilder,
  buildSolo,
  readPageHeader,
} from '../../../src/codec/page.js'
import { EMPTY_LEDGER } from '../../../src/job/job-state.js'
import type { Room } from '../../../src/scheduler/draft.js'
import type { ReadyQueue } from '../../../src/scheduler/ready-queue.js'
import { ReadyQueues, type Filled } from '../../../src/scheduler/ready-queues.js'
import { RunTimes } from '../../../src/scheduler/run-times.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { JobStore } from '../../../src/store/job-store.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { PageRef } from '../../../src/store/page-ref.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

interface BenchOptions {
  readonly queues?: Readonly<Record<string, number>>
  /** Definitions that can run; others are unknown here. */
  readonly known?: readonly number[]
  /** Run times in ms, by definition. */
  readonly measured?: Readonly<Record<number, number>>
  readonly store?: JobStore
  readonly hasExpired?: (startBefore: number) => boolean
}

interface AddOptions {
  readonly queue?: string
  readonly rank?: number
  readonly definitions?: readonly number[]
  readonly externalBytes?: number
  readonly startBefore?: number
}

/** A store with pages of one job each, unless told otherwise, and the queues over it. */
function bench({
  queues = { default: Infinity },
  known = [0, 1],
  measured = {},
  store: given,
  hasExpired = () => false,
}: BenchOptions = {}) {
  const store = given ?? JobStore.open(createMemoryEngine(), { next: () => 0 }, 'memory')
  const runTimes = new RunTimes()
  for (const [definition, ms] of Object.entries(measured)) runTimes.measure(Number(definition), 1, ms)
  const unknown: number[] = []
  const ready = new ReadyQueues({
    store,
    runTimes,
    queues: new Map(Object.entries(queues).map(([name, concurrency]) => [name, { concurrency }])),
    states: new Map(),
    canRun: (id) => known.includes(id),
    definitionsExpire: false,
    hasExpired: (page, offset) => hasExpired(page.overrides(store.bytesOf(page)[offset + 7] ?? 0)?.startBefore ?? Infinity),
    onUnknown: (id) => unknown.push(id),
    onUnknownQueue: () => undefined,
  })
  let writes = new WriteBatch()
  const add = ({ queue = 'default', rank = 127, definitions = [0], externalBytes, startBefore }: AddOptions = {}): PageRef => {
    const builder = new PageBuilder()
    const overrides = startBefore === undefined ? undefined : { startBefore }
    for (const definition of definitions) {
      builder.begin(definition, externalBytes === undefined ? 0 : ENTRY_EXTERNAL, overrides)
      if (externalBytes !== undefined) builder.writer.u32(externalBytes)
      builder.end()
    }
    const firstSeq = store.counters.nextSeq
    store.counters.nextSeq += definitions.length
    const { uniformDefinition } = builder
    const header = { solo: false, count: definitions.length, firstSeq, enqueuedAt: 1, runAt: 0, epoch: 1 }
    const page = new PageRef(store.queueId(queue), rank, firstSeq, 0, header, builder.seal(header), uniformDefinition)
    store.putPage(writes, page)
    ready.append(page)
    return page
  }
  const commit = async (): Promise<void> => {
    await store.engine.commit(writes)
    writes = new WriteBatch()
    ready.committed()
  }
  return { store, ready, runTimes, unknown, add, commit, writes: () => writes }
}

/** A job of a page that goes on in a page of its own. */
function soloOf(page: PageRef, index: number): PageRef {
  const parts = { enqueuedAt: 1, runAt: 0, epoch: 1, definitionId: 0, flags: 0, overrides: undefined, ledger: EMPTY_LEDGER }
  const bytes = buildSolo({ ...parts, seq: page.seqOf(index), source: Buffer.alloc(0), payloadFrom: 0, payloadTo: 0 })
  return new PageRef(page.queueId, page.rank, page.ord, index + 1, readPageHeader(bytes), bytes, -1)
}

/** The numbers of the jobs picked. */
function seqs(filled: Filled | undefined): number[] {
  return (filled?.slices ?? []).flatMap(({ page, from, to }) =>
    Array.from({ length: to - from }, (_, index) => page.seqOf(from + index)),
  )
}

/** Room for any job, in a program of many threads. */
function room(slots: number, budgetMs: number): Room {
  return { now: 1, lastRank: 255, threadsFor: () => ({ free: 8, all: 8 }), jobs: Infinity, slots, budgetMs: () => budgetMs }
}

/** A batch of one queue's turn. */
function pick(ready: ReadyQueues, slot: number, slots: number): Filled | undefined {
  return ready.fill(slot, room(slots, 4))
}

/** The one queue of a batch. */
function queueOf(filled: Filled): ReadyQueue {
  const [queue] = filled.shares.keys()
  assert.ok(queue !== undefined && filled.shares.size === 1)
  return queue
}

function release(ready: ReadyQueues, filled: Filled, slot: number, usedMs: number): void {
  ready.release(filled, slot, new Map([[queueOf(filled).id, usedMs]]))
}

/** Picks until nothing is left. */
function drain(ready: ReadyQueues): number[] {
  const all: number[] = []
  for (let filled = pick(ready, 0, 1); filled !== undefined; filled = pick(ready, 0, 1)) {
    all.push(...seqs(filled))
    release(ready, filled, 0, 0)
  }
  return all
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

describe('jobs that had to begin before now', () => {
  const expired = { hasExpired: (startBefore: number) => startBefore <= 5 }

  it('are not picked, and handed out once to be ended', () => {
    const { ready, add } = bench(expired)
    add({ definitions: [0, 0] })
    add({ startBefore: 5, definitions: [0, 0] })
    add({ startBefore: 6 })
    assert.deepEqual(drain(ready), [1, 2, 5])
    const found = ready.takeExpired().map(({ page, index }) => page.seqOf(index))
    assert.deepEqual([found, ready.takeExpired()], [[3, 4], []])
    assert.equal(ready.hasWork, false)
  })

  it('are so many at a time, however many there are', () => {
    const { ready, add } = bench(expired)
    for (let page = 0; page < 5; page++) add({ startBefore: 0, definitions: Array.from({ length: 300 }, () => 0) })
    add()
    const found: number[] = []
    let rounds = 0
    let picked = pick(ready, 0, 1)
    for (; picked === undefined; picked = pick(ready, 0, 1)) {
      const taken = ready.takeExpired().map(({ page, index }) => page.seqOf(index))
      assert.ok(taken.length <= EXPIRE_JOBS && ready.hasWork, `${taken.length} in round ${rounds}`)
      found.push(...taken)
      rounds++
    }
    found.push(...ready.takeExpired().map(({ page, index }) => page.seqOf(index)))
    assert.deepEqual([found, seqs(picked), rounds], [upTo(1500), [1501], 2])
  })
})

describe('order', () => {
  it('holds far beyond the window, with every job once', async () => {
    const { ready, add, commit } = bench({ measured: { 0: 0.5 } })
    for (let index = 0; index < WINDOW_PAGES * 3 + 7; index++) add({ definitions: [0, 0, 0] })
    await commit()
    assert.deepEqual(drain(ready), upTo((WINDOW_PAGES * 3 + 7) * 3))
    assert.equal(ready.hasWork, false)
  })

  it('holds when pages come while others are picked, in one commit and in many', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    for (let round = 0; round < 20; round++) {
      const { store, ready, add, commit } = bench({ measured: { 0: 0.2 } })
      const picked: number[] = []
      for (let turn = 0; turn < 40; turn++) {
        for (let page = prng.below(prng.below(5) === 0 ? 150 : 8); page > 0; page--)
          add({ definitions: Array.from({ length: 1 + prng.below(4) }, () => 0) })
        for (let times = prng.below(4); times > 0; times--) {
          const filled = pick(ready, 0, 1)
          if (filled === undefined) break
          picked.push(...seqs(filled))
          release(ready, filled, 0, 0)
        }
        await commit()
      }
      picked.push(...drain(ready))
      assert.deepEqual(picked, upTo(store.counters.nextSeq - 1), `seed ${seed}, round ${round}`)
      assert.equal(ready.hasWork, false, 'it still says that there is work')
    }
  })

  it('is that of an earlier process for what it has left', async () => {
    const first = bench()
    for (let index = 0; index < 200; index++) first.add({ rank: index % 2 === 0 ? 127 : 0 })
    await first.commit()
    const { ready } = bench({ store: first.store, measured: { 0: 0.5 } })
    const odd = upTo(200).filter((seq) => seq % 2 === 0)
    const even = upTo(200).filter((seq) => seq % 2 === 1)
    assert.deepEqual(drain(ready), [...odd, ...even], 'rank 0 is the highest priority')
  })

  it('goes by priority, whenever the higher one comes', async () => {
    const { ready, add, commit } = bench({ measured: { 0: 4 } })
    add({ rank: 200 })
    add({ rank: 100 })
    await commit()
    assert.deepEqual(seqs(pick(ready, 0, 1)), [2])
    add({ rank: 0 })
    add({ rank: 255 })
    await commit()
    assert.deepEqual([seqs(pick(ready, 0, 1)), seqs(pick(ready, 0, 1)), seqs(pick(ready, 0, 1))], [[3], [1], [4]])
  })

  it('is kept by jobs that are put back, one by one or in parts of pages', async () => {
    const { ready, add, commit } = bench({ measured: { 0: 2 } })
    for (let page = 0; page < 5; page++) add({ definitions: [0, 0, 0, 0] })
    await commit()
    const picks = Array.from({ length: 5 }, (_, slot) => pick(ready, slot, 5))
    assert.deepEqual(picks.map(seqs), [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
      [9, 10],
    ])
    for (const index of [3, 1, 4]) ready.putBack(picks[index]?.slices ?? [])
    const [later] = picks[2]?.slices ?? []
    assert.ok(later)
    // Only the second one of a slice.
    ready.putBack([{ ...later, from: later.from + 1, offset: later.offset + 8 }])
    assert.deepEqual(drain(ready), [3, 4, 6, 7, 8, 9, 10, ...upTo(20).slice(10)])
  })
})

describe('a lane', () => {
  it('does not read again a job that was put back behind the last page read', async () => {
    const { store, ready, add, commit, writes } = bench({ measured: { 0: 1 } })
    for (let index = 0; index < WINDOW_PAGES + 10; index++) add({ definitions: [0, 0] })
    await commit()
    // Exactly a window has been handed out; what lies behind it has not been read.
    const last = WINDOW_PAGES * 2
    const picks = Array.from({ length: last / 4 }, () => pick(ready, 0, 1))
    assert.deepEqual(picks.flatMap(seqs), upTo(last))
    // Its last job was interrupted: it waits on in a page of its own, behind the place where it was.
    const page = picks.at(-1)?.slices.at(-1)?.page
    assert.ok(page?.bytes)
    const solo = soloOf(page, 1)
    store.putPage(writes(), solo)
    await commit()
    ready.putBack([{ page: solo, from: 0, to: 1, offset: PAGE_HEADER_BYTES }])
    assert.deepEqual(drain(ready), [last, ...upTo(last + 20).slice(last)], 'it would run twice')
  })

  it('reads jobs put back behind a page although a window ends between them', async () => {
    const { store, add, commit, writes } = bench()
    const pages = Array.from({ length: WINDOW_PAGES + 5 }, () => add({ definitions: [0, 0] }))
    // Behind the last page of a window lie two of its jobs.
    const at = pages[WINDOW_PAGES - 1]
    assert.ok(at)
    at.markDone(0)
    at.markDone(1)
    for (const [index, sub] of [1, 2].entries()) {
      const solo = soloOf(at, index)
      assert.equal(solo.sub, sub)
      store.putPage(writes(), solo)
    }
    store.putProgress(writes(), at)
    await commit()
    assert.deepEqual(drain(bench({ store, measured: { 0: 1 } }).ready), upTo((WINDOW_PAGES + 5) * 2))
  })

  it('comes to its end although the last page went before it was read', async () => {
    const { store, ready, add, commit, writes } = bench({ measured: { 0: 0.5 } })
    const pages = Array.from({ length: WINDOW_PAGES * 2 }, () => add())
    await commit()
    const last = pages.at(-1)!
    last.markDone(0)
    store.putProgress(writes(), last)
    await commit()
    assert.deepEqual(drain(ready), upTo(WINDOW_PAGES * 2 - 1))
    assert.equal(ready.hasWork, false)
  })

  it('passes over suspects and jobs that are over', async () => {
    const { store, ready, add, commit, writes } = bench({ measured: { 0: 1 } })
    for (let index = 0; index < 3; index++) add({ definitions: [0, 0] })
    const page = add({ definitions: [0, 0, 0] })
    page.markDone(1)
    store.putProgress(writes(), page)
    const bytes = buildSolo({
      seq: 99,
      enqueuedAt: 1,
      runAt: 0,
      epoch: 1,
      definitionId: 0,
      flags: ENTRY_SUSPECT,
      overrides: undefined,
      ledger: { ...EMPTY_LEDGER, suspect: true },
      source: Buffer.alloc(0),
      payloadFrom: 0,
      payloadTo: 0,
    })
    store.putPage(writes(), new PageRef(page.queueId, page.rank, 50, 0, readPageHeader(bytes), bytes, -1))
    await commit()
    assert.deepEqual(drain(ready), [1, 2, 3, 4, 5, 6, 7, 9])
    assert.deepEqual(drain(bench({ store, measured: { 0: 1 } }).ready), [1, 2, 3, 4, 5, 6, 7, 9], 'from the store')
  })
})

describe('a pick', () => {
  it('is as large as a budget of run time, and one job when that is more', async () => {
    for (const [ms, jobs] of [
      [0.000_1, BATCH_JOBS],
      [0.5, 8],
      [1, 4],
      [3.9, 2],
      [4, 1],
      [1000, 1],
    ] as const) {
      const { ready, add, commit } = bench({ measured: { 0: ms } })
      for (let page = 0; page < 60; page++) add({ definitions: Array.from({ length: 100 }, () => 0) })
      await commit()
      assert.equal(pick(ready, 0, 1)?.jobs, jobs, `${ms} ms`)
    }
  })

  it('of what was never measured is small, and shared out among the slots', async () => {
    for (const [slots, jobs] of [
      [1, BATCH_JOBS_UNMEASURED],
      [2, 4],
      [4, 2],
      [8, 1],
      [100, 1],
    ] as const) {
      const { ready, add, commit } = bench()
      add({ definitions: Array.from({ length: 100 }, () => 0) })
      await commit()
      assert.equal(pick(ready, 0, slots)?.jobs, jobs)
    }
  })

  it('counts payloads that lie apart by their size', async () => {
    const { ready, add, commit } = bench({ measured: { 0: 0.001 } })
    add()
    add({ externalBytes: BATCH_BYTES / 2 })
    add()
    add({ externalBytes: BATCH_BYTES / 2 })
    add()
    add({ externalBytes: 20 * BATCH_BYTES })
    add()
    await commit()
    const picks = Array.from({ length: 3 }, () => seqs(pick(ready, 0, 1)))
    assert.deepEqual(picks, [[1, 2, 3, 4], [5, 6], [7]])
  })

  it('takes nothing for which there is no definition, and says so once', async () => {
    const { ready, add, commit, unknown } = bench({ known: [1], measured: { 1: 0.5 } })
    for (let index = 0; index < 1000; index++) add({ definitions: [0, 7] })
    const wanted = add({ definitions: [0, 1, 7, 1] })
    await commit()
    const found = []
    let picks = 0
    while (ready.hasWork && picks++ < 100) found.push(...seqs(pick(ready, 0, 1)))
    assert.deepEqual(found, [wanted.seqOf(1), wanted.seqOf(3)])
    assert.ok(picks > 1, 'one pick read a thousand pages')
    assert.deepEqual(unknown, [0, 7])
    assert.equal(ready.hasWork, false)
  })

  it('leaves alone what waits in queues that are not configured', async () => {
    const { ready, add, commit } = bench()
    add({ queue: 'elsewhere' })
    await commit()
    assert.equal(ready.hasWork, false)
    assert.equal(pick(ready, 0, 1), undefined)
  })
})

describe('queues', () => {
  it('are let go of one by one as their jobs leave a batch that goes on', async () => {
    const { ready, add, commit } = bench({ queues: { default: Infinity, narrow: 1 }, measured: { 0: 1 } })
    add({ queue: 'default' })
    add({ queue: 'narrow' })
    await commit()
    const both = ready.fill(0, room(2, 10))
    assert.ok(both)
    const [first, narrow] = both.shares.keys()
    assert.deepEqual([first?.name, narrow?.name], ['default', 'narrow'])
    add({ queue: 'narrow' })
    await commit()
    assert.equal(pick(ready, 1, 2), undefined, 'the queue has its one thread')
    ready.release(both, 0, new Map([[narrow!.id, 3]]), new Set([first!.id]))
    assert.equal(narrow!.virtualMs, 3, 'what was used, and not what was estimated')
    assert.equal(first!.held.get(0), 1)
    assert.deepEqual(seqs(pick(ready, 1, 2)), [3])
    ready.release(both, 0, new Map([[first!.id, 7]]))
    assert.deepEqual([first!.held.size, first!.virtualMs, narrow!.held.get(1)], [0, 7, 1])
  })

  it('hold no more slots than their concurrency, of which each may hold several batches', async () => {
    const { ready, add, commit } = bench({ queues: { one: 1, two: 2 }, measured: { 0: 4 } })
    for (let index = 0; index < 10; index++) {
      add({ queue: 'one' })
      add({ queue: 'two' })
    }
    await commit()
    const holds = new Map<string, Set<number>>()
    const picks: [Filled, number, string][] = []
    for (let round = 0; round < 3; round++) {
      for (const slot of [0, 1, 2, 3]) {
        const filled = pick(ready, slot, 4)
        if (filled === undefined) continue
        const { name } = queueOf(filled)
        picks.push([filled, slot, name])
        holds.set(name, (holds.get(name) ?? new Set()).add(slot))
      }
    }
    assert.equal(holds.get('one')?.size, 1)
    assert.equal(holds.get('two')?.size, 2)
    assert.ok(picks.length > 3, 'a slot that works for a queue may have more of it')
    // When everything of the first queue has left its slot, another one may have it.
    const [slot] = holds.get('one') ?? []
    for (const [filled, of, name] of picks) if (name === 'one') release(ready, filled, of, 4)
    const other = [0, 1, 2, 3].find((candidate) => candidate !== slot)!
    for (const [filled, of, name] of picks) if (name === 'two' && of === other) release(ready, filled, of, 4)
    const next = [pick(ready, other, 4), pick(ready, other, 4)]
    assert.ok(next.some((filled) => filled !== undefined && queueOf(filled).name === 'one'))
  })

  it('share thread time evenly, whatever their jobs take, and a newcomer has no claim on the past', async () => {
    const { ready, add, commit } = bench({
      queues: { quick: Infinity, slow: Infinity, late: Infinity },
      measured: { 0: 1, 1: 8 },
      known: [0, 1, 2],
    })
    for (let index = 0; index < 3000; index++) add({ queue: 'quick', definitions: [0] })
    for (let index = 0; index < 1000; index++) add({ queue: 'slow', definitions: [1] })
    await commit()
    const time = new Map<string, number>()
    const work = (ms: number): void => {
      for (let spent = 0; spent < ms;) {
        const filled = pick(ready, 0, 1)
        assert.ok(filled)
        const { name } = queueOf(filled)
        const used = filled.jobs * (name === 'slow' ? 8 : 1)
        spent += used
        time.set(name, (time.get(name) ?? 0) + used)
        release(ready, filled, 0, used)
      }
    }
    work(1000)
    const [quick = 0, slow = 0] = [time.get('quick'), time.get('slow')]
    assert.ok(Math.abs(quick - slow) < 20, `${quick} and ${slow} ms`)
    for (let index = 0; index < 2000; index++) add({ queue: 'late', definitions: [0] })
    await commit()
    time.clear()
    work(900)
    const shares = ['quick', 'slow', 'late'].map((name) => time.get(name) ?? 0)
    assert.ok(Math.max(...shares) - Math.min(...shares) < 40, shares.join())
  })

  it('whose jobs came back unstarted come first for as long as those take, and no longer', async () => {
    const { ready, add, commit } = bench({ queues: { good: Infinity, bad: Infinity }, measured: { 0: 4 } })
    for (let index = 0; index < 3; index++) add({ queue: 'good' })
    for (let index = 0; index < 100; index++) add({ queue: 'bad' })
    await commit()
    const next = (): string => {
      const filled = pick(ready, 0, 1)
      assert.ok(filled)
      const { name } = queueOf(filled)
      release(ready, filled, 0, 4)
      return name
    }
    // They lie in a thread behind a job that takes long, while the others have its time.
    const behind = [pick(ready, 1, 2), pick(ready, 0, 2), pick(ready, 1, 2), pick(ready, 0, 2), pick(ready, 1, 2)]
    assert.deepEqual(
      behind.map((filled) => queueOf(filled!).name),
      ['good', 'bad', 'good', 'bad', 'good'],
    )
    for (let count = 0; count < 10; count++) assert.equal(next(), 'bad')
    const back = behind.filter((filled) => filled !== undefined && queueOf(filled).name === 'good')
    for (const filled of back) release(ready, filled!, 1, 0)
    ready.putBack(back.flatMap((filled) => filled!.slices))
    for (let index = 0; index < 9; index++) add({ queue: 'good' })
    await commit()
    const turns = Array.from({ length: 13 }, next)
    assert.deepEqual(turns.slice(0, 3), ['good', 'good', 'good'])
    // And one for the turn that was under way, and one of two that stand level.
    assert.equal(turns.slice(5).filter((name) => name === 'good').length, 4, turns.join())
  })

  it('keep what they are owed as long as they have work', async () => {
    const { ready, add, commit } = bench({ queues: { good: Infinity, bad: Infinity }, measured: { 0: 4 } })
    for (let index = 0; index < 100; index++) {
      add({ queue: 'good' })
      add({ queue: 'bad' })
    }
    await commit()
    const time = { good: 0, bad: 0 }
    for (let turn = 0; turn < 60; turn++) {
      const filled = pick(ready, 0, 1)
      assert.ok(filled)
      const name = queueOf(filled).name as 'good' | 'bad'
      const used = name === 'good' ? 1 : 4
      // What it takes is known when the others have had their next turn.
      const meanwhile = pick(ready, 1, 2)
      assert.ok(meanwhile)
      release(ready, filled, 0, used)
      time[name] += used
      const other = queueOf(meanwhile).name as 'good' | 'bad'
      release(ready, meanwhile, 1, other === 'good' ? 1 : 4)
      time[other] += other === 'good' ? 1 : 4
    }
    assert.ok(Math.abs(time.good - time.bad) <= 8, `${time.good} and ${time.bad} ms`)
  })

  it('are owed no more than a little when others were taken for longer than they ran', async () => {
    const { ready, runTimes, add, commit } = bench({ queues: { first: Infinity, late: Infinity }, measured: { 0: 60_000 } })
    for (let index = 0; index < 100; index++) add({ queue: 'first' })
    await commit()
    // Each is taken for a minute.
    const held = Array.from({ length: 8 }, (_, slot) => pick(ready, slot, 8))
    for (let index = 0; index < 100; index++) add({ queue: 'late' })
    await commit()
    const late = pick(ready, 8, 8)
    assert.ok(late !== undefined)
    assert.equal(queueOf(late).name, 'late')
    // They took a moment, and so do those behind them.
    for (const [slot, filled] of [...held, late].entries()) {
      assert.ok(filled !== undefined)
      runTimes.measure(0, 1, 4)
      release(ready, filled, slot, 4)
    }
    const turns = Array.from({ length: 40 }, () => {
      const filled = ready.fill(0, room(1, 1))
      assert.ok(filled !== undefined)
      const { name } = queueOf(filled)
      release(ready, filled, 0, 4)
      return name
    })
    assert.ok(turns.filter((name) => name === 'late').length >= 15, turns.join())
  })

  it('let go of bytes of many waiting pages, and read them again', async () => {
    const { store, ready, runTimes, commit } = bench({ measured: { 0: 0.001 } })
    const pages: PageRef[] = []
    const writes = new WriteBatch()
    for (let index = 0; index < 60; index++) {
      const builder = new PageBuilder()
      builder.begin(0, 0, undefined)
      builder.writer.bytes(Buffer.alloc(500_000, index))
      builder.end()
      const header = { solo: false, count: 1, firstSeq: store.counters.nextSeq++, enqueuedAt: 1, runAt: 0, epoch: 1 }
      const page = new PageRef(store.queueId('default'), 127, header.firstSeq, 0, header, builder.seal(header), 0)
      store.putPage(writes, page)
      ready.append(page)
      pages.push(page)
    }
    await store.engine.commit(writes)
    await commit()
    // Its only job was cancelled: the bytes that were let go of are not in the store any more either.
    const [gone] = pages.splice(59, 1)
    assert.ok(gone?.bytes === undefined)
    gone?.markDone(0)
    const removal = new WriteBatch()
    if (gone !== undefined) store.putProgress(removal, gone)
    await store.engine.commit(removal)
    const held = pages.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0)
    assert.ok(held <= 16 * 2 ** 20, `${held} bytes are held`)
    assert.ok(pages[0]?.bytes !== undefined, 'the first ones are let go of last')
    assert.deepEqual(drain(ready), upTo(59))
    assert.ok(pages.every(({ bytes }, index) => bytes?.at(-1) === index))
    assert.ok(runTimes.isMeasured(0))
  })
})

describe('run times', () => {
  it('are guessed at first, then follow what was measured', () => {
    const times = new RunTimes()
    assert.equal(times.isMeasured(3), false)
    assert.equal(times.estimateMs(3), 0.5)
    times.measure(3, 100, 200)
    assert.equal(times.isMeasured(3), true)
    assert.equal(times.estimateMs(3), 2)
    times.measure(3, 10, 40)
    const after = times.estimateMs(3)
    assert.ok(after > 2 && after < 4)
    for (let batch = 0; batch < 100; batch++) times.measure(3, 1, 4)
    assert.ok(Math.abs(times.estimateMs(3) - 4) < 0.01)
    assert.equal(times.estimateMs(4), 0.5)
  })

  it('rise and fall quickly when jobs suddenly take far longer or shorter, and are never nothing', () => {
    const times = new RunTimes()
    times.measure(1, 1000, 1)
    times.measure(1, 1, 500)
    assert.ok(times.estimateMs(1) > 0.5, 'jobs of half a second would be batched by thousands')
    for (let batch = 0; batch < 4; batch++) times.measure(1, 1, 500)
    assert.ok(times.estimateMs(1) > 100)
    for (let batch = 0; batch < 6; batch++) times.measure(1, 1000, 1)
    assert.ok(times.estimateMs(1) < 0.1, 'one long job leaves batches of one behind it')
    times.measure(2, 5, 0)
    assert.ok(times.estimateMs(2) > 0)
  })
})
