/** Promise 4: what a job leaves behind, and what fails beside it. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { goesOn, leaves, waits, where } from '../../fixtures/threads/jobs.js'
import { lifeOf, LIMITS, open } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

const JOBS = [goesOn, leaves, waits, where]
const LISTEN = ['error', 'failed', 'interrupted', 'completed'] as const

for (const what of ['rejection', 'late rejection', 'late exception'] as const) {
  test(
    `promise 4: a ${what} after the end of its job is told as an error; the job is completed, others go on`,
    LIMITS,
    async (t) => {
      const { executor, until, told } = await open(t, { jobs: JOBS, listen: LISTEN })
      const job = await executor.enqueue(leaves, { what })
      const threadId = await job.result()
      const { error, jobId } = await until('error')
      assert.equal(
        (error as { code?: string }).code,
        what === 'late exception' ? 'MILLRACE_UNCAUGHT_EXCEPTION' : 'MILLRACE_UNHANDLED_REJECTION',
      )
      assert.match(error.message, /left behind/)
      assert.equal(jobId, job.id)
      assert.deepEqual(await attemptsOf(executor, job), ['1 completed'])
      const others = await executor.enqueueMany(
        where,
        Array.from({ length: 20 }, () => undefined),
      )
      await Promise.all(others.map((other) => other.result()))
      const last = await (await executor.enqueue(where, undefined)).result()
      // What an exception has unwound half way is not trusted with more jobs; a rejection harms nothing.
      if (what === 'late exception') assert.notEqual(last, threadId)
      else assert.equal(last, threadId)
      assert.equal(told.filter(({ name }) => name === 'failed' || name === 'interrupted').length, 0)
    },
  )
}

test('promise 4: process.exit() after the end of its job harms no other', LIMITS, async (t) => {
  const { executor, told } = await open(t, { jobs: JOBS, listen: LISTEN })
  const threadId = await (await executor.enqueue(leaves, { what: 'late exit' })).result()
  const { bornMs } = lifeOf(threadId)
  while (lifeOf(threadId).exitMs === undefined) await new Promise(setImmediate)
  assert(bornMs > 0)
  assert.notEqual(await (await executor.enqueue(where, undefined)).result(), threadId)
  assert.deepEqual(
    told.filter(({ name }) => name !== 'completed'),
    [],
  )
})

test('promise 4: a rejection that a completed job left behind does not fail the job that runs next', LIMITS, async (t) => {
  const { executor, told } = await open(t, { jobs: JOBS, listen: LISTEN })
  await (await executor.enqueue(waits, { ms: 0 })).result()
  await (await executor.enqueue(leaves, { what: 'late rejection' })).result()
  const [guilty, innocent] = await Promise.all([
    executor.enqueue(leaves, { what: 'rejection' }),
    executor.enqueue(waits, { ms: 50 }),
  ])
  await guilty.result()
  await innocent.result()
  assert.deepEqual(await attemptsOf(executor, innocent), ['1 completed'])
  assert.equal(told.filter(({ name }) => name === 'failed').length, 0)
})

for (const how of ['rejection', 'exception'] as const) {
  test(
    `promise 2: a job that failed by an unheard ${how} beside it is not run again while its first run still goes on`,
    LIMITS,
    async (t) => {
      const { executor, directory } = await open(t, { jobs: JOBS, threads: 2, listen: LISTEN })
      const file = join(directory, 'trace')
      const job = await executor.enqueue(goesOn, { file, how })
      assert.equal(await job.result(), 2)
      assert.deepEqual(await attemptsOf(executor, job), ['1 failed', '2 completed'])
      const [first, ...later] = tracesIn(file)
      const second = later.find(({ tag, attempt }) => tag === 'begin' && attempt === 2)
      const ended = later.find(({ tag, attempt }) => tag === 'end' && attempt === 1)
      const { exitMs } = lifeOf(first!.threadId)
      assert(
        (ended !== undefined && ended.atMs < second!.atMs) || (exitMs !== undefined && exitMs < second!.atMs),
        'the second run began while the first one went on',
      )
    },
  )
}
