/** Calls for many jobs: what they bring back, end, and leave alone; that they go in steps; and what a death between two steps leaves. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BulkReport, Executor, JobInfo } from '../../../src/index.js'
import { BULK_JOBS } from '../../../src/base/limits.js'
import type { Engine } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, endless, failing, gated, nothing, obedient, patient } from '../../fixtures/executor/jobs.js'
import { assertConsistent, lasting, listed, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [echo, endless, failing, gated, nothing, obedient, patient]
const queues = { default: {}, images: {} }

async function info(executor: Executor, { id }: { readonly id: string }): Promise<JobInfo> {
  const found = await executor.get(id)
  assert.ok(found !== undefined, `${id} is gone`)
  return found
}

for (const store of STORES) {
  describe(`calls for many jobs, ${store}`, () => {
    it('retry brings a discarded job back under its id, with all its retries, and keeps what it has behind it', async (t) => {
      const { executor, reopen, engine } = await setup(t, { store, jobs, queues })
      const backoff = { type: 'fixed', delay: 0 } as const
      const job = await executor.enqueue(failing, { times: 2 }, { queue: 'images', priority: 3, maxRetries: 1, backoff })
      const beside = await executor.enqueue(failing, { times: 9 }, { queue: 'images', maxRetries: 0 })
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED'))
      await assert.rejects(beside.result(), withCode('MILLRACE_JOB_FAILED'))
      const before = await info(executor, job)
      assert.deepEqual([before.state, before.attempts.length], ['discarded', 2])
      const told = nextEvent(executor, 'retried')
      const again = nextEvent(executor, 'discarded')
      assert.equal(await executor.retry(job.id), true)
      assert.equal((await told).job.id, job.id)
      assert.equal((await again).job.id, job.id)
      const after = await info(executor, job)
      assert.deepEqual(
        after.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
        [
          [1, 'failed'],
          [2, 'failed'],
          [1, 'failed'],
          [2, 'failed'],
        ],
      )
      assert.deepEqual(after.attempts.slice(0, 2), before.attempts)
      assert.deepEqual([after.queue, after.priority, after.maxRetries, after.input], ['images', 3, 1, { times: 2 }])
      // What was counted stays counted: it has ended twice.
      assert.deepEqual([executor.stats().totals.discarded, (await executor.counts()).discarded], [3, 2])
      await assertConsistent(executor)
      await executor.close()
      const reopened = await reopen()
      await assertConsistent(reopened)
      assert.deepEqual(await info(reopened, job), after)
      await reopened.close()
      assert.deepEqual(checkStore(await engine(), { keepsAll: true, payloads: true }), [])
    })

    it('counts exactly what a job has behind it, however often it ends and is brought back', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs, queues })
      const images = executor.queue('images')
      const job = await executor.enqueue(failing, { times: 9 }, { queue: 'images', maxRetries: 0 })
      const { id } = job
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED'))
      await images.pause()
      for (const end of ['cancel', 'discard'] as const) {
        assert.equal(await executor.retry(id), true, end)
        assert.equal(await executor[end](id), true)
      }
      assert.equal(await executor.retry(id), true)
      const discarded = nextEvent(executor, 'discarded')
      await images.resume()
      await discarded
      await images.pause()
      assert.equal(await executor.retry(id), true)
      const { enqueued, started, failed, retried, cancelled, discarded: ends } = executor.stats().definitions['failing']!.totals
      assert.deepEqual(
        { enqueued, started, failed, retried, cancelled, ends },
        { enqueued: 5, started: 2, failed: 2, retried: 0, cancelled: 1, ends: 3 },
      )
      const { state, attempt, attempts } = await info(executor, { id })
      assert.deepEqual(
        [state, attempt, attempts.map((each) => [each.attempt, each.outcome])],
        [
          'available',
          1,
          [
            [1, 'failed'],
            [1, 'failed'],
          ],
        ],
      )
      await assertConsistent(executor)
      await executor.close()
      // It holds the statistics against what the job's own record says that it was charged, forgiven and ended as.
      assert.deepEqual(checkStore(await engine(), { keepsAll: true }), [])
    })

    it('retry of many brings back what was discarded and cancelled, with large inputs too', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs, queues, threads: 1 })
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const inputs = Array.from({ length: 40 }, (_, index) => (index % 5 === 0 ? String(index).repeat(40_000) : index))
      const handles = await executor.enqueueMany(echo, inputs, { queue: 'images' })
      for (const job of handles.slice(0, 10)) assert.equal(await executor.cancel(job.id), true)
      assert.deepEqual(await executor.discardMany({ queue: 'images' }), { matched: 30, changed: 30 })
      const lost = await info(executor, handles[20]!)
      assert.deepEqual([lost.state, lost.error?.code], ['discarded', 'MILLRACE_DISCARDED'])
      await assert.rejects(handles[20]!.result(), withCode('MILLRACE_JOB_FAILED', /DiscardedError/))
      assert.deepEqual(await executor.retryMany({ queue: 'images' }, { dryRun: true }), { matched: 30, changed: 0 })
      assert.deepEqual(await executor.retryMany({ queue: 'images', state: ['cancelled', 'discarded'] }), {
        matched: 40,
        changed: 40,
      })
      const counts = await executor.counts()
      assert.deepEqual([counts.available, counts.cancelled, counts.discarded], [40, 0, 0])
      await assertConsistent(executor, 'brought back')
      gate.open()
      assert.deepEqual(await Promise.all(handles.map(({ id }) => executor.job(id).result())), inputs)
      await executor.drain()
      await assertConsistent(executor, 'run')
      await executor.close()
      assert.deepEqual(checkStore(await engine(), { keepsAll: true, payloads: true }), [])
    })

    it('retry makes due what waits for its instant, also a part of what was delayed together', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, queues, clock })
      const delayed = await executor.enqueueMany(echo, [0, 1, 2, 3, 4, 5], { delay: '1h' })
      const alone = await executor.enqueue(echo, 'alone', { delay: '2h' })
      const failed = await executor.enqueue(obedient, { do: 'fail' })
      await nextEvent(executor, 'retried')
      const ids = delayed.slice(1, 4).map(({ id }) => id)
      assert.deepEqual(await executor.retryMany({ ids: [...ids, alone.id, ...ids] }), { matched: 4, changed: 4 })
      assert.deepEqual(await Promise.all([delayed[1]!.result(), delayed[2]!.result(), delayed[3]!.result(), alone.result()]), [
        1,
        2,
        3,
        'alone',
      ])
      const discarded = nextEvent(executor, 'discarded')
      assert.equal(await executor.retry(failed.id), true)
      await discarded
      const last = await info(executor, failed)
      assert.deepEqual(
        last.attempts.map(({ attempt }) => attempt),
        [1, 2],
        'its retries are used as before',
      )
      assert.equal((await executor.counts()).scheduled, 3)
      await assertConsistent(executor)
      assert.equal(await executor.retry(delayed[0]!.id), true)
      assert.deepEqual(await executor.retryMany({ state: 'scheduled' }), { matched: 2, changed: 2 })
      assert.deepEqual(await Promise.all(delayed.map((job) => job.result())), [0, 1, 2, 3, 4, 5])
      await assertConsistent(executor)
    })

    it('a job that fails again is not found again by the same call', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const backoff = { type: 'fixed', delay: 5 } as const
      // From before its first run on: a job that waits for its instant does not keep the process alive.
      const retried = nextEvent(executor, 'retried')
      const job = await executor.enqueue(failing, { times: 1e9 }, { maxRetries: Infinity, backoff })
      const other = await executor.enqueue(failing, { times: 1e9 }, { maxRetries: 0 })
      await assert.rejects(other.result())
      await retried
      const { matched } = await executor.retryMany({ ids: [job.id, other.id] })
      assert.ok(matched <= 2)
      assert.ok((await executor.retryMany({ all: true })).matched <= 2)
      await executor.cancelMany({ all: true })
    })

    it('cancels and discards what waits and what runs, and counts only what it has changed', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, abortGrace: 20 })
      const begun = [nextEvent(executor, 'progress'), nextEvent(executor, 'started', ({ job }) => job.name === 'endless')]
      const heeds = await executor.enqueue(patient, 1, { queue: 'images' })
      const ignores = await executor.enqueue(endless, 1, { queue: 'images' })
      await Promise.all(begun)
      const waiting = await executor.enqueueMany(echo, [1, 2, 3], { queue: 'images' })
      const scheduled = await executor.enqueue(echo, 1, { queue: 'images', delay: '1h' })
      assert.deepEqual(await executor.discardMany({ queue: 'images', state: ['running', 'scheduled'], name: 'patient' }), {
        matched: 1,
        changed: 1,
      })
      const first = await info(executor, heeds)
      assert.deepEqual(
        [first.state, first.error?.code, first.attempts[0]?.outcome],
        ['discarded', 'MILLRACE_DISCARDED', 'cancelled'],
      )
      await executor.cancelMany({ queue: 'images' })
      for (const job of [ignores, scheduled]) assert.equal((await info(executor, job)).state, 'cancelled')
      const ends = await Promise.all(waiting.map(async (job) => (await info(executor, job)).state))
      // The thread of the first one was free by then.
      assert.ok(
        ends.every((state) => state === 'cancelled' || state === 'completed'),
        ends.join(),
      )
      assert.equal(await executor.discard(ignores.id), false, 'it is over')
      assert.deepEqual(await executor.cancelMany({ queue: 'images' }), { matched: 0, changed: 0 })
      await assertConsistent(executor)
    })

    it('finds jobs by name, age and ids, and no more than asked for', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, queues, clock, threads: 1 })
      await executor.queue('images').pause()
      const old = await executor.enqueueMany(echo, [1, 2, 3], { queue: 'images' })
      clock.advance(60_000)
      await executor.enqueueMany(nothing, [1, 2], { queue: 'images' })
      const late = await executor.enqueueMany(echo, [4, 5], { queue: 'images' })
      const matched = async (filter: Parameters<Executor['cancelMany']>[0]): Promise<number> =>
        (await executor.cancelMany(filter, { dryRun: true })).matched
      assert.equal(await matched({ name: 'nothing' }), 2)
      assert.equal(await matched({ olderThan: '30s' }), 3)
      assert.equal(await matched({ olderThan: '2m' }), 0)
      assert.equal(await matched({ ids: [old[0]!.id, late[1]!.id], name: 'echo' }), 2)
      assert.equal(await matched({ ids: [old[0]!.id, late[1]!.id], olderThan: '30s' }), 1)
      assert.equal(await matched({ queue: 'default' }), 0)
      assert.equal(await matched({ queue: 'never heard of' }), 0)
      assert.equal(await matched({ all: true, limit: 4 }), 4)
      assert.equal(await matched({ state: [] }), 0)
      assert.deepEqual(await executor.cancelMany({ queue: 'images', limit: 4 }), { matched: 4, changed: 4 })
      assert.equal((await executor.counts()).available, 3)
      await assertConsistent(executor)
    })

    it('refuses a filter that restricts nothing, and what it is not for', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const job = await executor.enqueue(echo, 1)
      await job.result()
      for (const call of [
        executor.cancelMany({}),
        executor.retryMany({ limit: 5 }),
        executor.discardMany({ state: 'completed' }),
        executor.retryMany({ state: 'running' }),
        executor.cancelMany({ all: true, queue: 'images' }),
        executor.cancelMany({ ids: ['x'] }),
        executor.cancelMany({ queue: 'images' }, { dryRun: 1 as never }),
        executor.queue('images').purge({ queue: 'images' } as never),
      ])
        await assert.rejects(call, withCode('MILLRACE_INVALID_OPTIONS'))
      await assert.rejects(executor.cancelMany({}), withCode('MILLRACE_INVALID_OPTIONS', /all: true/))
      assert.equal(await executor.retry(job.id), false, 'it is completed')
      await assert.rejects(executor.retry('x'), withCode('MILLRACE_INVALID_ID'))
    })

    it('goes in steps, and others go on in between', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, retain: { jobs: Infinity } })
      await executor.queue('images').pause()
      const count = 6 * BULK_JOBS
      await executor.enqueueMany(
        echo,
        Array.from({ length: count }, (_, index) => index),
        { queue: 'images' },
      )
      const between: Promise<unknown>[] = []
      const steps = async (call: (onProgress: (soFar: BulkReport) => void) => Promise<BulkReport>): Promise<void> => {
        const seen: number[] = []
        const report = await call(({ matched }) => {
          seen.push(matched)
          between.push(executor.enqueue(echo, 'between').then((job) => job.result()))
        })
        assert.deepEqual(report, { matched: count, changed: count })
        assert.ok(seen.length >= 6, `${seen.length} steps`)
        for (const [index, matched] of seen.entries()) assert.ok(matched - (seen[index - 1] ?? 0) < 2 * BULK_JOBS, seen.join())
      }
      await steps((onProgress) => executor.discardMany({ queue: 'images' }, { onProgress }))
      await assertConsistent(executor, 'discarded')
      await steps((onProgress) => executor.retryMany({ queue: 'images' }, { onProgress }))
      await assertConsistent(executor, 'brought back')
      await steps((onProgress) => executor.queue('images').purge({}, { onProgress }))
      await assertConsistent(executor, 'purged')
      for (const result of await Promise.all(between)) assert.equal(result, 'between')
    })

    it('calls of one turn do not do each other’s work', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      await executor.queue('images').pause()
      const handles = await executor.enqueueMany(echo, [1, 2, 3, 4], { queue: 'images' })
      await executor.discardMany({ queue: 'images' })
      const [one, other, first, second] = await Promise.all([
        executor.retryMany({ queue: 'images' }),
        executor.retryMany({ queue: 'images' }),
        executor.retry(handles[0]!.id),
        executor.cancel(handles[1]!.id),
      ])
      assert.equal(one.changed + other.changed + Number(first), 4)
      assert.equal(second, true)
      const counts = await executor.counts()
      assert.deepEqual([counts.available, counts.cancelled, counts.discarded], [3, 1, 0])
      await assertConsistent(executor)
    })
  })
}

describe('a death between two steps', () => {
  /** A store in memory that is cut off at its n-th commit from `arm` on. */
  function doomed(): { engine: Engine; remains: Engine; arm(commit: number, isDurable: boolean): void } {
    const remains = lasting(createMemoryEngine())
    let left = Infinity
    let lastIsDurable = false
    const engine: Engine = {
      ...remains,
      commit: async (batch) => {
        if (left <= 0) throw new Error('the process is dead')
        if (--left > 0 || lastIsDurable) await remains.commit(batch)
        if (left <= 0) throw new Error('the process is dead')
      },
    }
    return {
      engine,
      remains,
      arm(commit, isDurable) {
        left = commit
        lastIsDurable = isDurable
      },
    }
  }

  const COUNT = 3 * BULK_JOBS
  const DEEDS = {
    retry: (executor: Executor) => executor.retryMany({ queue: 'images' }),
    discard: (executor: Executor) => executor.discardMany({ queue: 'images' }),
    purge: (executor: Executor) => executor.queue('images').purge(),
  }
  for (const [name, deed] of Object.entries(DEEDS)) {
    it(`leaves each job changed or as it was, ${name}`, async (t) => {
      for (const commit of [1, 2, 3, 4]) {
        for (const isDurable of [false, true]) {
          const label = `commit ${commit}, ${isDurable ? 'durable' : 'lost'}`
          const { engine, remains, arm } = doomed()
          const options = { jobs, queues, threads: 1, retain: { jobs: Infinity } }
          const { executor } = await setup(t, { ...options, engine })
          await executor.queue('images').pause()
          const inputs = Array.from({ length: COUNT }, (_, index) => index)
          const handles = await executor.enqueueMany(echo, inputs, { queue: 'images' })
          if (name === 'retry') await executor.discardMany({ queue: 'images' })
          arm(commit, isDurable)
          const outcome = await deed(executor).catch((error: unknown) => error)
          await executor.close({ grace: 0 })
          assert.deepEqual(checkStore(remains, { crashed: true, keepsAll: name !== 'purge' }), [], label)
          const { executor: again } = await setup(t, { ...options, engine: remains })
          const counts = await again.counts()
          const left = counts.available + counts.discarded
          if (name !== 'purge') assert.equal(left, COUNT, label)
          const changed = name === 'retry' ? counts.available : name === 'discard' ? counts.discarded : COUNT - left
          if (outcome instanceof Error) assert.ok(changed <= commit * BULK_JOBS, `${label}: ${changed}`)
          else assert.equal(changed, COUNT, label)
          await assertConsistent(again, label)
          const rest = await deed(again)
          assert.equal(rest.changed, COUNT - changed, `${label}: the rest`)
          await again.queue('images').resume()
          await again.drain()
          const found = await listed(again)
          assert.equal(found.length, name === 'purge' ? 0 : COUNT, label)
          if (name === 'retry')
            assert.ok(
              found.every(({ state }) => state === 'completed'),
              label,
            )
          assert.equal(new Set(handles.map(({ id }) => id)).size, COUNT)
          await again.close()
        }
      }
    })
  }
})
