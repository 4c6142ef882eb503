/** Promise 3: a timeout really stops JavaScript, and no retry starts before the old thread is gone. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ThreadSlot } from '../../../src/dispatcher/thread-slot.js'
import type { JobHandle } from '../../../src/index.js'
import { JobFailedError } from '../../../src/index.js'
import { listens, listensLate, loops, spins, waits, where } from '../../fixtures/threads/jobs.js'
import { lifeOf, LIMITS, liveThreads, open, rejection } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

/** Of a test whose timeouts are so short that the system itself, when it is busy, holds a thread for longer. */
const CLEAN_ROUNDS = 4
const ROUNDS_MOST = 40
const JOBS = [listens, listensLate, loops, spins, waits, where]

test('promise 3: an endless loop is stopped, recorded as timed out, charged, and retried', LIMITS, async (t) => {
  const { executor, directory, told } = await open(t, { jobs: JOBS, listen: ['failed', 'retried', 'completed'] })
  const file = join(directory, 'trace')
  const job = await executor.enqueue(loops, { file, tag: 'a', attempts: 2 })
  const last = await job.result()
  assert.equal(last.attempt, 3)
  assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 timedOut', '3 completed'])
  const info = await executor.get(job.id)
  for (const { error, startedAt, endedAt } of info?.attempts.slice(0, 2) ?? []) {
    assert.equal(error?.code, 'MILLRACE_TIMEOUT')
    assert.match(error.message, /300/)
    assert(endedAt - startedAt >= 299, `stopped after ${endedAt - startedAt} ms`)
  }
  assert.deepEqual(
    told.map(({ name }) => name),
    ['failed', 'retried', 'failed', 'retried', 'completed'],
  )
  assert(told.every((event) => event.name !== 'failed' || event.timedOut))
})

test('promise 3: out of retries, a job that times out is discarded with MILLRACE_TIMEOUT', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS })
  const file = join(directory, 'trace')
  const job = await executor.enqueue(loops, { file, tag: 'a', attempts: 9 }, { maxRetries: 1 })
  const error = await rejection(job.result())
  assert(error instanceof JobFailedError)
  assert.equal(error.error.code, 'MILLRACE_TIMEOUT')
  assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut', '2 timedOut'])
  assert(tracesIn(file).length <= 2)
})

test('promise 3: no retry starts before the exit of the thread that ran the attempt before it', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS, threads: 3 })
  const file = join(directory, 'trace')
  // More threads than loops: a retry that did not wait would have where to run.
  const tags = ['a', 'b']
  const handles = await executor.enqueueMany(
    loops,
    tags.map((tag) => ({ file, tag, attempts: 4 })),
  )
  await Promise.all(handles.map((job) => job.result()))
  for (const job of handles) {
    const attempts = await attemptsOf(executor, job)
    assert.deepEqual(
      attempts,
      attempts.map((_, index) => `${index + 1} ${index + 1 < attempts.length ? 'timedOut' : 'completed'}`),
    )
    assert(attempts.length > 4)
  }
  const traces = tracesIn(file)
  assert(traces.length > tags.length, 'no attempt was seen beside the last')
  for (const tag of tags) {
    const runs = traces.filter((trace) => trace.tag === tag)
    // On a busy machine an attempt may be over before it has written its trace.
    const attempts = runs.map(({ attempt }) => attempt)
    assert.deepEqual(
      attempts,
      [...new Set(attempts)].toSorted((left, right) => left - right),
    )
    for (const [index, run] of runs.slice(1).entries()) {
      const { exitMs } = lifeOf(runs[index]!.threadId)
      assert(
        exitMs !== undefined && exitMs < run.atMs,
        `attempt ${run.attempt} began before the exit of thread ${runs[index]!.threadId}`,
      )
    }
  }
})

test('promise 3: a new thread is up at once and takes what waits, while the retry is an hour away', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS })
  const file = join(directory, 'trace')
  const [looping, ...rest] = await Promise.all([
    executor.enqueue(loops, { file, tag: 'a', attempts: 1 }, { backoff: { type: 'fixed', delay: '1h' } }),
    executor.enqueue(where, undefined),
    executor.enqueue(where, undefined),
  ])
  const [first] = await Promise.all(rest.map((job) => job.result()))
  const [trace] = tracesIn(file)
  assert.notEqual(first, trace?.threadId)
  assert.equal((await executor.get(looping.id))?.state, 'retryable')
  assert.deepEqual(liveThreads().length, 1)
})

test('promise 3: the clock starts when the thread starts the job: time spent behind others does not count', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const jobs = await executor.enqueueMany(
    spins,
    Array.from({ length: 6 }, () => ({ ms: 300 })),
    { timeout: '1s' },
  )
  await Promise.all(jobs.map((job) => job.result()))
  for (const job of jobs) assert.deepEqual(await attemptsOf(executor, job), ['1 completed'])
})

test('promise 3: in a batch that takes longer than the timeout of its jobs, none of them times out', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  let clean = 0
  for (let round = 0; round < ROUNDS_MOST && clean < CLEAN_ROUNDS; round++) {
    // Known as very short, they make one batch, which takes ten milliseconds then.
    for (let warm = 0; warm < 12; warm++) {
      const jobs = await executor.enqueueMany(
        spins,
        Array.from({ length: 32 }, () => ({ ms: 0 })),
      )
      await Promise.all(jobs.map((job) => job.result()))
    }
    const inputs = Array.from({ length: 40 }, () => ({ ms: 0.25 }))
    const jobs = await executor.enqueueMany(spins, inputs, { timeout: '6ms', maxRetries: 0 })
    const results = await Promise.allSettled(jobs.map((job) => job.result()))
    if (results.every(({ status }) => status === 'fulfilled')) clean++
  }
  assert.equal(clean, CLEAN_ROUNDS, `rounds of ${ROUNDS_MOST}`)
})

for (const timeout of ['1ms', '5ms', '40ms'] as const) {
  test(
    `promise 3: batch-mates of a job that times out after ${timeout} come back uncharged and unrecorded`,
    LIMITS,
    async (t) => {
      const { executor, directory, told } = await open(t, { jobs: JOBS, listen: ['interrupted', 'error'] })
      const file = join(directory, 'trace')
      const warm = await executor.enqueueMany(
        spins,
        Array.from({ length: 32 }, () => ({ ms: 0 })),
      )
      await Promise.all(warm.map((job) => job.result()))
      for (let round = 0; round < 5; round++) {
        const pending = Array.from({ length: 40 }, (_, index) =>
          index === 7
            ? executor.enqueue(loops, { file, tag: `${round}`, attempts: 1 }, { timeout, maxRetries: 0 })
            : executor.enqueue(spins, { ms: 0 }),
        )
        const jobs = await Promise.all<JobHandle<unknown>>(pending)
        const results = await Promise.allSettled(jobs.map((job) => job.result()))
        assert.deepEqual(
          results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : [])),
          [7],
        )
        for (const [index, job] of jobs.entries())
          assert.deepEqual(await attemptsOf(executor, job), [index === 7 ? '1 timedOut' : '1 completed'], `job ${index}`)
      }
      assert.deepEqual(told, [])
    },
  )
}

test(
  'promise 3: a loop at the head of the batch behind is stopped: the result of the batch before it has left',
  LIMITS,
  async (t) => {
    const { executor, directory, told } = await open(t, { jobs: JOBS, queues: { behind: {} }, listen: ['completed', 'failed'] })
    const file = join(directory, 'trace')
    for (let round = 0; round < 5; round++) {
      // Loaded, both handlers begin without a turn of the event loop.
      await (await executor.enqueue(waits, { ms: 0 })).result()
      await (await executor.enqueue(loops, { file, tag: 'warm', attempts: 0 })).result()
      // A batch holds jobs of one queue: the loop is alone in the one that comes while the first waits.
      const [quick, loop] = await Promise.all([
        executor.enqueue(waits, { ms: 5 }),
        executor.enqueue(loops, { file, tag: `${round}`, attempts: 1 }, { maxRetries: 0, queue: 'behind' }),
      ])
      await Promise.allSettled([quick.result(), loop.result()])
      assert.deepEqual(await attemptsOf(executor, loop), ['1 timedOut'])
    }
    assert.equal(told.filter(({ name }) => name === 'completed').length, 15)
  },
)

test('promise 3: a loop that begins just when the job before it was to be stopped is stopped in its turn', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS })
  const file = join(directory, 'trace')
  // Known as long, a job is not slow before its time is up: what waits behind it stays with the thread.
  for (let warm = 0; warm < 3; warm++) await (await executor.enqueue(spins, { ms: 100 })).result()
  await (await executor.enqueue(loops, { file, tag: 'warm', attempts: 0 })).result()
  const { terminate } = ThreadSlot.prototype
  let refused = 0
  t.mock.method(ThreadSlot.prototype, 'terminate', function late(this: ThreadSlot, ...given: Parameters<typeof terminate>) {
    const [cause, batch, target] = given
    // The job ends only now, and its thread begins the next one.
    if (cause === 'timeout' && target === 0) while (batch !== undefined && batch.control.taken < 2);
    const isEnded = terminate.apply(this, given)
    if (!isEnded) refused++
    return isEnded
  })
  const [long, loop] = await Promise.all([
    executor.enqueue(spins, { ms: 100 }, { timeout: '40ms', maxRetries: 0 }),
    executor.enqueue(loops, { file, tag: 'a', attempts: 1 }, { maxRetries: 0 }),
  ])
  await Promise.allSettled([long.result(), loop.result()])
  assert.deepEqual(await attemptsOf(executor, long), ['1 completed'])
  assert.deepEqual(await attemptsOf(executor, loop), ['1 timedOut'])
  assert.equal(refused, 1)
})

test('promise 3: a timeout longer than a timer can count holds without a warning', LIMITS, async (t) => {
  const warnings: Error[] = []
  const listener = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listener)
  t.after(() => process.off('warning', listener))
  const { executor } = await open(t, { jobs: JOBS })
  const job = await executor.enqueue(spins, { ms: 100 }, { timeout: '30d', softTimeout: '29d' })
  await job.result()
  assert.deepEqual(await attemptsOf(executor, job), ['1 completed'])
  // Warnings are told in a tick of their own.
  await new Promise(setImmediate)
  assert.deepEqual(warnings, [])
})

test('softTimeout aborts the signal first, and the job may still end well', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const job = await executor.enqueue(listens, { then: 'return' }, { softTimeout: '50ms', timeout: '20s' })
  assert.deepEqual(await job.result(), { reason: 'The soft timeout has passed.', name: 'AbortError' })
  const failing = await executor.enqueue(listens, { then: 'throw' }, { softTimeout: '50ms', timeout: '20s', maxRetries: 0 })
  const error = await rejection(failing.result())
  assert(error instanceof JobFailedError)
  assert.equal(error.error.name, 'AbortError')
  assert.deepEqual(await attemptsOf(executor, failing), ['1 failed'])
})

test('promise 3: a job that does not heed its signal is stopped at the hard timeout all the same', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const job = await executor.enqueue(listens, { then: 'ignore' }, { softTimeout: '20ms', timeout: '100ms', maxRetries: 0 })
  await rejection(job.result())
  assert.deepEqual(await attemptsOf(executor, job), ['1 timedOut'])
})

test('softTimeout counts from the start of run, also behind a long setup', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const job = await executor.enqueue(listensLate, undefined, { maxRetries: 0 })
  assert.equal(await job.result(), 'aborted')
})

test('promise 2: jobs that end at the very moment of their timeout have one outcome each', LIMITS, async (t) => {
  const { executor, directory, told } = await open(t, { jobs: JOBS, threads: 2, listen: ['completed', 'failed'] })
  const file = join(directory, 'trace')
  const inputs = Array.from({ length: 60 }, (_, index) => ({ ms: 112 + (index % 9) * 2, tag: `${index}`, file }))
  const jobs = await executor.enqueueMany(spins, inputs, { timeout: '120ms', maxRetries: 0 })
  const results = await Promise.allSettled(jobs.map((job) => job.result()))
  const traces = tracesIn(file)
  for (const [index, job] of jobs.entries()) {
    const completed = results[index]?.status === 'fulfilled'
    assert.deepEqual(await attemptsOf(executor, job), [completed ? '1 completed' : '1 timedOut'])
    const runs = traces.filter(({ tag }) => tag === `${index}`)
    // A fresh thread may spend the whole of it on loading the module.
    assert(completed ? runs.length === 1 : runs.length <= 1, `job ${index} began ${runs.length} times`)
    assert.equal(told.filter((event) => 'job' in event && event.job?.id === job.id).length, 1)
  }
})
