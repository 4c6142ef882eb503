/** Unique keys of jobs that an operator brings back, makes due or purges. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { EnqueueOptions, Executor, UniqueOptions } from '../../../src/index.js'
import { BULK_JOBS } from '../../../src/base/limits.js'
import { INDEX_UNIQUE } from '../../../src/codec/keys.js'
import { keyed, loose } from '../../fixtures/executor/unique-jobs.js'
import { assertConsistent, setup, type Setup, STORES, withCode } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [keyed, loose]

function open(t: TestContext, options: Parameters<typeof setup>[1]): Promise<Setup> {
  return setup(t, { jobs, threads: 1, retain: { jobs: Infinity, age: Infinity }, ...options })
}

function unique(key: string, more: Omit<UniqueOptions, 'key'> = {}): EnqueueOptions {
  return { unique: { key, ...more } }
}

/** Closes in order, and looks through what is left. Gives the number of records of keys. */
async function keysLeft({ engine }: Setup, executor: Executor, keepsAll = true): Promise<number> {
  await assertConsistent(executor)
  await executor.close({ grace: 0 })
  const bytes = await engine()
  assert.deepEqual(checkStore(bytes, { keepsAll, payloads: true }), [])
  return bytes.range('index', { start: Buffer.of(INDEX_UNIQUE), limit: 10_000 }).length
}

for (const store of STORES) {
  describe(`unique jobs and an operator, ${store}`, () => {
    for (const until of ['waiting', 'incomplete', 'kept'] as const) {
      it(`a job that is brought back takes its key again, ${until}`, async (t) => {
        const all = await open(t, { store })
        const { executor } = all
        const queue = executor.queue('default')
        await queue.pause()
        const options = unique('k', { while: until })
        const job = await executor.enqueue(loose, { key: 'a', value: 1 }, options)
        assert.equal(await executor.cancel(job.id), true)
        // In one turn with an enqueue of the same key, which comes second.
        const [isBack, beside] = await Promise.all([executor.retry(job.id), executor.enqueue(loose, { key: 'b' }, options)])
        assert.deepEqual([isBack, beside.isNew, beside.id], [true, false, job.id])
        const later = await executor.enqueue(loose, { key: 'c' }, options)
        assert.deepEqual([later.isNew, later.id], [false, job.id])
        const { totals, waiting } = executor.stats().definitions['loose'] ?? {}
        assert.deepEqual([totals?.enqueued, totals?.cancelled, waiting], [2, 1, 1])
        await queue.resume()
        assert.equal(await executor.job(job.id).result(), 1)
        assert.equal(await keysLeft(all, executor), until === 'kept' ? 1 : 0)
      })
    }

    it('the handle of a job that was over tells how it ends once it was brought back', async (t) => {
      const { executor } = await open(t, { store })
      const gate = new Gate(t)
      const ends = [
        { key: 'a', end: () => gate.let('a'), code: undefined },
        { key: 'b', end: (id: string) => executor.cancel(id), code: 'MILLRACE_JOB_CANCELLED' },
      ] as const
      for (const [index, { key, end, code }] of ends.entries()) {
        await executor.queue('default').pause()
        const input = { key, value: 1, gate: gate.name }
        const options = unique(key, { while: 'kept' })
        const { id } = await executor.enqueue(loose, input, options)
        assert.equal(await executor.discard(id), true)
        const handle = await executor.enqueue(loose, input, options)
        assert.deepEqual([handle.isNew, handle.id], [false, id])
        await assert.rejects(handle.result(), withCode('MILLRACE_JOB_FAILED'))
        assert.equal(await executor.retry(id), true)
        const waiting = handle.result()
        waiting.catch(() => undefined)
        await executor.queue('default').resume()
        await gate.reached(index + 1)
        const running = handle.result()
        running.catch(() => undefined)
        // Both are asked for by the turn that this one waits for.
        assert.equal((await executor.get(id))?.state, 'running')
        await end(id)
        for (const result of [waiting, running, handle.result()]) {
          if (code === undefined) assert.equal(await result, 1)
          else await assert.rejects(result, withCode(code))
        }
      }
    })

    it('a job whose key another one holds is not brought back, and counts as not changed', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      await executor.queue('default').pause()
      const first = await executor.enqueue(keyed, { key: 'k', value: 1 })
      assert.equal(await executor.cancel(first.id), true)
      const second = await executor.enqueue(keyed, { key: 'k', value: 2 })
      assert.equal(second.isNew, true)
      assert.equal(await executor.retry(first.id), false)
      assert.deepEqual(await executor.retryMany({ ids: [first.id] }), { matched: 1, changed: 0 })
      assert.equal((await executor.get(first.id))?.state, 'cancelled')
      assert.equal(await executor.cancel(second.id), true)
      // Of several with one key the first comes back.
      assert.deepEqual(await executor.retryMany({ state: 'cancelled' }), { matched: 2, changed: 1 })
      const states = [first, second].map(async ({ id }) => (await executor.get(id))?.state)
      assert.deepEqual(await Promise.all(states), ['available', 'cancelled'])
      assert.equal(await keysLeft(all, executor), 1)
    })

    it('a job that is brought back holds its key when those that ended with it are pruned, and they let go of theirs', async (t) => {
      const all = await open(t, { store, retain: { jobs: 3, age: Infinity } })
      const { executor } = all
      await executor.queue('default').pause()
      const one = (key: string) => executor.enqueue(loose, { key }, unique(key, { while: 'kept' }))
      const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(one))
      assert.deepEqual(await executor.cancelMany({ name: 'loose' }), { matched: 3, changed: 3 })
      assert.equal(await executor.retry(b!.id), true)
      // As many again end, and what was left of the first three is pruned.
      for (const key of ['d', 'e', 'f']) assert.equal(await executor.cancel((await one(key)).id), true, key)
      assert.deepEqual([await executor.get(a!.id), await executor.get(c!.id)], [undefined, undefined], 'they are still there')
      const again = await Promise.all(['a', 'b', 'c'].map(one))
      assert.deepEqual(
        again.map(({ isNew }) => isNew),
        [true, false, true],
      )
      assert.equal(again[1]!.id, b!.id)
      await keysLeft(all, executor, false)
    })

    it('jobs that have to stay do not keep a call for many going', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      await executor.queue('default').pause()
      const keys = Array.from({ length: BULK_JOBS }, (_, index) => ({ key: `${index}` }))
      await executor.enqueueMany(keyed, [{ key: 'other' }])
      await executor.cancelMany({ state: 'available' })
      await executor.enqueueMany(keyed, keys)
      await executor.cancelMany({ name: 'keyed' })
      await executor.enqueueMany(keyed, keys)
      assert.deepEqual(await executor.retryMany({ state: 'cancelled' }), { matched: BULK_JOBS + 1, changed: 1 })
      assert.equal(await keysLeft(all, executor), BULK_JOBS + 1)
    })

    it('a job that had given up its key comes back without one', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      const options = unique('k', { while: 'waiting' })
      const job = await executor.enqueue(loose, { key: 'a', gate: gate.name, fails: 9 }, { ...options, maxRetries: 0 })
      await gate.reached(1)
      const next = await executor.enqueue(loose, { key: 'b', value: 2 }, options)
      assert.equal(next.isNew, true)
      gate.open()
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED'))
      await executor.drain()
      await executor.queue('default').pause()
      const other = await executor.enqueue(loose, { key: 'c' }, options)
      assert.equal(await executor.retry(job.id), true)
      assert.equal((await executor.enqueue(loose, { key: 'd' }, options)).id, other.id)
      assert.equal(await keysLeft(all, executor), 1)
    })

    it('a job that is made due is replaced where it is then', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      await executor.queue('default').pause()
      const options = unique('k', { onConflict: 'replace' })
      const job = await executor.enqueue(loose, { key: 'a', value: 1 }, { ...options, delay: '1h' })
      const [isDue, by] = await Promise.all([executor.retry(job.id), executor.enqueue(loose, { key: 'b', value: 2 }, options)])
      assert.deepEqual([isDue, by.isNew, by.id], [true, false, job.id])
      assert.equal((await executor.get(job.id))?.state, 'available')
      await executor.queue('default').resume()
      assert.equal(await job.result(), 2)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('purged jobs let go of their keys, those that wait and those that are over', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const over = await executor.enqueue(loose, { key: 'a', value: 1 }, unique('over', { while: 'kept' }))
      await over.result()
      await executor.queue('default').pause()
      await executor.enqueue(loose, { key: 'b' }, unique('waits'))
      await executor.enqueue(loose, { key: 'c' }, { ...unique('scheduled', { while: 'kept' }), delay: '1h' })
      assert.deepEqual(await executor.queue('default').purge(), { matched: 3, changed: 3 })
      const { waiting, scheduled, totals } = executor.stats().queues['default'] ?? {}
      assert.deepEqual([waiting, scheduled, totals?.completed, totals?.cancelled], [0, 0, 1, 2])
      for (const key of ['over', 'waits', 'scheduled'])
        assert.equal((await executor.enqueue(loose, { key }, unique(key, { while: 'kept' }))).isNew, true, key)
      assert.equal(await keysLeft(all, executor, false), 3)
    })
  })
}
