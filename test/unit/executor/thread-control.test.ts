/** How many threads a heavy job waits for, and which ones are kept for it or in reserve, when the number of threads changes; with threads that are made up. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import type { ThreadSlot } from '../../../src/dispatcher/thread-slot.js'
import { Claims, type ClaimsOptions } from '../../../src/executor/claims.js'
import { type Reserve, ThreadBudget } from '../../../src/executor/thread-budget.js'
import { setThreads } from '../../../src/executor/thread-control.js'
import type { Turns } from '../../../src/executor/turns.js'
import { LimitBench } from '../../support/limit-bench.js'

/** A thread that is at work of a priority, turned round, for so long; or at none. */
function slot(index: number, leftMs = 0, rank = 127): ThreadSlot {
  const batches = leftMs === 0 ? [] : [{ hasWorkBelow: (than: number) => rank > than }]
  const fake = {
    index,
    isRetiring: false,
    isStuck: false,
    isIdle: leftMs === 0,
    batches,
    leftMs: () => leftMs,
    isSlow: () => false,
  }
  return fake as unknown as ThreadSlot
}

/** A thread that native code holds at a job of a priority, turned round. */
function stuck(index: number, rank: number): ThreadSlot {
  return Object.assign(slot(index, 5, rank), { isStuck: true })
}

class Threads {
  readonly bench = new LimitBench()
  slots: readonly ThreadSlot[]
  /** Threads from which was taken back what they had not begun. */
  readonly takenBack: number[] = []
  admission: Dispatcher['admission'] = 'all'
  readonly #reserve: Reserve

  constructor(slots: readonly ThreadSlot[], reserve: Reserve = { threads: 0, priority: 0 }) {
    this.slots = slots
    this.#reserve = reserve
  }

  get #dispatcher(): Dispatcher {
    const { length } = this.slots
    return { slots: this.slots, threads: length, usableThreads: length, admission: this.admission } as unknown as Dispatcher
  }

  get budget(): ThreadBudget {
    return new ThreadBudget(this.#dispatcher, this.#reserve, [], 0)
  }

  /** Offers each idle thread work, as a turn does. Returns which ones are kept for the heavy job that waits. */
  offer(): number[] {
    const { ready, now } = this.bench
    const { budget } = this
    for (const each of this.slots) {
      budget.gather(ready.wanted)
      const heavy = budget.isEnough(each) ? ready.wanted?.queue : undefined
      if (!each.isIdle || (heavy === undefined && budget.holdsBack(each))) continue
      const threadsFor = (rank: number): { free: number; all: number } => budget.threadsFor(each, rank)
      const room = {
        now,
        lastRank: budget.lastRank(each),
        threadsFor,
        jobs: Infinity,
        slots: this.slots.length,
        budgetMs: () => 1,
      }
      assert.equal(ready.fill(each.index, room, heavy), undefined, 'the heavy job has not enough threads')
    }
    budget.gather(ready.wanted)
    return this.slots.filter((each) => budget.holdsBack(each)).map(({ index }) => index)
  }

  async become(slots: readonly ThreadSlot[]): Promise<void> {
    const takeBack = ({ index }: ThreadSlot): [] => {
      this.takenBack.push(index)
      return []
    }
    const surplus = this.slots.filter((each) => !slots.some(({ index }) => index === each.index))
    const dispatcher = { slots: [...slots, ...surplus], resize: () => surplus, takeBack } as unknown as Dispatcher
    const { ready } = this.bench
    const claims = new Claims({ dispatcher, ready, reserve: this.#reserve } as unknown as ClaimsOptions)
    const request: Turns['request'] = ({ run }) =>
      run({ tidings: { add: (tell: () => void) => tell() } } as never, undefined as never, this.bench.now)
    this.slots = slots
    await setThreads(slots.length, { dispatcher, claims, ready, turns: { request } as Turns })
  }
}

describe('a heavy job that waits', () => {
  it('is judged anew when there are more threads: all that it needs by now are kept for it', async () => {
    const threads = new Threads([slot(0, 5), slot(1, 50), slot(2)])
    threads.bench.add({ weight: 4 })
    await threads.bench.commit()
    assert.deepEqual(threads.offer(), [0, 1, 2])
    assert.equal(threads.bench.ready.wanted?.threads, 3, 'as many as there are')
    await threads.become([slot(0, 5), slot(1, 50), slot(3, 50), slot(4)])
    assert.deepEqual(threads.offer(), [0, 1, 3, 4], 'none may go on with something else')
    assert.equal(threads.bench.ready.wanted?.threads, 4)
  })

  it('is judged anew when there are fewer, reserved ones not counted', async () => {
    const threads = new Threads([slot(0), slot(1, 5), slot(2, 50), slot(3)], { threads: 1, priority: 10 })
    threads.bench.add({ weight: 3 })
    await threads.bench.commit()
    assert.deepEqual(threads.offer(), [1, 2, 3])
    assert.equal(threads.bench.ready.wanted?.threads, 3)
    await threads.become([slot(0), slot(2, 50), slot(3)])
    assert.deepEqual(threads.offer(), [2, 3])
    assert.equal(threads.bench.ready.wanted?.threads, 2)
  })
})

describe('what no thread has begun', () => {
  it('is taken back from threads that are to end; from all of them when some are reserved, which may be others now', async () => {
    for (const [reserved, takenBack] of [
      [0, [1]],
      [1, [0, 2, 1]],
    ] as const) {
      const threads = new Threads([slot(0, 5), slot(1), slot(2, 5)], { threads: reserved, priority: 10 })
      await threads.become([slot(0, 5), slot(2, 5)])
      assert.deepEqual(threads.takenBack, takenBack)
    }
  })
})

describe('a reserve', () => {
  const reserve = { threads: 2, priority: 10 }
  const lastRanks = (slots: readonly ThreadSlot[], admission: Dispatcher['admission'] = 'all'): number[] => {
    const threads = new Threads(slots, reserve)
    threads.admission = admission
    const { budget } = threads
    return slots.map((each) => budget.lastRank(each))
  }

  it('is so many threads, whatever their numbers, one at least left for everybody', () => {
    assert.deepEqual(lastRanks([0, 1, 2, 3].map((index) => slot(index))), [117, 117, 255, 255])
    assert.deepEqual(lastRanks([7, 3, 12].map((index) => slot(index))), [117, 117, 255])
    assert.deepEqual(lastRanks([8, 9].map((index) => slot(index))), [117, 255])
  })

  it('is of those that are not at work of low priority', () => {
    assert.deepEqual(lastRanks([slot(4, 5), slot(5), slot(6, 5, 110), slot(7)]), [255, 117, 117, 255])
  })

  it('holds when more are at work of low priority than are left for it: none is given more', () => {
    assert.deepEqual(lastRanks([slot(4, 5), slot(5, 5), slot(6)]), [117, 117, 117])
    assert.deepEqual(lastRanks([slot(4, 5), slot(5, 5, 110), slot(6)]), [255, 117, 117])
  })

  it('is none while a single thread takes batches: the one that does may be any of them', () => {
    assert.deepEqual(lastRanks([slot(0), slot(1), slot(2)], 'one'), [255, 255, 255])
    assert.deepEqual(lastRanks([slot(0), slot(1, 5), slot(2)], 'one'), [255, 255, 255])
  })

  it('is not of threads that native code holds for good, and leaves one of the others for everybody', () => {
    assert.deepEqual(lastRanks([stuck(0, 117), slot(1), slot(2), slot(3)]), [255, 117, 117, 255])
    assert.deepEqual(lastRanks([stuck(0, 127), slot(1), slot(2)]), [255, 117, 255])
    assert.deepEqual(lastRanks([stuck(0, 127), slot(1)]), [255, 255])
  })
})
