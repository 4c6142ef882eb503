/** Cancelling a job wherever it is. Promise 3: a cancel really stops JavaScript; promise 2: a job that is over never runs again. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JobHandle } from '../../../src/index.js'
import { listens, loops, says, spins, where } from '../../fixtures/threads/jobs.js'
import { lifeOf, LIMITS, open, rejection } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

const JOBS = [listens, loops, says, spins, where]

test('a scheduled, a retryable and a waiting job: cancelled at once, with the reason, without an attempt', LIMITS, async (t) => {
  const { executor, directory, until } = await open(t, { jobs: JOBS, listen: ['started', 'cancelled', 'retried'] })
  const file = join(directory, 'trace')
  const scheduled = await executor.enqueue(spins, { ms: 0, file, tag: 'scheduled' }, { delay: '1h' })
  const failed = await executor.enqueue(says, { what: 'retry' })
  await until('retried')
  const holder = await executor.enqueue(listens, { then: 'throw' }, { timeout: '30s' })
  await until('started', ({ job }) => job.id === holder.id)
  const waiting = await executor.enqueue(spins, { ms: 0, file, tag: 'waiting' })
  for (const [job, before] of [
    [scheduled, []],
    [failed, ['1 failed']],
    [waiting, []],
  ] as const) {
    const result = rejection(job.result())
    assert.equal(await executor.cancel(job.id, 'not needed'), true)
    assert.equal((await result).code, 'MILLRACE_JOB_CANCELLED')
    assert.match((await result).message, /not needed/)
    const info = await executor.get(job.id)
    assert.equal(info?.state, 'cancelled')
    assert.match(info.error?.message ?? '', /not needed/)
    assert.deepEqual(await attemptsOf(executor, job), before)
    assert.equal((await until('cancelled', (event) => event.job.id === job.id)).reason, 'not needed')
    assert.equal(await executor.cancel(job.id), false, 'a cancelled job was cancelled again')
  }
  assert.equal(await executor.cancel(holder.id), true)
  await executor.drain()
  assert.deepEqual(tracesIn(file), [])
})

for (const then of ['throw', 'fatal', 'snooze'] as const) {
  test(`a running job that heeds its signal with ${then}: cancelled with the reason; its thread lives on`, LIMITS, async (t) => {
    const { executor, until } = await open(t, { jobs: JOBS, listen: ['started'], abortGrace: '30s' })
    // Two: the first is cancelled while its handler is still being loaded, the second while it waits.
    for (const round of [1, 2]) {
      const job = await executor.enqueue(listens, { then }, { timeout: '30s' })
      const { threadId } = await until('started', (event) => event.job.id === job.id)
      const result = rejection(job.result())
      assert.equal(await executor.cancel(job.id, 'changed my mind'), true, `round ${round}`)
      assert.equal((await result).code, 'MILLRACE_JOB_CANCELLED')
      assert.match((await result).message, /changed my mind/)
      assert.deepEqual(await attemptsOf(executor, job), ['1 cancelled'])
      assert.equal(await (await executor.enqueue(where, undefined)).result(), threadId)
    }
  })
}

test('a running job that returns all the same is completed, and cancel says false', LIMITS, async (t) => {
  const { executor, until } = await open(t, { jobs: JOBS, listen: ['started'], abortGrace: '30s' })
  const job = await executor.enqueue(listens, { then: 'return' }, { timeout: '30s' })
  await until('started')
  assert.equal(await executor.cancel(job.id, 'the reason'), false)
  assert.deepEqual(await job.result(), { reason: 'the reason', name: 'AbortError' })
  assert.equal((await executor.get(job.id))?.state, 'completed')
})

test(
  'promise 3: a running job that loops is terminated after abortGrace, and is gone when cancel resolves',
  LIMITS,
  async (t) => {
    const { executor, directory, until } = await open(t, { jobs: JOBS, listen: ['started', 'failed'], abortGrace: '80ms' })
    const file = join(directory, 'trace')
    const job = await executor.enqueue(loops, { file, tag: 'a', attempts: 9 }, { timeout: Infinity })
    const { threadId } = await until('started')
    const result = rejection(job.result())
    const [one, two] = await Promise.all([executor.cancel(job.id, 'first'), executor.cancel(job.id, 'second')])
    assert.deepEqual([one, two], [true, true])
    assert.notEqual(lifeOf(threadId).exitMs, undefined, 'cancel resolved before the thread was gone')
    assert.equal((await result).code, 'MILLRACE_JOB_CANCELLED')
    assert.deepEqual(await attemptsOf(executor, job), ['1 cancelled'])
    assert.notEqual(await (await executor.enqueue(where, undefined)).result(), threadId)
    assert(tracesIn(file).length <= 1, 'a cancelled job ran again')
  },
)

test('promise 3: with abortGrace 0 a job that ignores its signal is stopped at once', LIMITS, async (t) => {
  const { executor, until } = await open(t, { jobs: JOBS, listen: ['started'], abortGrace: 0 })
  const job = await executor.enqueue(listens, { then: 'ignore' }, { timeout: Infinity })
  await until('started')
  assert.equal(await executor.cancel(job.id), true)
  const info = await executor.get(job.id)
  assert.equal(info?.state, 'cancelled')
  assert.equal(info.error, undefined)
})

test('finished jobs: cancel says false and changes nothing', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const completed = await executor.enqueue(where, undefined)
  const output = await completed.result()
  const discarded = await executor.enqueue(says, { what: 'fatal' })
  await rejection(discarded.result())
  assert.equal(await executor.cancel(completed.id), false)
  assert.equal(await executor.cancel(discarded.id), false)
  assert.equal((await executor.get(completed.id))?.state, 'completed')
  assert.equal((await executor.get(discarded.id))?.state, 'discarded')
  assert.equal(await completed.result(), output)
})

test(
  'promise 2: cancels in the middle of batches: true means cancelled, false means it ran once, never both',
  LIMITS,
  async (t) => {
    const { executor, directory } = await open(t, { jobs: JOBS, threads: 2, abortGrace: '30s', retain: { jobs: Infinity } })
    const file = join(directory, 'trace')
    const warm = await executor.enqueueMany(
      spins,
      Array.from({ length: 64 }, () => ({ ms: 0.1 })),
    )
    await Promise.all(warm.map((job) => job.result()))
    const counts = { ran: 0, cancelled: 0 }
    for (let round = 0; round < 8; round++) {
      const tags = Array.from({ length: 300 }, (_, index) => `${round}-${index}`)
      const jobs = await executor.enqueueMany(
        spins,
        tags.map((tag) => ({ ms: 0.1, file, tag })),
      )
      const cancels = jobs.map(async (job, index) => (index % 3 === 1 ? await executor.cancel(job.id, 'odd') : undefined))
      await Promise.allSettled(jobs.map((job: JobHandle<number>) => job.result()))
      const answers = await Promise.all(cancels)
      const ran = new Map<string, number>()
      for (const { tag } of tracesIn(file)) ran.set(tag, (ran.get(tag) ?? 0) + 1)
      for (const [index, job] of jobs.entries()) {
        const cancelled = answers[index] === true
        const info = await executor.get(job.id)
        assert.equal(info?.state, cancelled ? 'cancelled' : 'completed', `job ${tags[index]}`)
        assert.equal(ran.get(tags[index]!) ?? 0, cancelled ? 0 : 1, `job ${tags[index]} ran`)
        assert.deepEqual(await attemptsOf(executor, job), cancelled ? [] : ['1 completed'])
        counts[cancelled ? 'cancelled' : 'ran']++
      }
    }
    assert(counts.cancelled > 20 && counts.ran > 20, `the test met ${JSON.stringify(counts)}`)
  },
)
