/** Unique keys across the death of a process: who still holds one, and what becomes of suspects that are replaced or put off. */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import { INDEX_UNIQUE } from '../../../src/codec/keys.js'
import type { Engine } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { keyed, loose } from '../../fixtures/executor/unique-jobs.js'
import { assertConsistent, lasting, mortal, setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [keyed, loose]
const retain = { jobs: Infinity, age: Infinity } as const

/** Runs `use` in a process that dies afterwards. Gives what it leaves. */
async function dying(t: TestContext, threads: number, use: (executor: Executor) => Promise<void>): Promise<Engine> {
  const { engine, remains, crash: die } = mortal()
  const { executor } = await setup(t, { engine, jobs, threads, retain })
  executor.on('error', () => undefined)
  await use(executor)
  die()
  assert.deepEqual(checkStore(remains, { crashed: true, keepsAll: true }), [])
  await executor.close({ grace: 0 })
  return remains
}

function keysIn(engine: Engine): number {
  return engine.range('index', { start: Buffer.of(INDEX_UNIQUE), limit: 100 }).length
}

it('a key is held across a crash, unless it is let go of when a run begins', async (t) => {
  const gate = new Gate(t)
  const ids: string[] = []
  const remains = await dying(t, 2, async (executor) => {
    const options = { unique: { key: 'w', while: 'waiting' } } as const
    const running = await executor.enqueue(keyed, { key: 'a', value: 1, gate: gate.name })
    const begun = await executor.enqueue(loose, { key: 'w', gate: gate.name }, options)
    await gate.reached(2)
    // One more of the same key waits, and its holder's run has begun.
    const waiting = await executor.enqueue(loose, { key: 'x', value: 2 }, options)
    assert.equal(waiting.isNew, true)
    ids.push(running.id, begun.id, waiting.id)
  })
  assert.equal(keysIn(remains), 2)
  gate.open()
  const { executor } = await setup(t, { engine: remains, jobs, threads: 2, retain })
  const again = await executor.enqueue(keyed, { key: 'a', value: 3 })
  assert.deepEqual([again.id, again.isNew], [ids[0], false])
  assert.equal(await again.result(), 1)
  assert.equal(await executor.job(ids[2] ?? '').result(), 2)
  await executor.drain()
  await assertConsistent(executor)
  await executor.close()
  assert.deepEqual(checkStore(remains, { keepsAll: true }), [])
  assert.equal(keysIn(remains), 0)
})

it('a suspect that is replaced still runs alone; one that is put off is none any more', async (t) => {
  const gate = new Gate(t)
  const clock = new FakeClock()
  const remains = await dying(t, 3, async (executor) => {
    await executor.enqueueMany(
      keyed,
      ['a', 'b', 'c'].map((key) => ({ key, value: 'before', gate: gate.name })),
    )
    await gate.reached(3)
  })
  const { executor } = await setup(t, { engine: remains, jobs, threads: 3, retain, clock })
  const [a = '', b = '', c = ''] = executor.recovery.suspects
  await gate.reached(4)
  const replaced = await executor.enqueue(
    keyed,
    { key: 'b', value: 'after', gate: gate.name },
    { unique: { key: 'b', onConflict: 'replace' } },
  )
  const later = await executor.enqueue(
    keyed,
    { key: 'c', value: 'later' },
    { unique: { key: 'c', onConflict: 'debounce' }, delay: 1000 },
  )
  assert.deepEqual([replaced.id, later.id, replaced.isNew, later.isNew], [b, c, false, false])
  assert.equal(executor.stats().suspects, 1)
  assert.equal((await executor.get(c))?.state, 'retryable')
  await assertConsistent(executor)
  gate.let('a')
  await gate.reached(5)
  const other = await executor.enqueue(loose, { key: 'o' })
  assert.equal((await executor.counts()).running, 1, 'something runs beside a suspect')
  gate.open()
  assert.deepEqual([await executor.job(a).result(), await replaced.result()], ['before', 'after'])
  await other.result()
  await executor.drain()
  clock.advance(1000)
  assert.equal(await later.result(), 'later')
  await assertConsistent(executor)
  clock.runFreely()
  await executor.close()
  assert.deepEqual(checkStore(remains, { keepsAll: true }), [])
  assert.equal(keysIn(remains), 0)
})

it('a job that is quarantined lets go of its key in the commit of the recovery', async (t) => {
  const gate = new Gate(t)
  const remains = await dying(t, 1, async (executor) => {
    await executor.enqueue(keyed, { key: 'a', gate: gate.name })
    await gate.reached(1)
  })
  assert.equal(keysIn(remains), 1)
  gate.open()
  let commits = 0
  const engine: Engine = {
    ...remains,
    commit: async (batch) => {
      await remains.commit(batch)
      if (++commits === 1) assert.equal(keysIn(remains), 0)
    },
  }
  const { executor } = await setup(t, { engine, jobs, threads: 1, retain, maxCrashes: 1 })
  assert.equal(executor.recovery.quarantined.length, 1)
  const next = await executor.enqueue(keyed, { key: 'a', value: 2 })
  assert.deepEqual([next.isNew, await next.result()], [true, 2])
})

it('a job that is brought back has its key in the same commit, or neither', async (t) => {
  for (const until of ['waiting', 'incomplete', 'kept'] as const) {
    for (const isDurable of [false, true]) {
      const label = `${until}, ${isDurable ? 'durable' : 'lost'}`
      const remains = lasting(createMemoryEngine())
      let isArmed = false
      const engine: Engine = {
        ...remains,
        commit: async (batch) => {
          if (!isArmed || isDurable) await remains.commit(batch)
          if (isArmed) throw new Error('the process is dead')
        },
      }
      const { executor } = await setup(t, { engine, jobs, threads: 1, retain })
      await executor.queue('default').pause()
      const options = { unique: { key: 'k', while: until } } as const
      const job = await executor.enqueue(loose, { key: 'a', value: 1, bulk: new Uint8Array(100_000) }, options)
      assert.equal(await executor.discard(job.id), true)
      isArmed = true
      await assert.rejects(executor.retry(job.id), label)
      await executor.close({ grace: 0 })
      assert.deepEqual(checkStore(remains, { crashed: true, keepsAll: true, payloads: true }), [], label)
      assert.equal(keysIn(remains), isDurable || until === 'kept' ? 1 : 0, label)
      const { executor: again } = await setup(t, { engine: remains, jobs, threads: 1, retain })
      assert.equal((await again.get(job.id))?.state, isDurable ? 'available' : 'discarded', label)
      assert.equal(await again.retry(job.id), !isDurable, label)
      assert.equal((await again.enqueue(loose, { key: 'b' }, options)).id, job.id, label)
      await again.queue('default').resume()
      assert.equal(await again.job(job.id).result(), 1, label)
      await again.drain()
      const totals = again.stats().definitions['loose']?.totals
      assert.deepEqual([totals?.enqueued, totals?.discarded, totals?.completed], [2, 1, 1], label)
      await assertConsistent(again, label)
      await again.close()
      assert.deepEqual(checkStore(remains, { keepsAll: true, payloads: true }), [], label)
      assert.equal(keysIn(remains), until === 'kept' ? 1 : 0, label)
    }
  }
})
