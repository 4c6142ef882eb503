/** `result()`: settles always, with the job's own outcome, and costs nothing when nobody asks. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { JobFailedError } from '../../../src/base/errors.js'
import { echo, failing, gated, large, nothing, obedient } from '../../fixtures/executor/jobs.js'
import { rejection, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const jobs = [echo, failing, gated, large, nothing, obedient]

for (const store of STORES) {
  describe(`result, ${store}`, () => {
    it('resolves with the output, from the handle, from the id, before and after the end', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      const gate = new Gate(t)
      const job = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      assert.equal(job.name, 'gated')
      const before = [job.result(), job.result(), executor.job<string>(job.id).result()]
      await gate.reached(1)
      before.push(job.result(), executor.job<string>(job.id).result())
      gate.open()
      assert.deepEqual(await Promise.all(before), Array(5).fill('x'))
      assert.equal(await job.result(), 'x')
      assert.equal(await executor.job(job.id).result(), 'x')
    })

    it('rejects with the reason of a job that is over without an output', async (t) => {
      const { executor } = await setup(t, { store, jobs, retain: { jobs: 2 } })
      const failed = await executor.enqueue(failing, { times: 9 }, { maxRetries: 0 })
      const waiting = executor.job(failed.id).result()
      for (const promise of [failed.result(), waiting, failed.result(), executor.job(failed.id).result()]) {
        const error = (await rejection(promise)) as JobFailedError
        withCode('MILLRACE_JOB_FAILED', /"failing".*TypeError: attempt 1 failed/)(error)
        assert.deepEqual(
          [error.name, error.jobId, error.jobName, error.error.name, error.error.message],
          ['JobFailedError', failed.id, 'failing', 'TypeError', 'attempt 1 failed'],
        )
      }
      const cancelled = await executor.enqueue(obedient, { do: 'cancel' })
      for (const promise of [cancelled.result(), executor.job(cancelled.id).result()])
        await assert.rejects(promise, withCode('MILLRACE_JOB_CANCELLED', /told to cancel/))
      const pruned = await executor.enqueue(echo, 1)
      await pruned.result()
      for (let index = 0; index < 5; index++) await (await executor.enqueue(echo, index)).result()
      assert.equal(await executor.get(pruned.id), undefined)
      await assert.rejects(executor.job(pruned.id).result(), withCode('MILLRACE_JOB_PRUNED', /Raise retain/))
      assert.equal(await pruned.result(), 1, 'its own handle holds the outcome')
    })

    it('of five thousand handles is there long after the store has forgotten the jobs', async (t) => {
      const { executor } = await setup(t, { store, jobs, retain: { jobs: 0 }, durability: 'process' })
      const many = await executor.enqueueMany(
        echo,
        Array.from({ length: 5000 }, (_, index) => ({ index })),
      )
      const singles = await Promise.all(Array.from({ length: 500 }, (_, index) => executor.enqueue(echo, index)))
      const ends = await executor.enqueueMany(obedient, [{ do: 'fatal' }, { do: 'cancel' }])
      await executor.drain()
      const others = await executor.enqueueMany(nothing, Array.from({ length: 3000 }))
      await Promise.all(others.map((job) => job.result()))
      assert.deepEqual(await executor.counts(), {
        scheduled: 0,
        available: 0,
        running: 0,
        retryable: 0,
        completed: 0,
        cancelled: 0,
        discarded: 0,
      })
      assert.equal(await executor.get(many[0]!.id), undefined)
      for (const [index, job] of many.entries()) assert.deepEqual(await job.result(), { index })
      for (const [index, job] of singles.entries()) assert.equal(await job.result(), index)
      await assert.rejects(ends[0]!.result(), withCode('MILLRACE_JOB_FAILED'))
      await assert.rejects(ends[1]!.result(), withCode('MILLRACE_JOB_CANCELLED'))
    })

    it('of a large output nobody waited for comes from the store, or says that it was pruned', async (t) => {
      const { executor } = await setup(t, { store, jobs, retain: { jobs: 1 } })
      const job = await executor.enqueue(large, { bytes: 100_000 })
      await executor.drain()
      assert.equal((await job.result()).length, 100_000)
      await (await executor.enqueue(echo, 1)).result()
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_PRUNED'))
      const awaited = await executor.enqueue(large, { bytes: 100_000 })
      const result = awaited.result()
      await (await executor.enqueue(echo, 1)).result()
      assert.equal((await result).length, 100_000)
    })

    it('never hangs across close and reopen', async (t) => {
      const { executor, reopen } = await setup(t, { store, jobs, threads: 1 })
      const gate = new Gate(t)
      const running = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const waiting = await executor.enqueue(echo, 'waiting')
      const scheduled = await executor.enqueue(echo, 'scheduled', { delay: '1h' })
      const pending = [running, waiting, scheduled].flatMap((job) => [job.result(), executor.job(job.id).result()])
      const settled = Promise.allSettled(pending)
      await executor.close({ grace: 0 })
      for (const outcome of await settled) {
        assert.equal(outcome.status, 'rejected')
        withCode('MILLRACE_RESULT_PENDING', /The job lives on/)(outcome.reason)
      }
      const again = await reopen()
      gate.open()
      assert.equal(await again.job(running.id).result(), 'x')
      assert.equal(await again.job(waiting.id).result(), 'waiting')
      assert.equal(await again.cancel(scheduled.id, 'enough'), true)
      await assert.rejects(again.job(scheduled.id).result(), withCode('MILLRACE_JOB_CANCELLED', /enough/))
    })

    it('survives retries, snoozes and interruptions on its way', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const handles = await executor.enqueueMany(failing, [{ times: 2 }, { times: 0 }, { times: 1 }])
      const byId = handles.map(({ id }) => executor.job(id).result())
      for (let round = 0; round < 4; round++) {
        await executor.drain()
        clock.advance(60_000)
      }
      assert.deepEqual(await Promise.all(handles.map((job) => job.result())), [3, 1, 2])
      assert.deepEqual(await Promise.all(byId), [3, 1, 2])
    })
  })

  it(`ids are refused when they are none, or of another store, ${store}`, async (t) => {
    const one = await setup(t, { store, jobs, random: { next: () => 0.1 } })
    const other = await setup(t, { store, jobs, random: { next: () => 0.2 } })
    const job = await one.executor.enqueue(echo, 1)
    await other.executor.enqueue(echo, 1)
    for (const id of [job.id, '', '!'.repeat(20), `${job.id.slice(0, -1)}u`, 5 as unknown as string, null as unknown as string]) {
      const message = id === job.id ? /belongs to another store/ : /is not a job id/
      await assert.rejects(other.executor.get(id), withCode('MILLRACE_INVALID_ID', message))
      await assert.rejects(other.executor.cancel(id), withCode('MILLRACE_INVALID_ID', message))
      assert.throws(() => other.executor.job(id), withCode('MILLRACE_INVALID_ID', message))
    }
    // A number never given, of this very store.
    const unknown = `7zzzzzzzz0${job.id.slice(10)}`
    assert.equal(await one.executor.get(unknown), undefined)
    assert.equal(await one.executor.cancel(unknown), false)
    await assert.rejects(one.executor.job(unknown).result(), withCode('MILLRACE_JOB_PRUNED'))
    // More than a key of the store can hold: neither call may hurt the executor.
    for (const beyond of [`zzzzzzzzzz${job.id.slice(10)}`, `${job.id.slice(0, 10)}zzzzz${job.id.slice(15)}`]) {
      await assert.rejects(one.executor.get(beyond), withCode('MILLRACE_INVALID_ID'))
      await assert.rejects(one.executor.cancel(beyond), withCode('MILLRACE_INVALID_ID'))
    }
    assert.equal(await (await one.executor.enqueue(echo, 'alive')).result(), 'alive')
  })
}

it('handles that are let go cost nothing, also when their jobs are cancelled before they are due', async () => {
  const program = fileURLToPath(new URL('../../fixtures/executor/let-go.js', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', program])
  const { perJob } = JSON.parse(stdout) as { perJob: Record<string, number> }
  for (const [way, bytes] of Object.entries(perJob)) assert.ok(bytes < 60, `${Math.round(bytes)} bytes a job stay behind: ${way}`)
})
