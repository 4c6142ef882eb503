/** Cancelling, wherever the job is. Running jobs that do not listen belong to the tests of threads. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JobInfo } from '../../../src/job/job-info.js'
import { echo, gated, nothing, obedient, patient, ticket } from '../../fixtures/executor/jobs.js'
import { assertConsistent, listed, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const jobs = [echo, gated, nothing, obedient, patient, ticket]

for (const store of STORES) {
  describe(`cancel, ${store}`, () => {
    it('ends a scheduled job, which then never runs', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const job = await executor.enqueue(echo, 1, { delay: '1h' })
      assert.equal(await executor.cancel(job.id, 'not needed'), true)
      const info = (await executor.get(job.id)) as JobInfo
      assert.equal(info.state, 'cancelled')
      assert.deepEqual(info.error, { name: 'Cancelled', message: 'not needed' })
      assert.deepEqual(info.attempts, [])
      assert.equal(info.runAt, undefined)
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_CANCELLED', /not needed/))
      await assert.rejects(executor.job(job.id).result(), withCode('MILLRACE_JOB_CANCELLED', /not needed/))
      assert.equal(await executor.cancel(job.id), false)
      clock.advance(2 * 60 * 60 * 1000)
      await executor.drain()
      assert.deepEqual(await executor.get(job.id), info)
      await assertConsistent(executor)
    })

    it('ends several jobs of one delayed page in one turn', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen } = await setup(t, { store, jobs, clock })
      const handles = await executor.enqueueMany(echo, [0, 1, 2, 3, 4], { delay: 1000 })
      const [first, second, third] = handles as [(typeof handles)[0], (typeof handles)[0], (typeof handles)[0]]
      assert.deepEqual(await Promise.all([first, second, third].map(({ id }) => executor.cancel(id))), [true, true, true])
      await assertConsistent(executor, 'after the cancels')
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), scheduled: 2, cancelled: 3 })
      const ran: string[] = []
      executor.on('completed', ({ job }) => ran.push(job.id))
      clock.advance(1000)
      assert.deepEqual(await Promise.all(handles.slice(3).map((job) => job.result())), [3, 4])
      await executor.drain()
      assert.deepEqual(
        ran.sort(),
        handles.slice(3).map(({ id }) => id),
        'a cancelled job ran',
      )
      await assertConsistent(executor, 'after the run')
      await executor.close()
      await assertConsistent(await reopen(), 'after the reopen')
    })

    it('counts a delayed job once that two callers cancel in one turn', async (t) => {
      const { executor } = await setup(t, { store, jobs, clock: new FakeClock() })
      const [one, other] = await executor.enqueueMany(echo, [1, 2], { delay: 1000 })
      const answers = await Promise.all([executor.cancel(one!.id, 'a'), executor.cancel(one!.id, 'b')])
      assert.ok(answers.includes(true))
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), scheduled: 1, cancelled: 1 })
      const single = await executor.enqueue(echo, 3, { delay: 1000 })
      await Promise.all([executor.cancel(single.id), executor.cancel(single.id), executor.cancel(other!.id)])
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), scheduled: 0, cancelled: 3 })
      await assertConsistent(executor)
    })

    it('wins against a job that becomes due in the same turn, or loses, but not both', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const handles = await executor.enqueueMany(echo, [0, 1, 2], { delay: 1000 })
      const outcome = executor.cancel(handles[1]!.id)
      clock.advance(1000)
      const cancelled = await outcome
      await executor.drain()
      const info = await executor.get(handles[1]!.id)
      assert.equal(info?.state, cancelled ? 'cancelled' : 'completed')
      await assertConsistent(executor)
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), completed: 2, cancelled: 1, scheduled: 0 })
    })

    it('answers a look at the job in the same turn as before or after, never with nothing', async (t) => {
      const { executor } = await setup(t, { store, jobs, threads: 1 })
      const gate = new Gate(t)
      const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const job = await executor.enqueue(echo, 1)
      const [cancelled, info, result] = await Promise.all([
        executor.cancel(job.id),
        executor.get(job.id),
        executor
          .job(job.id)
          .result()
          .catch((error: unknown) => error),
      ])
      assert.equal(cancelled, true)
      assert.ok(info !== undefined, 'get found nothing')
      assert.ok(['available', 'running', 'cancelled'].includes(info.state), info.state)
      withCode('MILLRACE_JOB_CANCELLED')(result)
      gate.open()
      await holder.result()
    })

    it('ends a waiting job among others of its page, which run', async (t) => {
      const { executor, reopen } = await setup(t, { store, jobs, threads: 1 })
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const handles = await executor.enqueueMany(
        echo,
        Array.from({ length: 600 }, (_, index) => index),
      )
      const victims = handles.filter((_, index) => index % 3 === 1)
      const answers = await Promise.all(victims.map(({ id }, index) => executor.cancel(id, `no ${index}`)))
      assert.ok(answers.every(Boolean))
      await assertConsistent(executor, 'before')
      gate.open()
      await executor.drain()
      await assertConsistent(executor, 'after')
      const counts = await executor.counts()
      assert.deepEqual([counts.completed, counts.cancelled, counts.available], [401, 200, 0])
      for (const [index, victim] of victims.entries())
        await assert.rejects(victim.result(), withCode('MILLRACE_JOB_CANCELLED', new RegExp(`no ${index}\\.`)))
      await executor.close()
      await assertConsistent(await reopen(), 'reopened')
    })

    it('knows a running job that was taken back from one thread and given to another', async (t) => {
      const { executor } = await setup(t, { store, jobs, threads: 2, abortGrace: 0 })
      const gate = new Gate(t)
      // Two for each thread: the second one waits behind the first until the other thread has nothing left to do.
      const handles = await Promise.all([
        executor.enqueue(gated, { gate: gate.name, tag: 'a' }),
        executor.enqueue(gated, { gate: gate.name, tag: 'b' }),
        executor.enqueue(nothing, undefined),
        executor.enqueue(nothing, undefined),
      ])
      await gate.reached(2)
      const [, second] = handles
      assert.equal((await executor.get(second!.id))?.state, 'running')
      assert.equal(await executor.cancel(second!.id), true)
      assert.equal((await executor.get(second!.id))?.attempts[0]?.outcome, 'cancelled', 'it was running when it was cancelled')
      gate.open()
      await executor.drain()
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), completed: 3, cancelled: 1, available: 0 })
      await assertConsistent(executor)
    })

    it('ends a running job that listens to its signal', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      const job = await executor.enqueue(patient, 1)
      await nextEvent(executor, 'progress')
      const event = nextEvent(executor, 'cancelled')
      assert.equal(await executor.cancel(job.id, 'enough'), true)
      const info = await executor.get(job.id)
      assert.equal(info?.state, 'cancelled')
      assert.deepEqual(
        info.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
        [[1, 'cancelled']],
      )
      assert.deepEqual(await event, { job: { id: job.id, name: 'patient', queue: 'default' }, reason: 'enough' })
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_CANCELLED', /enough/))
      await assertConsistent(executor)
    })

    it('ends a retryable job', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const job = await executor.enqueue(obedient, { do: 'fail' })
      await nextEvent(executor, 'retried')
      assert.equal((await executor.get(job.id))?.state, 'retryable')
      assert.equal(await executor.cancel(job.id), true)
      const info = await executor.get(job.id)
      assert.equal(info?.state, 'cancelled')
      assert.equal(info.error, undefined)
      assert.equal(info.attempts.length, 1, 'what it had behind it is kept')
      clock.advance(1_000_000)
      await executor.drain()
      await assertConsistent(executor)
    })

    it('answers false for what is over, and refuses what is no id', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      const job = await executor.enqueue(echo, 1)
      await job.result()
      assert.equal(await executor.cancel(job.id), false)
      for (const id of ['', 'x', job.id.slice(1), `${job.id}0`, job.id.toUpperCase(), undefined as unknown as string])
        await assert.rejects(executor.cancel(id), withCode('MILLRACE_INVALID_ID'))
    })
  })

  it(`cancelling the last page behind a full window neither hangs nor spins, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs, threads: 1 })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    // A page of its own each: far more pages than a window holds.
    const handles = await executor.enqueueMany(
      echo,
      Array.from({ length: 200 }, () => 'x'.repeat(17_000)),
    )
    await executor.cancel(handles.at(-1)!.id)
    gate.open()
    await executor.drain()
    assert.equal((await executor.counts()).completed, 200)
    const { commits } = executor.stats().store
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(executor.stats().store.commits, commits)
  })

  it(`a store whose last jobs were cancelled before they were read drains, ${store}`, async (t) => {
    const { executor, reopen } = await setup(t, { store, jobs, threads: 1 })
    const gate = new Gate(t)
    const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    const handles = await executor.enqueueMany(
      echo,
      Array.from({ length: 100 }, () => 'x'.repeat(17_000)),
    )
    await executor.close({ grace: 0 })
    const again = await reopen()
    // The held job comes first again, so that the others still wait.
    for (const { id } of handles.slice(-30)) assert.equal(await again.cancel(id), true)
    assert.equal(await again.cancel(holder.id), true)
    await again.drain()
    assert.equal((await listed(again, { state: 'available' })).length, 0)
    await assertConsistent(again)
  })
}
