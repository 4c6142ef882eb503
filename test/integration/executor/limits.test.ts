/** Limits of keys and queues, heavy jobs, reserved threads: on both stores, with real threads. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import type { JobInfo } from '../../../src/job/job-info.js'
import { auditStore } from '../../../src/maintenance/store-audit.js'
import { heavy, perTenant, plain } from '../../fixtures/executor/limits.js'
import { assertConsistent, listed, mortal, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

const JOBS = [perTenant, plain, heavy]

interface Span {
  readonly from: number
  readonly to: number
  readonly weight: number
}

/** Each run of the jobs that came to its own end. Of a dead process nobody knows which of a batch's jobs had begun. */
function runs(infos: readonly JobInfo[]): Span[] {
  return infos.flatMap(({ attempts, weight = 1 }) =>
    attempts
      .filter(({ outcome }) => outcome !== 'interrupted' && outcome !== 'crashed')
      .map(({ startedAt, endedAt }) => ({ from: startedAt, to: endedAt, weight })),
  )
}

/** The most that ran at a time; one that ends in the ms in which another begins ran before it. */
function most(spans: readonly Span[]): number {
  let highest = 0
  for (const { from } of spans) {
    const beside = spans.filter((other) => other.from <= from && other.to > from + 1)
    highest = Math.max(
      highest,
      beside.reduce((sum, { weight }) => sum + weight, 0),
    )
  }
  return highest
}

async function tenants(executor: Executor): Promise<Map<string, JobInfo[]>> {
  const byKey = new Map<string, JobInfo[]>()
  for (const info of await listed(executor)) {
    const list = byKey.get(info.limitKey ?? '') ?? []
    list.push(info)
    byKey.set(info.limitKey ?? '', list)
  }
  return byKey
}

for (const store of STORES) {
  describe(`limits, ${store}`, () => {
    it('let as many jobs of a key run as they say, and all jobs end', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs: JOBS, threads: 3 })
      const handles = await executor.enqueueMany(
        perTenant,
        Array.from({ length: 40 }, (_, index) => ({
          tenant: index % 10 === 9 ? undefined : `t${index % 3}`,
          ms: 3,
          failures: index % 7 === 0 ? 1 : 0,
        })),
      )
      const first = handles[0]
      assert.ok(first !== undefined)
      assert.equal((await executor.get(first.id))?.limitKey, 't0')
      await Promise.all(handles.map((handle) => handle.result()))
      const byKey = await tenants(executor)
      assert.deepEqual([...byKey.keys()].toSorted(), ['', 't0', 't1', 't2'])
      for (const [key, infos] of byKey) if (key !== '') assert.equal(most(runs(infos)), 1, key)
      await assertConsistent(executor)
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
    })

    it('are found by id, listed, cancelled, delayed, and survive a reopening', async (t) => {
      const clock = new FakeClock()
      const { executor, reopen, engine } = await setup(t, {
        store,
        jobs: JOBS,
        threads: 1,
        clock,
        queues: { default: { rate: { max: 1, per: '1d' } } },
      })
      const [running, waiting, other] = await executor.enqueueMany(perTenant, [{ tenant: 'a' }, { tenant: 'a' }, { tenant: 'b' }])
      assert.ok(running !== undefined && waiting !== undefined && other !== undefined)
      await running.result()
      const delayed = await executor.enqueue(perTenant, { tenant: 'a' }, { delay: '1h' })
      assert.equal((await executor.get(waiting.id))?.state, 'available')
      assert.equal((await executor.get(delayed.id))?.limitKey, 'a')
      await assertConsistent(executor)
      assert.equal(await executor.cancel(waiting.id), true)
      await executor.close()
      assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
      const again = await reopen()
      assert.equal((await again.get(waiting.id))?.state, 'cancelled')
      assert.equal((await again.get(other.id))?.state, 'available', 'the rate is known after a reopening')
      assert.deepEqual((await again.counts()).available, 1)
      clock.advance(24 * 60 * 60 * 1000)
      await again.job(other.id).result()
      clock.advance(24 * 60 * 60 * 1000)
      await again.job(delayed.id).result()
      await assertConsistent(again)
    })

    it('of a rate count what a dead process started', async (t) => {
      const clock = new FakeClock()
      const { engine, remains, crash } = mortal()
      const limit = { key: 'api', max: 5, rate: { max: 2, per: '1h' as const } }
      const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 1, clock, engine })
      const handles = await executor.enqueueMany(
        plain,
        Array.from({ length: 4 }, () => ({})),
        { limit },
      )
      await Promise.all(handles.slice(0, 2).map((handle) => handle.result()))
      crash()
      await executor.close({ grace: 0 })
      const again = await reopen({ engine: remains })
      assert.equal((await again.counts()).available, 2)
      clock.advance(59 * 60 * 1000)
      assert.equal((await again.counts()).available, 2)
      clock.advance(60 * 1000)
      await Promise.all(handles.slice(2).map(({ id }) => again.job(id).result()))
    })

    it('by weight: heavy jobs count as their threads, and are not starved by light ones', async (t) => {
      const { executor } = await setup(t, { store, jobs: JOBS, threads: 2 })
      let isOver = false
      const flood = (async () => {
        while (!isOver)
          await (await executor.enqueueMany(plain, [{ ms: 2 }, { ms: 2 }, { ms: 2 }], { queue: 'default' })).at(-1)?.result()
      })()
      const done = await executor.enqueueMany(heavy, [{ ms: 5 }, { ms: 5 }])
      await Promise.all(done.map((handle) => handle.result()))
      isOver = true
      await flood
      const infos = await listed(executor, { state: 'completed' })
      assert.ok(infos.some(({ weight }) => weight === 2))
      assert.ok(most(runs(infos)) <= 2, `${most(runs(infos))} of 2 threads`)
    })

    it('reserve threads for what is important', async (t) => {
      const { executor } = await setup(t, { store, jobs: JOBS, threads: 2, reserve: { threads: 1, priority: 10 } })
      const running = nextEvent(executor, 'started')
      await executor.enqueueMany(
        plain,
        Array.from({ length: 4 }, () => ({ ms: 15_000 })),
        { timeout: Infinity },
      )
      await running
      await (await executor.enqueue(plain, {}, { priority: 10 })).result()
      const { length } = await listed(executor, { state: 'completed' })
      assert.equal(length, 1, 'the important job did not wait for a slow one to end')
      const busy = executor.stats().threads.filter(({ state }) => state === 'running' || state === 'starting')
      assert.equal(busy.length, 1)
    })
  })
}

describe('limits', () => {
  it('hold in any history of kills: one at a time of a key, each job once over, nothing lost', async (t) => {
    const seed = seedOfRun()
    const prng = createPrng(seed)
    t.diagnostic(`seed ${seed}`)
    const first = mortal()
    const bench = await setup(t, { jobs: JOBS, threads: 2, engine: first.engine, maxCrashes: Infinity })
    let { executor } = bench
    const { remains } = first
    let { crash } = first
    const acknowledged = new Set<string>()
    for (let life = 0; life < 6; life++) {
      for (let round = 0; round < 4; round++) {
        const inputs = Array.from({ length: 1 + prng.below(12) }, () => ({
          tenant: `t${prng.below(4)}`,
          ms: prng.below(3),
          failures: prng.below(5) === 0 ? 1 : 0,
        }))
        for (const { id } of await executor.enqueueMany(
          perTenant,
          inputs,
          prng.below(4) === 0 ? { delay: 1 + prng.below(5) } : {},
        ))
          acknowledged.add(id)
        if (prng.below(3) === 0) await executor.cancel([...acknowledged][prng.below(acknowledged.size)] as string)
      }
      crash()
      await executor.close({ grace: 0 })
      assert.deepEqual(auditStore(remains, { keepsAll: true, crashed: true }).problems, [], `seed ${seed}`)
      let isDead = false
      const from = remains
      crash = () => {
        isDead = true
      }
      executor = await bench.reopen({
        engine: {
          ...from,
          commit: async (batch) => {
            if (isDead) throw new Error('the process is dead')
            await from.commit(batch)
          },
        },
      })
    }
    await Promise.allSettled([...acknowledged].map((id) => executor.job(id).result()))
    await executor.drain()
    const infos = await listed(executor)
    assert.deepEqual(new Set(infos.map(({ id }) => id)), acknowledged, `seed ${seed}`)
    for (const { state } of infos) assert.ok(state === 'completed' || state === 'cancelled', `seed ${seed}: ${state}`)
    for (const [key, list] of await tenants(executor)) assert.equal(most(runs(list)), 1, `seed ${seed}: ${key}`)
    await assertConsistent(executor, `seed ${seed}`)
    await executor.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [], `seed ${seed}`)
  })

  it('are refused when they make no sense, all problems at once', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS })
    const limit = { key: '', max: 0, rate: { max: 1.5, per: '-1s' as never } }
    await assert.rejects(
      executor.enqueue(plain, {}, { limit, weight: 0 }),
      withCode(
        'MILLRACE_INVALID_OPTIONS',
        /weight: 0[^]*limit\.key: ''[^]*limit\.max: 0[^]*limit\.rate\.max: 1\.5[^]*limit\.rate\.per/,
      ),
    )
    await assert.rejects(
      executor.enqueue(perTenant, { tenant: 7 as unknown as string }),
      withCode('MILLRACE_INVALID_OPTIONS', /limit\.key \(the definition's function of the input\): 7/),
    )
    await assert.rejects(
      setup(t, { store: 'memory', jobs: JOBS, threads: 2, reserve: { threads: 2, priority: 1 } }),
      withCode('MILLRACE_INVALID_OPTIONS', /reserve\.threads: 2 of 2/),
    )
  })
})
