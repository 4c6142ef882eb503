/** Limits beside everything else that can be said of jobs: unique keys, schedules, paused queues, bulk calls, threads that come and go, crashes. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { auditStore } from '../../../src/maintenance/store-audit.js'
import { gated, nothing } from '../../fixtures/executor/jobs.js'
import { heavy, perTenant, plain } from '../../fixtures/executor/limits.js'
import { assertConsistent, inState, listed, mortal, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const JOBS = [perTenant, plain, heavy, gated, nothing]
const HOUR_MS = 3_600_000

for (const store of STORES) {
  describe(`limits, ${store}`, () => {
    it('follow the input of a unique job that is replaced', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 1 })
      const queue = executor.queue('default')
      await queue.pause()
      const options = { unique: { key: 'u', onConflict: 'replace' } } as const
      const first = await executor.enqueue(perTenant, { tenant: 'a' }, options)
      for (const tenant of ['b', undefined, 'c', 'c']) {
        const next = await executor.enqueue(perTenant, { tenant }, options)
        assert.equal(next.id, first.id)
        const info = await executor.get(first.id)
        assert.equal(info?.limitKey, tenant)
        assert.equal(info?.state, 'available')
      }
      const [later, last] = await Promise.all([
        executor.enqueue(perTenant, { tenant: 'x' }, { unique: { key: 'v', onConflict: 'replace' } }),
        executor.enqueue(perTenant, { tenant: 'y' }, { unique: { key: 'v', onConflict: 'replace' } }),
      ])
      assert.equal(later.id, last.id)
      assert.equal((await executor.get(last.id))?.limitKey, 'y')
      await assertConsistent(executor)
      await queue.resume()
      assert.equal(await first.result(), 1)
      assert.equal(await last.result(), 1)
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
    })

    it('hold when a delayed unique job is put off, and when one waits for its retry', async (t) => {
      const clock = new FakeClock()
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 1, clock })
      const options = { delay: '1h', unique: { key: 'u', onConflict: 'debounce' } } as const
      const job = await executor.enqueue(perTenant, { tenant: 'a' }, options)
      assert.equal((await executor.enqueue(perTenant, { tenant: 'b' }, options)).id, job.id)
      assert.equal((await executor.get(job.id))?.limitKey, 'b')
      clock.advance(HOUR_MS)
      assert.equal(await job.result(), 1)
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
    })

    it('of a replaced job let it go at once when they allow more', async (t) => {
      const { executor } = await setup(t, { store, jobs: JOBS, threads: 2 })
      const gate = new Gate(t)
      const running = await executor.enqueue(gated, { gate: gate.name, tag: 'a' }, { limit: { key: 'k', max: 1 } })
      await gate.reached(1)
      const unique = { key: 'u', onConflict: 'replace' } as const
      const waiting = await executor.enqueue(plain, {}, { unique, limit: { key: 'k', max: 1 } })
      assert.equal((await executor.get(waiting.id))?.state, 'available')
      await executor.enqueue(plain, {}, { unique, limit: { key: 'k', max: 2 } })
      await waiting.result()
      gate.open()
      await running.result()
    })

    it('are in queues that are paused, bounded, drained, counted and purged', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 3 })
      const queue = executor.queue('default')
      await queue.pause()
      const tenants = Array.from({ length: 30 }, (_, index) => ({ tenant: `t${index % 10}` }))
      const handles = await executor.enqueueMany(perTenant, tenants)
      await executor.enqueueMany(plain, [{}, {}])
      const { available, running } = await queue.info()
      assert.deepEqual({ available, running }, { available: 32, running: 0 })
      assert.deepEqual(await executor.cancelMany({ queue: 'default', name: 'perTenant', limit: 7 }), { matched: 7, changed: 7 })
      assert.deepEqual(await executor.discardMany({ queue: 'default', limit: 4 }), { matched: 4, changed: 4 })
      assert.equal((await queue.info()).available, 21)
      assert.deepEqual(await executor.retryMany({ queue: 'default', state: ['cancelled', 'discarded'] }), {
        matched: 11,
        changed: 11,
      })
      assert.equal((await queue.info()).available, 32)
      await assertConsistent(executor)
      await queue.setConcurrency(1)
      await queue.resume()
      await queue.drain()
      for (const { state } of await listed(executor)) assert.equal(state, 'completed')
      assert.equal(await executor.job(handles[0]?.id ?? '').result(), 1)
      await queue.pause()
      await executor.enqueueMany(perTenant, tenants)
      assert.equal((await queue.purge({ state: 'available' })).changed, 30)
      assert.equal((await queue.info()).available, 0)
      await executor.close()
      assert.deepEqual(auditStore(await engine(), {}).problems, [])
    })

    it('hold for the runs of schedules', async (t) => {
      const clock = new FakeClock()
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 2, clock })
      const limit = { key: 'nightly', max: 1, rate: { max: 1, per: '3h' as const } }
      await executor.schedule('nightly', { every: '1h' }, plain, {}, { overlap: true, limit, weight: 2 })
      for (let hour = 0; hour < 3; hour++) {
        clock.advance(HOUR_MS)
        while ((await listed(executor)).length <= hour);
      }
      await executor.unschedule('nightly')
      while ((await listed(executor, { state: 'running' })).length > 0);
      const infos = await listed(executor)
      assert.deepEqual(new Set(infos.map(({ limitKey, weight }) => `${limitKey} ${weight}`)), new Set(['nightly 2']))
      assert.equal((await listed(executor, { state: 'available' })).length, infos.length - 1, 'its rate lets one begin')
      for (let over = 2; over <= infos.length; over++) {
        clock.advance(3 * HOUR_MS)
        while ((await listed(executor, { state: 'completed' })).length < over);
      }
      await executor.drain()
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
    })

    it('count in the age of what waits longest', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, {
        store,
        jobs: JOBS,
        threads: 1,
        clock,
        queues: { default: { rate: { max: 1, per: '1d' } } },
      })
      const oldest = (): number | undefined => executor.stats().queues['default']?.oldestWaitingMs
      await (await executor.enqueue(nothing, undefined)).result()
      const old = await executor.enqueueMany(perTenant, [{ tenant: 'a' }, { tenant: 'b' }])
      clock.advance(HOUR_MS)
      await executor.enqueue(nothing, undefined)
      await executor.enqueue(perTenant, { tenant: 'c' })
      clock.advance(HOUR_MS)
      await executor.counts()
      assert.equal(oldest(), 2 * HOUR_MS)
      for (const { id } of old) await executor.cancel(id)
      assert.equal(oldest(), HOUR_MS)
    })
  })
}

describe('threads and limits', () => {
  it('cannot be fewer than are reserved', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 3, reserve: { threads: 2, priority: 10 } })
    await assert.rejects(executor.setThreads(2), withCode('MILLRACE_INVALID_OPTIONS', /threads: 2 is not enough; 2 are reserved/))
    await executor.setThreads(3)
  })

  it('are reserved whichever of them stay', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 2, reserve: { threads: 1, priority: 10 } })
    for (const threads of [5, 2, 4, 2]) await executor.setThreads(threads)
    const gate = new Gate(t)
    const low = await Promise.all(['a', 'b', 'c'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
    await gate.reached(1)
    await (await executor.enqueue(plain, {}, { priority: 10 })).result()
    assert.equal(gate.arrived.length, 1)
    await executor.setThreads(3)
    await gate.reached(2)
    await (await executor.enqueue(plain, {}, { priority: 10 })).result()
    assert.equal(gate.arrived.length, 2)
    gate.open()
    await Promise.all(low.map((job) => job.result()))
  })

  it('that a heavy job waits for may become fewer, or its queue narrower', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 4 })
    const gate = new Gate(t)
    const running = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
    await gate.reached(2)
    const all = await executor.enqueue(plain, {}, { weight: 4 })
    await executor.counts()
    await executor.setThreads(2)
    gate.open()
    await Promise.all([...running, all].map((job) => job.result()))
    const again = await executor.enqueue(gated, { gate: gate.name, tag: 'c' })
    const two = await executor.enqueue(plain, {}, { weight: 2 })
    await executor.queue('default').setConcurrency(1)
    await Promise.all([again, two].map((job) => job.result()))
  })

  it('are not counted as lent by a heavy job whose queue is paused', async (t) => {
    const queues = { default: {}, other: {} }
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 2, queues })
    const gate = new Gate(t)
    const running = await executor.enqueue(gated, { gate: gate.name, tag: 'a' })
    await gate.reached(1)
    const waiting = await executor.enqueue(plain, {}, { weight: 2 })
    await executor.counts()
    await executor.queue('default').pause()
    await (await executor.enqueue(plain, {}, { queue: 'other' })).result()
    gate.open()
    await running.result()
    assert.equal((await executor.get(waiting.id))?.state, 'available')
    await executor.queue('default').resume()
    await waiting.result()
  })
})

describe('limits after a crash', () => {
  it('let a suspect rest until its rate lets it begin, and others run meanwhile', async (t) => {
    const clock = new FakeClock()
    const { engine, remains, crash } = mortal()
    const limit = { key: 'api', max: 9, rate: { max: 2, per: '1h' as const } }
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 2, clock, engine })
    const gate = new Gate(t)
    const handles = await Promise.all(
      ['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { limit, timeout: Infinity })),
    )
    await gate.reached(2)
    crash()
    // Its close waits for threads; the time of day goes on for the next one alone.
    clock.runFreely()
    await executor.close({ grace: 0 })
    const later = new FakeClock(clock.now())
    const again = await reopen({ engine: remains, clock: later })
    await (await again.enqueue(nothing, undefined)).result()
    assert.equal(gate.arrived.length, 2, 'neither has begun again')
    assert.equal((await again.counts()).available, 2)
    gate.open()
    later.advance(HOUR_MS)
    await Promise.all(handles.map(({ id }) => again.job(id).result()))
    assert.equal(gate.arrived.length, 4)
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })

  it('hold for what is put back into its lane', async (t) => {
    const { engine, remains, crash } = mortal()
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 1, engine })
    const gate = new Gate(t)
    const limit = { key: 'k', max: 1 }
    const handles = await Promise.all(
      ['a', 'b', 'c'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { limit, maxRetries: 2 })),
    )
    await gate.reached(1)
    crash()
    await executor.close({ grace: 0 })
    const again = await reopen({ engine: remains, threads: 3 })
    await gate.reached(2)
    assert.equal((await again.counts()).running, 1)
    gate.open()
    await Promise.all(handles.map(({ id }) => again.job(id).result()))
    for (const { id } of handles) await inState(again, id, 'completed')
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })
})
