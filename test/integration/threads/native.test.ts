/** Promise 3, where JavaScript cannot be stopped: a thread that native code holds is reported, replaced up to a bound, and waited for. */
import assert from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { gated } from '../../fixtures/executor/jobs.js'
import { native, where } from '../../fixtures/threads/jobs.js'
import { mortal } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { exitOf, lifeOf, LIMITS, liveThreads, monotonicMs, open, rejection } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

const JOBS = [native, where]
const LISTEN = ['stuck', 'failed', 'started', 'error', 'completed', 'progress'] as const

/** As many as take about two seconds here: longer than the timeout and the wait for an exit together. */
const ITERATIONS = iterationsFor(2000)

/** By the fastest of several tries: what else runs here only makes them longer, and the native call must not end too early. */
function iterationsFor(ms: number): number {
  const tries = Array.from({ length: 8 }, () => {
    const begin = monotonicMs()
    pbkdf2Sync('a', 'b', 20_000, 64, 'sha512')
    return monotonicMs() - begin
  })
  return Math.ceil((20_000 * ms) / Math.min(...tries))
}

test(
  'promise 3: maxStuckThreads 1: stuck is told and counted, others run meanwhile, the retry waits for the exit',
  LIMITS,
  async (t) => {
    const { executor, directory, until, told } = await open(t, { jobs: JOBS, maxStuckThreads: 1, listen: LISTEN })
    let countedInEvent = -1
    executor.on('stuck', () => {
      countedInEvent = executor.stats().stuckThreads
    })
    const file = join(directory, 'trace')
    const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS })
    const stuck = await until('stuck')
    const [first] = tracesIn(file)
    assert.deepEqual(stuck, { name: 'stuck', threadId: first?.threadId, job: { id: job.id, name: 'native', queue: 'default' } })
    assert.equal(countedInEvent, 1)
    assert.equal(executor.stats().stuckThreads, 1)
    // On the one thread of the executor another one runs, while the first is still held.
    const other = await (await executor.enqueue(where, undefined)).result()
    assert.notEqual(other, first?.threadId)
    assert.equal(lifeOf(first!.threadId).exitMs, undefined, 'native code ended too early for this test')
    assert.equal((await executor.get(job.id))?.state, 'running')
    const second = await job.result()
    const { exitMs } = lifeOf(first!.threadId)
    assert(exitMs !== undefined && exitMs < second.atMs, 'the retry began before the old thread was gone')
    assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 completed'])
    assert.equal(executor.stats().stuckThreads, 0)
    assert.equal(told.filter(({ name }) => name === 'stuck').length, 1)
    assert.equal(liveThreads().length, 1)
  },
)

test(
  'promise 3: maxStuckThreads 0: stuck is told and counted, nothing is replaced, all goes on after the exit',
  LIMITS,
  async (t) => {
    const { executor, directory, until } = await open(t, { jobs: JOBS, maxStuckThreads: 0, listen: LISTEN })
    const file = join(directory, 'trace')
    const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS })
    const { threadId } = await until('stuck')
    assert.equal(executor.stats().stuckThreads, 1, 'stats().stuckThreads while a thread is stuck and not replaced')
    assert.deepEqual(liveThreads(), [threadId])
    const other = await executor.enqueue(where, undefined)
    await other.result()
    const { exitMs } = lifeOf(threadId)
    const began = (await executor.get(other.id))?.attempts[0]?.startedAt
    assert(exitMs !== undefined && began !== undefined)
    await job.result()
    assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 completed'])
    assert.equal(executor.stats().stuckThreads, 0)
  },
)

test('promise 3: two threads stuck at once, one replaced: never more than threads + maxStuckThreads', LIMITS, async (t) => {
  const { executor, directory, until, told } = await open(t, { jobs: JOBS, threads: 2, maxStuckThreads: 1, listen: LISTEN })
  const file = join(directory, 'trace')
  let most = 0
  executor.on('started', () => {
    most = Math.max(most, liveThreads().length)
  })
  const inputs = ['a', 'b'].map((tag) => ({ file, tag, iterations: ITERATIONS }))
  const jobs = await Promise.all(inputs.map((input) => executor.enqueue(native, input)))
  await until('stuck', ({ job }) => job?.id === jobs[0]?.id)
  await until('stuck', ({ job }) => job?.id === jobs[1]?.id)
  const quick = await executor.enqueueMany(
    where,
    Array.from({ length: 50 }, () => undefined),
  )
  const threads = new Set(await Promise.all(quick.map((job) => job.result())))
  assert.equal(threads.size, 1)
  for (const job of jobs) {
    await job.result()
    assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 completed'])
  }
  assert(most <= 3, `${most} threads at once`)
  assert.equal(executor.stats().stuckThreads, 0)
  assert.equal(told.filter(({ name }) => name === 'error').length, 0)
})

test('promise 3: after a thread was stuck its slot works as before, twice', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS, maxStuckThreads: 1, listen: LISTEN })
  const file = join(directory, 'trace')
  for (const tag of ['a', 'b']) {
    const job = await executor.enqueue(native, { file, tag, iterations: Math.ceil(ITERATIONS / 2) })
    await job.result()
    assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 completed'])
    assert.equal(executor.stats().stuckThreads, 0)
  }
})

test('promise 3: a job held by native code is cancelled when its thread is gone, and not before', LIMITS, async (t) => {
  const { executor, directory, until } = await open(t, { jobs: JOBS, abortGrace: '50ms', listen: LISTEN })
  const file = join(directory, 'trace')
  const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS }, { timeout: '30s' })
  await until('progress')
  const { threadId } = await until('started')
  const result = rejection(job.result())
  const cancelled = executor.cancel(job.id, 'no more')
  await until('stuck')
  assert.equal((await executor.get(job.id))?.state, 'running')
  assert.equal(await cancelled, true)
  assert.notEqual(lifeOf(threadId).exitMs, undefined)
  assert.equal((await result).code, 'MILLRACE_JOB_CANCELLED')
  assert.deepEqual(await attemptsOf(executor, job), ['1 cancelled'])
})

test('close resolves although native code holds a thread; its job is available again, uncharged', LIMITS, async (t) => {
  const opened = await open(t, { jobs: JOBS, abortGrace: 0, listen: LISTEN })
  const { directory, executor, until } = opened
  const file = join(directory, 'trace')
  const job = await executor.enqueue(native, { file, tag: 'a', iterations: Math.ceil(ITERATIONS * 1.5) }, { timeout: Infinity })
  await until('progress')
  const { threadId } = await until('started')
  const result = rejection(job.result())
  const { interrupted } = await executor.close({ grace: 0 })
  assert.deepEqual(interrupted, [job.id])
  assert.equal((await result).code, 'MILLRACE_RESULT_PENDING')
  const closedMs = monotonicMs()
  const { exitMs } = await exitOf(threadId)
  assert(exitMs !== undefined && exitMs > closedMs, 'native code ended too early for this test')
  const again = await opened.reopen({})
  assert.deepEqual(await attemptsOf(again, job), ['1 interrupted'])
  assert.equal((await again.get(job.id))?.attempt, 1)
  await again.cancel(job.id)
})

test('promise 3: what waits behind a job that native code holds is for the thread that replaces its own', LIMITS, async (t) => {
  const { executor, directory, until } = await open(t, { jobs: JOBS, maxStuckThreads: 1, listen: LISTEN })
  const file = join(directory, 'trace')
  // Loaded by now, so that the shortest timeout is over before the job counts as slow.
  const threadId = await (await executor.enqueue(where, undefined)).result()
  const [held, behind] = await Promise.all([
    executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS }, { timeout: 4, maxRetries: 0 }),
    executor.enqueueMany(where, [undefined, undefined, undefined]),
  ])
  held.result().catch(() => undefined)
  await until('stuck')
  const threads = await Promise.all(behind.map((job) => job.result()))
  assert.equal(lifeOf(threadId).exitMs, undefined, 'they waited for the native code')
  assert.ok(threads.every((other) => other !== threadId))
  await exitOf(threadId)
})

for (const of of ['queue', 'limit key'] as const) {
  test(
    `promise 3: what native code holds counts for the ${of}, also beside the thread that replaces its own`,
    LIMITS,
    async (t) => {
      const { executor, directory, until } = await open(t, {
        jobs: JOBS,
        maxStuckThreads: 1,
        queues: { default: {}, narrow: of === 'queue' ? { concurrency: 1 } : {} },
        listen: LISTEN,
      })
      const file = join(directory, 'trace')
      const options = { queue: 'narrow', ...(of === 'limit key' && { limit: { key: 'one', max: 1 } }) }
      const held = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS }, { ...options, maxRetries: 0 })
      held.result().catch(() => undefined)
      const waiting = await executor.enqueue(where, undefined, options)
      const { threadId } = await until('stuck')
      const others = of === 'queue' ? { queue: 'default' } : { queue: 'narrow', limit: { key: 'other', max: 1 } }
      for (let count = 0; count < 3; count++) await (await executor.enqueue(where, undefined, others)).result()
      assert.equal((await executor.get(waiting.id))?.state, 'available')
      assert.equal(lifeOf(threadId).exitMs, undefined, 'native code ended too early for this test')
      await waiting.result()
      assert.notEqual(lifeOf(threadId).exitMs, undefined, 'two ran at a time')
    },
  )
}

test('promise 3: a cancel of a job that native code holds leaves the thread alone that replaced its own', LIMITS, async (t) => {
  const { executor, directory, until, told } = await open(t, {
    jobs: [native, gated],
    maxStuckThreads: 1,
    abortGrace: 0,
    listen: LISTEN,
  })
  const file = join(directory, 'trace')
  const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS }, { maxRetries: 0 })
  const { threadId } = await until('stuck')
  const gate = new Gate(t)
  const innocent = await executor.enqueue(gated, { gate: gate.name, tag: 'innocent' })
  await gate.reached(1)
  assert.equal(await executor.cancel(job.id), true)
  await exitOf(threadId)
  gate.open()
  await innocent.result()
  assert.deepEqual(await attemptsOf(executor, innocent), ['1 completed'])
  assert.deepEqual(await attemptsOf(executor, job), ['1 cancelled'])
  assert.equal(told.filter(({ name }) => name === 'stuck').length, 1)
})

test(
  'promise 3: a pause that interrupts waits for a job that native code holds in a thread that was replaced',
  LIMITS,
  async (t) => {
    const { executor, directory, until } = await open(t, { jobs: JOBS, maxStuckThreads: 1, abortGrace: 0, listen: LISTEN })
    const file = join(directory, 'trace')
    const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS })
    const { threadId } = await until('stuck')
    await executor.queue('default').pause({ interrupt: true })
    assert.notEqual(lifeOf(threadId).exitMs, undefined, 'it did not wait')
    assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut'])
  },
)

test('promise 3: a job to be run alone does not wait for one that native code holds beyond its end', LIMITS, async (t) => {
  const gate = new Gate(t)
  const { engine, remains, crash } = mortal()
  const options = { jobs: [gated, native], threads: 2, maxStuckThreads: 0, queues: { default: {}, held: {} }, listen: LISTEN }
  const dying = await open(t, { ...options, surroundings: { engine } })
  const file = join(dying.directory, 'trace')
  await dying.executor.enqueueMany(
    gated,
    [1, 2].map((n) => ({ gate: gate.name, tag: `${n}` })),
    { queue: 'held' },
  )
  await gate.reached(2)
  await dying.executor.queue('held').pause()
  crash()
  await dying.executor.close({ grace: 0 })
  const { executor, until } = await open(t, { ...options, surroundings: { engine: remains } })
  assert.equal(executor.recovery.suspects.length, 2)
  const job = await executor.enqueue(native, { file, tag: 'a', iterations: ITERATIONS }, { maxRetries: 0 })
  const { threadId } = await until('stuck')
  await executor.queue('held').resume()
  await gate.reached(3)
  assert.equal(lifeOf(threadId).exitMs, undefined, 'it waited for the native code')
  gate.open()
  await executor.drain()
  assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut'])
  await executor.close()
})
