/** `startBefore` and `retryIf` beyond what the README's table tells: what they count from, who wins, and what they leave alone. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EXPIRE_JOBS } from '../../../src/base/limits.js'
import { defineJob } from '../../../src/job/define-job.js'
import { picky, pickyAndStopped } from '../../fixtures/docs/outcome-jobs.js'
import { echo, gated, span } from '../../fixtures/executor/jobs.js'
import { hasty, urgent } from '../../fixtures/executor/deadline-jobs.js'
import type { Executor } from '../../../src/executor/executor.js'
import { assertConsistent, inState, mortal, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'
import { tempDirectory } from '../../support/temp-directory.js'

const jobs = [echo, gated, hasty, urgent, picky, pickyAndStopped]
const MINUTE = 60_000

/** One job runs in the only thread, and one waits there. */
async function occupy(executor: Executor, gate: Gate): Promise<void> {
  for (const tag of ['running', 'next'])
    await inState(executor, (await executor.enqueue(gated, { gate: gate.name, tag })).id, 'running')
  await gate.reached(1)
}

for (const store of STORES) {
  describe(`startBefore, ${store}`, () => {
    it('counts from the enqueue, from when a delayed job becomes available, or is an instant', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen, engine } = await setup(t, { store, jobs, clock, threads: 1 })
      const begin = clock.now()
      const gate = new Gate(t)
      await occupy(executor, gate)
      const cases = [
        { job: await executor.enqueue(echo, 'span', { startBefore: '10m' }), at: 10 },
        { job: await executor.enqueue(echo, 'delayed', { startBefore: '10m', delay: '5m' }), at: 15 },
        { job: await executor.enqueue(echo, 'instant', { startBefore: begin + 12 * MINUTE }), at: 12 },
        { job: await executor.enqueue(echo, 'date', { startBefore: new Date(begin + 8 * MINUTE), delay: '5m' }), at: 8 },
        { job: await executor.enqueue(hasty, 'definition'), at: 10 },
        { job: await executor.enqueue(hasty, 'option', { startBefore: '11m' }), at: 11 },
        { job: await executor.enqueue(urgent, { minutes: 9 }), at: 9 },
        { job: await executor.enqueue(urgent, { minutes: 9 }, { startBefore: Infinity }), at: undefined },
        { job: await executor.enqueue(hasty, 'never', { startBefore: Infinity }), at: undefined },
      ]
      for (const { job, at } of cases) {
        const info = await executor.get(job.id)
        assert.equal(info?.startBefore, at === undefined ? undefined : begin + at * MINUTE, JSON.stringify(info?.input))
      }
      clock.advance(5 * MINUTE)
      clock.advance(6 * MINUTE)
      await executor.get(cases[0]!.job.id)
      gate.open()
      await executor.drain()
      for (const { job, at } of cases) {
        const info = await executor.get(job.id)
        // At the instant itself it is too late.
        const state = at === undefined || at > 11 ? 'completed' : 'discarded'
        assert.equal(info?.state, state, JSON.stringify(info?.input))
        if (state === 'completed') continue
        assert.deepEqual(
          [info?.attempt, info?.attempts, info?.error?.name, info?.error?.code],
          [1, [], 'ExpiredError', 'MILLRACE_EXPIRED'],
        )
        const late = 11 - at!
        assert.match(info?.error?.message ?? '', new RegExp(`had to begin before 2030-.*, and its turn came ${late} m(s)? later`))
        await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED', /had to begin/))
      }
      await assertConsistent(executor)
      await executor.close()
      assert.deepEqual(checkStore(await engine(), { keepsAll: true }), [])
      const again = await reopen()
      assert.equal((await again.get(cases[0]!.job.id))?.state, 'discarded')
    })

    it('discards any number in bounded steps, and holds up nobody for good', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, threads: 1, retain: { jobs: Infinity } })
      const gate = new Gate(t)
      await occupy(executor, gate)
      const late = Array.from({ length: 3 * EXPIRE_JOBS + 7 }, (_, index) => index)
      const handles = await executor.enqueueMany(echo, late, { startBefore: '1m' })
      const [first] = await executor.enqueueMany(echo, ['behind'])
      let discarded = 0
      executor.on('discarded', () => discarded++)
      clock.advance(MINUTE)
      gate.open()
      assert.equal(await first?.result(), 'behind')
      await executor.drain()
      const counts = await executor.counts()
      assert.deepEqual([counts.discarded, counts.completed, counts.available, discarded], [late.length, 3, 0, late.length])
      await assert.rejects(handles.at(-1)!.result(), withCode('MILLRACE_JOB_FAILED'))
      await assertConsistent(executor)
    })

    it('leaves a job alone that has a run behind it', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen } = await setup(t, { store, jobs, clock, threads: 1, abortGrace: 0 })
      const gate = new Gate(t)
      const retried = nextEvent(executor, 'retried')
      const failed = await executor.enqueue(picky, { answer: 'true', how: 'throws' }, { startBefore: '1m', maxRetries: 1 })
      await retried
      const interrupted = await executor.enqueue(gated, { gate: gate.name, tag: 'a' }, { startBefore: '1m' })
      await gate.reached(1)
      assert.equal((await executor.get(failed.id))?.startBefore, undefined)
      let isClosed = false
      const closing = executor.close({ grace: 0 }).finally(() => (isClosed = true))
      // Each stage of a close waits for the clock.
      for (; !isClosed; clock.advance(100)) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(await closing, { interrupted: [interrupted.id] })
      clock.jump(2 * 60 * MINUTE)
      gate.open()
      const again = await reopen()
      await again.drain()
      assert.equal((await again.get(interrupted.id))?.state, 'completed')
      assert.equal((await again.get(failed.id))?.attempts.length, 2)
      await assertConsistent(again)
    })
  })
}

it('startBefore holds for a job that its thread has been handed behind another one', async (t) => {
  // No time passes for the executor, which would take it back: only the thread sees that it is late.
  const { executor } = await setup(t, { store: 'memory', jobs: [span, echo], threads: 1, clock: new FakeClock() })
  const started: string[] = []
  executor.on('started', ({ job }) => started.push(job.id))
  const busy = await executor.enqueue(span, { ms: 200 })
  await inState(executor, busy.id, 'running')
  const late = await executor.enqueue(echo, 'late', { startBefore: '50ms' })
  const early = await executor.enqueue(echo, 'early', { startBefore: '1h' })
  assert.equal((await executor.get(late.id))?.state, 'running', 'it is not in the thread: the check proves nothing')
  await assert.rejects(late.result(), withCode('MILLRACE_JOB_FAILED', /had to begin/))
  assert.equal(await early.result(), 'early')
  const info = await executor.get(late.id)
  assert.deepEqual([info?.state, info?.attempts, info?.error?.code], ['discarded', [], 'MILLRACE_EXPIRED'])
  assert.deepEqual(started, [busy.id, early.id])
  await assertConsistent(executor)
})

it('a process that dies while jobs expire leaves each of them waiting or discarded', async (t) => {
  const clock = new FakeClock()
  const { engine, remains, crash } = mortal()
  const { executor } = await setup(t, { engine, jobs, clock, threads: 1 })
  executor.on('error', () => undefined)
  const handles = await executor.enqueueMany(echo, [1, 2, 3], { startBefore: '1m', delay: '2m' })
  const results = handles.map((job) => assert.rejects(job.result(), /the process is dead/))
  clock.jump(4 * MINUTE)
  crash()
  clock.advance(MINUTE)
  await Promise.all(results)
  await executor.close()
  const { executor: next } = await setup(t, { engine: remains, jobs, clock, threads: 1 })
  await next.drain()
  for (const { id } of handles) assert.equal((await next.get(id))?.error?.code, 'MILLRACE_EXPIRED')
  await assertConsistent(next)
  await next.close()
  assert.deepEqual(checkStore(remains, { keepsAll: true }), [])
})

describe('retryIf', () => {
  it('is not asked about a FatalError, a RetryError, or an output that cannot be stored', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs })
    const once = { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } } as const
    for (const [how, runs] of [
      ['fatal', 1],
      ['retry', 2],
      ['output', 2],
    ] as const) {
      // It would say the opposite.
      const job = await executor.enqueue(picky, { answer: how === 'fatal' ? 'true' : 'false', how }, once)
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED'))
      assert.equal((await executor.get(job.id))?.attempts.length, runs, how)
    }
  })

  it('says in the error event what is wrong with it', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs })
    for (const [answer, message] of [
      ['throws', /The retryIf of job "picky": it threw TypeError: no idea; the job is retried/],
      ['promise', /it returned an object \(Promise\), neither true nor false/],
      ['nothing', /it returned undefined, neither true nor false/],
    ] as const) {
      const told = nextEvent(executor, 'error')
      const { id } = await executor.enqueue(picky, { answer, how: 'rejects' })
      const { error, jobId } = await told
      assert.match(error.message, message)
      assert.equal(jobId, id)
    }
  })

  it('does not make a failure of what a close has stopped, nor of what was cancelled', async (t) => {
    const { executor, reopen } = await setup(t, { store: 'memory', jobs, threads: 1 })
    const gate = new Gate(t)
    const cancelled = await executor.enqueue(pickyAndStopped, gate.name)
    await gate.reached(1)
    assert.equal(await executor.cancel(cancelled.id), true)
    assert.equal((await executor.get(cancelled.id))?.state, 'cancelled')
    const closed = await executor.enqueue(pickyAndStopped, gate.name)
    await gate.reached(2)
    assert.deepEqual(await executor.close({ grace: 0 }), { interrupted: [closed.id] })
    const next = await reopen({ jobs: [] })
    const info = await next.get(closed.id)
    assert.deepEqual([info?.state, info?.attempts.map(({ outcome }) => outcome)], ['available', ['interrupted']])
  })

  it('is taken from the module of a handler that lies apart', async (t) => {
    const file = join(await tempDirectory(t), 'apart.handler.mjs')
    writeFileSync(
      file,
      `export const run = (message) => { throw new RangeError(message) }
       export const retryIf = (error) => error instanceof RangeError && error.message !== 'hopeless'`,
    )
    const apart = defineJob({ name: 'apart', module: pathToFileURL(file), maxRetries: 1, backoff: { type: 'fixed', delay: 0 } })
    const { executor } = await setup(t, { store: 'memory', jobs: [apart] })
    for (const [message, runs] of [
      ['hopeless', 1],
      ['perhaps', 2],
    ] as const) {
      const job = await executor.enqueue(apart, message)
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED', new RegExp(message)))
      assert.equal((await executor.get(job.id))?.attempts.length, runs)
    }
  })
})
