/** Limit keys over a store in memory: jobs that are added, picked for threads by hand, and over or put back, with a clock turned by hand. */
import assert from 'node:assert/strict'
import { INDEX_GROUP, INDEX_SOLO } from '../../src/codec/keys.js'
import { laneOf } from '../../src/codec/limit-lane.js'
import { buildSolo, ENTRY_SUSPECT, PageBuilder, readPageHeader } from '../../src/codec/page.js'
import { EMPTY_LEDGER } from '../../src/job/job-state.js'
import type { JobOverrides } from '../../src/job/job-overrides.js'
import type { Room } from '../../src/scheduler/draft.js'
import type { ReadyQueueOptions } from '../../src/scheduler/ready-queue.js'
import { ReadyQueues, type Filled } from '../../src/scheduler/ready-queues.js'
import { RunTimes } from '../../src/scheduler/run-times.js'
import { type Engine, WriteBatch } from '../../src/store/engine.js'
import { JobStore } from '../../src/store/job-store.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { PageRef } from '../../src/store/page-ref.js'
import { putSuspect } from '../../src/store/suspects.js'

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

interface LimitBenchOptions {
  readonly queue?: Partial<ReadyQueueOptions>
  readonly keysKnown?: number
  /** What a job is expected to take. @defaultValue 1 */
  readonly jobMs?: number
}

export class LimitBench {
  readonly store: JobStore
  readonly counted: Counted
  readonly #options: LimitBenchOptions
  ready: ReadyQueues
  now = 1000
  #writes = new WriteBatch()
  readonly #held = new Map<Filled, number>()

  constructor(options: LimitBenchOptions = {}) {
    this.#options = options
    this.counted = counted()
    this.store = JobStore.open(this.counted.engine, { next: () => 0 }, 'memory')
    this.ready = this.#open()
  }

  #open(): ReadyQueues {
    const runTimes = new RunTimes()
    const { queue, keysKnown, jobMs = 1 } = this.#options
    runTimes.measure(0, 1, jobMs)
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

  add(added: Added = {}): PageRef {
    const { key, rank = 127, jobs = 1, at = this.now } = added
    const firstSeq = this.store.counters.nextSeq
    this.store.counters.nextSeq += jobs
    const header = { solo: false, count: jobs, firstSeq, enqueuedAt: at, runAt: 0, epoch: 1 }
    const lane = key === undefined ? 0 : laneOf(key)
    const page = new PageRef(this.store.queueId('default'), rank, firstSeq, 0, header, builderOf(added).seal(header), -1, lane)
    this.store.putPage(this.#writes, page)
    if (lane !== 0) this.store.putLocation(this.#writes, INDEX_GROUP, firstSeq, page.key)
    this.ready.append(page)
    return page
  }

  /** Jobs that wait are others from now on, of the same key and number. */
  change(page: PageRef, changed: Added): void {
    page.rewrite(builderOf({ ...changed, jobs: page.header.count }).seal(page.header))
    this.store.putPage(this.#writes, page)
    this.ready.withdrawn(page, 0)
    this.ready.wake(this.now)
  }

  /** A job that was in flight when a process died, as recovery leaves it; for `reopen` to find. */
  addSuspect({ key, limitMax = 1, limitRate }: Pick<Added, 'key' | 'limitMax' | 'limitRate'> = {}): PageRef {
    const seq = this.store.counters.nextSeq++
    const overrides = key === undefined ? undefined : { limitKey: key, limitMax, ...(limitRate !== undefined && { limitRate }) }
    const attempt = { attempt: 1, startedAt: this.now, endedAt: this.now, outcome: 'interrupted' } as const
    const bytes = buildSolo({
      seq,
      enqueuedAt: this.now,
      runAt: 0,
      epoch: 1,
      definitionId: 0,
      flags: ENTRY_SUSPECT,
      overrides,
      ledger: { ...EMPTY_LEDGER, suspect: true, attempts: [attempt] },
      source: Buffer.alloc(0),
      payloadFrom: 0,
      payloadTo: 0,
    })
    const lane = key === undefined ? 0 : laneOf(key)
    const page = new PageRef(this.store.queueId('default'), 127, seq, 1, readPageHeader(bytes), bytes, -1, lane)
    this.store.putPage(this.#writes, page)
    this.store.putLocation(this.#writes, INDEX_SOLO, seq, page.key)
    putSuspect(this.#writes, seq, page.key)
    return page
  }

  /** Hands the next suspect to a thread, if one may begin. */
  pickAlone(): PageRef | undefined {
    this.ready.wake(this.now)
    const page = this.ready.suspects.next(
      this.now,
      (waiting) => this.ready.mayStartAt(waiting, this.now),
      () => true,
    )
    if (page !== undefined) this.ready.noteStart(page, this.now)
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
    const room: Room = {
      now: this.now,
      lastRank,
      threadsFor: () => ({ free, all }),
      jobs: Infinity,
      slots: 1,
      budgetMs: () => budgetMs,
    }
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

function builderOf({ key, jobs = 1, limitMax = 1, limitRate, weight }: Added): PageBuilder {
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
  return builder
}

/** The numbers of the jobs picked. */
export function seqs(filled: Filled | undefined): number[] {
  return (filled?.slices ?? []).flatMap(({ page, from, to }) =>
    Array.from({ length: to - from }, (_, index) => page.seqOf(from + index)),
  )
}
