/** What threads hold ahead: few commits while they are busy, and nobody who comes first waits behind it. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Executor, JobHandle } from '../../../src/index.js'
import { span } from '../../fixtures/executor/jobs.js'
import { monotonicMs } from '../../support/open.js'
import { setup, STORES } from '../../support/executor.js'

const MS = 2
const ROUNDS = 6

/** Enough that the executor knows how long they take, and hands over some dozens at a time. */
async function warmUp(executor: Executor): Promise<void> {
  const handles = await executor.enqueueMany(
    span,
    Array.from({ length: 60 }, () => ({ ms: MS })),
  )
  await Promise.all(handles.map((job) => job.result()))
}

/** Jobs of a backlog that began between an urgent one's acknowledgement and its beginning, over some rounds. */
async function beganBefore(executor: Executor, urgent: () => Promise<JobHandle<{ from: number }>>): Promise<number[]> {
  const found: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const backlog = await executor.enqueueMany(
      span,
      Array.from({ length: 150 }, () => ({ ms: MS })),
    )
    await backlog[10 + round]!.result()
    const job = await urgent()
    const told = monotonicMs()
    const { from } = await job.result()
    const spans = await Promise.all(backlog.map((other) => other.result()))
    found.push(spans.filter((other) => other.from > told && other.from < from).length)
  }
  return found
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

for (const store of STORES) {
  it(`a job of higher priority does not wait behind what a thread holds ahead, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs: [span], threads: 1, durability: 'process' })
    await warmUp(executor)
    const found = await beganBefore(executor, () => executor.enqueue(span, { ms: MS }, { priority: 5 }))
    // A thread may hold so little that taking it back is not worth while: that is a few jobs. It holds twenty and more otherwise.
    assert.ok(sum(found) <= 5 * ROUNDS, `${found.join()} jobs began before it`)
  })

  it(`a queue that was idle does not wait behind what a thread holds ahead of another, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs: [span], threads: 1, durability: 'process', queues: { side: {} } })
    await warmUp(executor)
    const found = await beganBefore(executor, () => executor.enqueue(span, { ms: MS }, { queue: 'side' }))
    assert.ok(sum(found) <= 5 * ROUNDS, `${found.join()} jobs began before it`)
  })

  it(`a backlog of short jobs takes few commits, of which each settles many, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs: [span], threads: 2, durability: 'process' })
    await warmUp(executor)
    const before = executor.stats().store.commits
    await executor.enqueueMany(
      span,
      Array.from({ length: 1000 }, () => ({ ms: 1 })),
    )
    await executor.drain()
    const commits = executor.stats().store.commits - before
    assert.ok(commits <= 200, `${commits} commits for 1,000 jobs`)
  })

  it(`a few long jobs are shared out, although one thread could hold them all, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs: [span], threads: 2, durability: 'process' })
    await warmUp(executor)
    const jobs = await executor.enqueueMany(
      span,
      Array.from({ length: 8 }, () => ({ ms: MS })),
    )
    const threads = (await Promise.all(jobs.map((job) => job.result()))).map(({ threadId }) => threadId)
    const counts = [...new Set(threads)].map((id) => threads.filter((threadId) => threadId === id).length)
    assert.equal(counts.length, 2)
    assert.ok(Math.max(...counts) <= 6, counts.join())
  })
}
