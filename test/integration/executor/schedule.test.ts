/** Delays, instants and retries, by a clock turned by hand. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import type { JobDefinition } from '../../../src/job/define-job.js'
import * as backoffJobs from '../../fixtures/executor/backoff-jobs.js'
import { echo, ticket } from '../../fixtures/executor/jobs.js'
import { assertConsistent, listed, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'

const { byDefault, fixed, linear, exponential, capped, jittered, custom, ofInput, customOfInput, choosy } = backoffJobs
const failing = [byDefault, fixed, linear, exponential, capped, jittered, custom, ofInput, customOfInput]
const jobs = [echo, ticket, choosy, ...failing, backoffJobs.brokenCustom, backoffJobs.uselessCustom]

/** The waits before each retry of a job, and how it ended. */
async function waitsOf(executor: Executor, clock: FakeClock, definition: JobDefinition<backoffJobs.Input>, times: number) {
  const waits: number[] = []
  const enqueued = executor.enqueue(definition, { times })
  for (;;) {
    const retried = nextEvent(executor, 'retried')
    const over = Promise.race([nextEvent(executor, 'completed'), nextEvent(executor, 'discarded')])
    const { id } = await enqueued
    const event = await Promise.race([retried, over])
    const info = await executor.get(id)
    assert.ok(info)
    if (!('runAt' in event)) return { waits, info }
    assert.equal(info.state, 'retryable')
    assert.equal(info.runAt, event.runAt)
    assert.equal(event.snoozed, false)
    assert.equal(info.attempt, waits.length + 2)
    waits.push(event.runAt - clock.now())
    // A millisecond too early nothing happens.
    clock.advance(event.runAt - clock.now() - 1)
    await executor.drain()
    assert.equal((await executor.get(id))?.state, 'retryable')
    clock.advance(1)
  }
}

describe('a retry waits', () => {
  const cases: readonly (readonly [string, JobDefinition<backoffJobs.Input>, number, readonly number[]])[] = [
    ['2, 4, 8, 16, 32 s by default', byDefault, 5, [2000, 4000, 8000, 16_000, 32_000]],
    ['the same each time', fixed, 4, [3000, 3000, 3000, 3000]],
    ['a step more each time', linear, 4, [10_000, 20_000, 30_000, 40_000]],
    ['by the powers of another base', exponential, 4, [3000, 9000, 27_000, 81_000]],
    ['no longer than the cap', capped, 4, [10_000, 60_000, 60_000, 60_000]],
    ['less by the jitter', jittered, 4, [8750, 8750, 8750, 8750]],
    ['what a function of the failure says', custom, 4, [1047, 2047, 3047, 4047]],
    ['what a function of the input says', ofInput, 4, [400, 400, 400, 400]],
    ['what a function that a function of the input gives says', customOfInput, 3, [3, 6, 9]],
  ]
  for (const [name, definition, times, expected] of cases) {
    it(name, async (t) => {
      const clock = new FakeClock()
      const random = { next: () => 0.25 }
      const { executor } = await setup(t, { store: 'memory', jobs, clock, random })
      const { waits, info } = await waitsOf(executor, clock, definition, times)
      assert.deepEqual(waits, expected)
      assert.deepEqual([info.state, info.output, info.attempt], ['completed', times + 1, times + 1])
      assert.deepEqual(
        info.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
        Array.from({ length: times + 1 }, (_, index) => [index + 1, index < times ? 'failed' : 'completed']),
      )
      const [first] = info.attempts
      assert.deepEqual(
        [first?.error?.name, first?.error?.message, first?.error?.code, first?.error?.data],
        ['Error', 'attempt 1', 'E_TEST', { detail: { times } }],
      )
      assert.match(first?.error?.stack ?? '', /backoff-jobs/)
      await assertConsistent(executor)
    })
  }

  it('by the default when the custom function throws or gives no duration, and says so', async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store: 'memory', jobs, clock })
    for (const [definition, message] of [
      [backoffJobs.brokenCustom, /broken-custom.*no idea/],
      [backoffJobs.uselessCustom, /useless-custom.*'later'/],
    ] as const) {
      const error = nextEvent(executor, 'error')
      const { waits } = await waitsOf(executor, clock, definition, 1)
      assert.deepEqual(waits, [2000])
      assert.match((await error).error.message, message)
    }
  })

  it('and when none is left, the job is discarded with the last error', async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store: 'memory', jobs, clock })
    const { waits, info } = await waitsOf(executor, clock, fixed, 99)
    assert.equal(waits.length, 4)
    assert.deepEqual([info.state, info.attempt, info.attempts.length, info.error?.message], ['discarded', 5, 5, 'attempt 5'])
    await assert.rejects(executor.job(info.id).result(), withCode('MILLRACE_JOB_FAILED', /attempt 5/))
    await assertConsistent(executor)
  })

  it('nothing when no retries are allowed, and for ever when all are', async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store: 'memory', jobs, clock })
    const none = await executor.enqueue(fixed, { times: 1 }, { maxRetries: 0 })
    await assert.rejects(none.result(), withCode('MILLRACE_JOB_FAILED'))
    const all = await executor.enqueue(fixed, { times: 30 }, { maxRetries: Infinity, backoff: { type: 'fixed', delay: 0 } })
    assert.equal(await all.result(), 31)
    const info = await executor.get(all.id)
    assert.equal(info?.attempts.length, 20, 'attempts are capped')
    assert.deepEqual([info.attempts[0]?.attempt, info.attempts[1]?.attempt, info.attempts.at(-1)?.attempt], [1, 13, 31])
  })
})

for (const store of STORES) {
  describe(`scheduled jobs, ${store}`, () => {
    it('become due in order of time, then of enqueueing', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, threads: 1 })
      const start = clock.now()
      const delays = [5000, 1000, 5000, 3000, 1000, 0, 4999, 5000]
      const handles = await Promise.all(delays.map((delay, index) => executor.enqueue(ticket, index, { delay })))
      const single = await executor.enqueue(ticket, 'at', { runAt: new Date(start + 4999) })
      const infos = await listed(executor, { state: 'scheduled' })
      assert.deepEqual(
        infos.map(({ runAt }) => (runAt ?? 0) - start),
        [1000, 1000, 3000, 4999, 4999, 5000, 5000, 5000],
      )
      await executor.drain()
      clock.advance(4998)
      await executor.drain()
      assert.deepEqual((await executor.counts()).completed, 4)
      clock.jump(2)
      clock.advance(30_000)
      const order = await Promise.all([...handles, single].map((job) => job.result()))
      const expected = [7, 2, 8, 4, 3, 1, 5, 9, 6]
      assert.deepEqual(order, expected)
      await assertConsistent(executor)
    })

    it('run at once when the instant has passed', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      for (const options of [{ runAt: 0 }, { runAt: new Date(0) }, { runAt: clock.now() }, { delay: 0 }, { runAt: -5 }]) {
        const job = await executor.enqueue(echo, 1, options)
        assert.equal(await job.result(), 1)
        assert.equal((await executor.get(job.id))?.runAt, undefined)
      }
    })

    it('wait as long as asked, to the end of time', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen } = await setup(t, { store, jobs, clock })
      const instants = [clock.now() + 1, Date.UTC(2999, 0, 1), Date.UTC(12_000, 0, 1), 8.64e15 - 1, 8.64e15]
      const handles = await Promise.all(instants.map((runAt) => executor.enqueue(echo, runAt, { runAt })))
      const shown = async (from: Executor): Promise<unknown[]> =>
        await Promise.all(handles.map(async ({ id }) => (await from.get(id))?.runAt))
      assert.deepEqual(await shown(executor), instants)
      clock.advance(1)
      assert.equal(await handles[0]!.result(), instants[0])
      clock.jump(Date.UTC(2999, 0, 1) - clock.now())
      clock.advance(30_000)
      assert.equal(await handles[1]!.result(), instants[1])
      await executor.drain()
      assert.equal((await executor.counts()).scheduled, 3)
      assert.equal(await executor.cancel(handles[4]!.id), true)
      await executor.close()
      const again = await reopen()
      assert.deepEqual((await shown(again)).slice(2, 4), instants.slice(2, 4))
      await assertConsistent(again)
    })

    it('are found by a jump of the wall clock within the cap, and wait on when it is set back', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const hour = 60 * 60 * 1000
      const job = await executor.enqueue(echo, 1, { delay: hour })
      clock.jump(-hour)
      clock.advance(hour)
      await executor.drain()
      assert.equal((await executor.get(job.id))?.state, 'scheduled', 'it ran an hour early')
      clock.jump(hour)
      clock.advance(30_000)
      assert.equal(await job.result(), 1)
    })

    it('that are due all at once come in bounded steps, all of them', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, threads: 1, durability: 'process', retain: { jobs: 3000 } })
      const handles = await Promise.all(
        Array.from({ length: 2500 }, (_, index) => executor.enqueue(ticket, index, { delay: 1000 + (index % 700) })),
      )
      clock.advance(60_000)
      const order = await Promise.all(handles.map((job) => job.result()))
      const expected = Array.from({ length: 2500 }, (_, index) => index).sort(
        (left, right) => (left % 700) - (right % 700) || left - right,
      )
      assert.deepEqual(
        expected.map((index) => order[index]),
        Array.from({ length: 2500 }, (_, index) => index + 1),
      )
      await assertConsistent(executor)
    })

    it('are due at the reopen when their time came while nobody was there', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen } = await setup(t, { store, jobs, clock })
      const handles = await executor.enqueueMany(echo, [1, 2, 3], { delay: '1h' })
      const retried = await executor.enqueue(choosy, { by: 'retry', ms: 5000 })
      await nextEvent(executor, 'retried')
      await executor.close()
      clock.jump(2 * 60 * 60 * 1000)
      const again = await reopen()
      await again.drain()
      for (const { id } of [...handles, retried]) assert.equal((await again.get(id))?.state, 'completed')
      assert.equal((await again.get(retried.id))?.output, 2)
      await assertConsistent(again)
    })
  })

  it(`a handler's own waits are kept exactly, ${store}`, async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store, jobs, clock })
    const snoozing = await executor.enqueue(choosy, { by: 'snooze', ms: 7000 })
    for (let round = 0; round < 5; round++) {
      const event = await nextEvent(executor, 'retried')
      assert.deepEqual([event.snoozed, event.runAt - clock.now()], [true, 7000])
      const info = await executor.get(snoozing.id)
      assert.deepEqual([info?.state, info?.attempt, info?.attempts.length], ['retryable', 1, round + 1], 'a snooze was charged')
      assert.equal(info?.attempts.at(-1)?.outcome, 'snoozed')
      if (round < 4) clock.advance(7000)
    }
    const choosing = await executor.enqueue(choosy, { by: 'retry', ms: 1234 })
    const event = await nextEvent(executor, 'retried', ({ job }) => job.id === choosing.id)
    assert.deepEqual([event.snoozed, event.runAt - clock.now()], [false, 1234])
    clock.advance(1234)
    assert.equal(await choosing.result(), 2)
    const fatal = await executor.enqueue(choosy, { by: 'fatal', ms: 0 })
    await assert.rejects(fatal.result(), withCode('MILLRACE_JOB_FAILED', /FatalError: for good/))
    assert.equal((await executor.get(fatal.id))?.attempts.length, 1)
    assert.equal(await executor.cancel(snoozing.id), true)
    await assertConsistent(executor)
  })
}
