/** Threads that are added and taken away while jobs run. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Executor } from '../../../src/index.js'
import { echo, endless, gated, nothing } from '../../fixtures/executor/jobs.js'
import type { StateTrace } from '../../fixtures/threads/state.js'
import { first } from '../../fixtures/threads/state.js'
import { assertConsistent, withCode } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { exitOf, LIMITS, newDirectory, open } from '../../support/open.js'

const JOBS = [echo, endless, first, gated, nothing]

const threadIds = (executor: Executor): number[] => executor.stats().threads.map(({ threadId }) => threadId)

test('new threads start at once and take what waits', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const gate = new Gate(t)
  const handles = []
  for (const tag of ['a', 'b', 'c']) handles.push(await executor.enqueue(gated, { gate: gate.name, tag }))
  await gate.reached(1)
  await executor.setThreads(3)
  assert.equal(threadIds(executor).length, 3)
  await gate.reached(3)
  gate.open()
  assert.deepEqual(await Promise.all(handles.map((job) => job.result())), ['a', 'b', 'c'])
  await assertConsistent(executor)
})

test('a surplus thread gives back what it has not begun, ends its job, and goes with its teardowns', LIMITS, async (t) => {
  const file = join(newDirectory(t), 'state')
  const { executor } = await open(t, { jobs: JOBS, threads: 2, env: { MILLRACE_TEST_TRACE: file } })
  const gate = new Gate(t)
  const [a, b, ...behind] = await Promise.all([
    executor.enqueue(gated, { gate: gate.name, tag: 'a' }),
    executor.enqueue(gated, { gate: gate.name, tag: 'b' }),
    executor.enqueue(first, 'use'),
    executor.enqueue(first, 'use'),
    executor.enqueue(first, 'use'),
  ])
  await gate.reached(2)
  // A thread that came up late may have done some while the other one still held b behind a. From here on both are held.
  const early: string[] = []
  for (const { id } of behind) if ((await executor.get(id))?.state === 'completed') early.push(id)
  const waiting = [...behind.filter(({ id }) => !early.includes(id)), await executor.enqueue(first, 'use')]
  await executor.setThreads(1)
  const running = executor.stats().threads
  assert.equal(running.length, 2, 'what runs goes on')
  gate.let('a')
  gate.let('b')
  await Promise.all([a.result(), b.result()])
  const outputs = await Promise.all(waiting.map((job) => job.result()))
  const used = new Set(outputs.map(({ threadId }) => threadId))
  assert.equal(used.size, 1, 'only the thread that stays takes jobs')
  const [gone] = running.map(({ threadId }) => threadId).filter((threadId) => !used.has(threadId))
  await exitOf(gone!)
  await executor.drain()
  assert.deepEqual(threadIds(executor), [...used])
  await executor.setThreads(2)
  assert.equal(threadIds(executor).length, 2)
  // The one that has done nothing goes first.
  await executor.setThreads(1)
  const [other] = threadIds(executor).filter((threadId) => !used.has(threadId))
  await exitOf(other!)
  const states = new Set(used)
  for (const job of behind) states.add((await job.result()).threadId)
  await executor.close()
  const traces = readFileSync(file, 'utf8').trimEnd().split('\n')
  const ends = traces.map((line) => JSON.parse(line) as StateTrace).filter(({ what }) => what === 'teardown')
  assert.equal(ends.length, states.size, 'each state was torn down once')
})

test('an idle thread with state is torn down when it is taken away', LIMITS, async (t) => {
  const file = join(newDirectory(t), 'state')
  const { executor } = await open(t, { jobs: JOBS, threads: 2, env: { MILLRACE_TEST_TRACE: file } })
  const used = new Set<number>()
  while (used.size < 2)
    for (const job of await executor.enqueueMany(
      first,
      Array.from({ length: 40 }, () => 'use' as const),
    ))
      used.add((await job.result()).threadId)
  await executor.setThreads(1)
  const stays = await executor.enqueue(first, 'use').then((job) => job.result())
  const [gone] = [...used].filter((threadId) => threadId !== stays.threadId)
  await exitOf(gone!)
  const traces = readFileSync(file, 'utf8').trimEnd().split('\n')
  const ends = traces.map((line) => JSON.parse(line) as StateTrace).filter(({ what }) => what === 'teardown')
  assert.deepEqual(
    ends.map(({ threadId }) => threadId),
    [gone],
  )
})

test('a surplus thread is ended at the timeout of the job it is at, and no other follows it', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS, threads: 2, listen: ['started', 'failed'] })
  const [one, other] = await Promise.all([1, 2].map((input) => executor.enqueue(endless, input, { timeout: 400, maxRetries: 0 })))
  await executor.setThreads(1)
  await Promise.all([one!, other!].map((job) => assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED', /timeout/))))
  assert.equal(await (await executor.enqueue(echo, 'on')).result(), 'on')
  while (threadIds(executor).length > 1) await executor.enqueue(nothing).then((job) => job.result())
  await assertConsistent(executor)
})

test('a thread that was to go stays when there are to be more again', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS, threads: 2 })
  const gate = new Gate(t)
  const handles = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
  await gate.reached(2)
  const before = threadIds(executor)
  await executor.setThreads(1)
  await executor.setThreads(2)
  assert.deepEqual(threadIds(executor), before)
  gate.open()
  await Promise.all(handles.map((job) => job.result()))
  assert.deepEqual(threadIds(executor), before)
})

test('an executor that closes while threads are going leaves none', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS, threads: 4 })
  const gate = new Gate(t)
  await Promise.all(['a', 'b', 'c', 'd'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
  await gate.reached(4)
  await executor.setThreads(1)
  await executor.close({ grace: 0 })
})

test('refuses what is no number of threads', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  for (const threads of [0, 1025, 1.5, Infinity, '2' as never, undefined as never])
    await assert.rejects(executor.setThreads(threads), withCode('MILLRACE_INVALID_OPTIONS', /from 1 to 1024/))
  await executor.close()
  await assert.rejects(executor.setThreads(2), withCode('MILLRACE_CLOSED'))
})
