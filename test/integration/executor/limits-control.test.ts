/** Limits beside everything else that can be said of jobs: unique keys, schedules, paused queues, bulk calls, threads that come and go. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { auditStore } from '../../../src/maintenance/store-audit.js'
import type { JobHandle } from '../../../src/executor/job-handle.js'
import { gated, nothing } from '../../fixtures/executor/jobs.js'
import { heavy, perTenant, plain } from '../../fixtures/executor/limits.js'
import { assertConsistent, listed, setup, STORES, withCode } from '../../support/executor.js'
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
      assert.notEqual((await executor.get(waiting.id))?.state, 'available', 'it was claimed in the commit that changed it')
      await waiting.result()
      gate.open()
      await running.result()
    })

    it('of a replaced job are those of its new key, and both keys are exact', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 5 })
      const gate = new Gate(t)
      const queue = executor.queue('default')
      const enqueue = (tag: string, key: string): Promise<JobHandle<string>> =>
        executor.enqueue(gated, { gate: gate.name, tag }, { limit: { key, max: 1 }, unique: { key: tag, onConflict: 'replace' } })
      const states = async (handles: readonly JobHandle<string>[]): Promise<unknown[]> =>
        await Promise.all(handles.map(async ({ id }) => (await executor.get(id))?.state))
      const first = await enqueue('first', 'a')
      await gate.reached(1)
      const second = await enqueue('second', 'a')
      assert.deepEqual(await states([first, second]), ['running', 'available'])
      await enqueue('second', 'b')
      assert.deepEqual(await states([first, second]), ['running', 'running'], 'its new key is free')
      await gate.reached(2)
      const third = await enqueue('third', 'b')
      assert.deepEqual(await states([third]), ['available'], 'its key is that of the second by now')
      await queue.pause()
      const fourth = await enqueue('fourth', 'c')
      await enqueue('fourth', 'a')
      await enqueue('third', 'd')
      await queue.resume()
      assert.deepEqual(await states([third, fourth]), ['running', 'available'], 'the new key of the fourth is taken')
      await assertConsistent(executor)
      gate.open()
      await Promise.all([first, second, third, fourth].map((job) => job.result()))

      await queue.pause()
      const again = new Gate(t)
      const late = await Promise.all(
        ['a', 'b', 'c', 'd'].flatMap((key) =>
          [1, 2].map((number) =>
            executor.enqueue(gated, { gate: again.name, tag: `${key}${number}` }, { limit: { key, max: 1 } }),
          ),
        ),
      )
      await queue.resume()
      const running = await listed(executor, { state: 'running' })
      assert.deepEqual(new Set(running.map(({ limitKey }) => limitKey)), new Set(['a', 'b', 'c', 'd']), 'none counts for ever')
      await again.reached(4)
      assert.deepEqual(new Set(again.arrived.map((tag) => tag[0])), new Set(['a', 'b', 'c', 'd']), 'one of each at a time')
      again.open()
      await Promise.all(late.map((job) => job.result()))
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
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
    const important = async (): Promise<void> => {
      const job = await executor.enqueue(plain, {}, { priority: 10 })
      // Another one of low priority that begins would take the thread that this one is to have.
      await Promise.race([job.result(), gate.reached(gate.arrived.length + 1)])
    }
    await gate.reached(1)
    await important()
    assert.equal(gate.arrived.length, 1)
    await executor.setThreads(3)
    await gate.reached(2)
    await important()
    assert.equal(gate.arrived.length, 2)
    gate.open()
    await Promise.all(low.map((job) => job.result()))
  })

  it('are reserved by their number when those that stay are all at work of low priority', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 3, reserve: { threads: 1, priority: 10 } })
    const gate = new Gate(t)
    const jobs = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
    await gate.reached(2)
    await executor.setThreads(2)
    const waiting = await Promise.all(['c', 'd'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
    const tags = new Map(jobs.map(({ id }, index) => [id, 'ab'[index] ?? '']))
    // Whichever of the two ends first: one thread is at work of low priority, and one is kept.
    const [, last] = executor.stats().threads.flatMap(({ job }) => job?.id ?? [])
    gate.let(tags.get(last ?? '') ?? '')
    await executor.job(last ?? '').result()
    const important = await executor.enqueue(plain, {}, { priority: 10 })
    await Promise.race([important.result(), gate.reached(3)])
    assert.equal(gate.arrived.length, 2, 'no third one of low priority has begun')
    await important.result()
    gate.open()
    await Promise.all([...jobs, ...waiting].map((job) => job.result()))
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
