/** Random histories: whatever callers do at once, counts, list and get agree, and every job ends as it must. The seed is printed. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import type { JobHandle } from '../../../src/executor/job-handle.js'
import { isFinal } from '../../../src/job/job-state.js'
import { echo, nothing, obedient } from '../../fixtures/executor/jobs.js'
import { assertConsistent, listed, setup, STORES } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { createPrng, seedOfRun, type Prng } from '../../support/prng.js'

const jobs = [echo, nothing, obedient]
const queues = { default: {}, narrow: { concurrency: 1 } }
const retain = { jobs: Infinity, age: Infinity }

type Handles = JobHandle<unknown>[]

/** One thing a caller may do; promises of it are not awaited here. */
async function act(executor: Executor, prng: Prng, handles: Handles, seen: Map<string, string>): Promise<void> {
  const options = {
    ...(prng.below(3) === 0 && { delay: prng.below(50_000) }),
    ...(prng.below(3) === 0 && { priority: prng.below(3) - 1 }),
    ...(prng.below(3) === 0 && { queue: 'narrow' }),
    ...(prng.below(4) === 0 && { maxRetries: prng.below(3) }),
  }
  switch (prng.below(8)) {
    case 0:
    case 1: {
      const inputs = Array.from({ length: prng.below(100) }, () => 'x'.repeat(prng.below(100) === 0 ? 20_000 : prng.below(60)))
      handles.push(...(await executor.enqueueMany(echo, inputs, options)))
      return
    }
    case 2: {
      const what = prng.pick(['complete', 'fail', 'fatal', 'cancel', 'snooze', 'retry'] as const)
      handles.push(await executor.enqueue(obedient, { do: what, afterMs: prng.below(20_000) }, options))
      return
    }
    case 3:
    case 4:
    case 5: {
      if (handles.length === 0) return
      const chosen = Array.from({ length: 1 + prng.below(20) }, () => prng.pick(handles))
      await Promise.all(
        chosen.map(async ({ id }) => {
          if (await executor.cancel(id)) assert.equal(seen.get(id), 'cancelled', `job ${id} is ${seen.get(id)}, not cancelled`)
        }),
      )
      return
    }
    case 6: {
      if (handles.length === 0) return
      const { id } = prng.pick(handles)
      assert.ok((await executor.get(id)) !== undefined, `job ${id} is not found`)
      return
    }
    default:
      handles.push(await executor.enqueue(echo, Buffer.alloc(prng.below(4) === 0 ? 50_000 : 10), options))
  }
}

for (const store of STORES) {
  it(`counts, list and get agree after random histories, ${store}`, async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    const clock = new FakeClock()
    const { executor: first, reopen } = await setup(t, {
      store,
      jobs,
      queues,
      retain,
      clock,
      random: prng,
      durability: 'process',
    })
    let executor = first
    const handles: Handles = []
    const seen = new Map<string, string>()
    for (let round = 0; round < 4; round++) {
      const ended = (state: string) => (event: { readonly job: { readonly id: string } }) => {
        const before = seen.get(event.job.id)
        assert.ok(before === undefined || before === state, `${event.job.id} is ${state} after it was ${before}`)
        seen.set(event.job.id, state)
      }
      executor.on('completed', ended('completed'))
      executor.on('discarded', ended('discarded'))
      executor.on('cancelled', ended('cancelled'))
      const errors: unknown[] = []
      executor.on('error', ({ error }) => errors.push(error))
      for (let step = 0; step < 10; step++) {
        await Promise.all(Array.from({ length: 1 + prng.below(6) }, () => act(executor, prng, handles, seen)))
        if (prng.below(3) === 0) {
          await executor.drain()
          await assertConsistent(executor, `seed ${seed}, round ${round}, step ${step}`)
          clock.advance(prng.below(30_000))
        }
      }
      await executor.drain()
      assert.deepEqual(errors, [], `seed ${seed}, round ${round}`)
      const before = await listed(executor)
      assert.equal(before.length, handles.length, `seed ${seed}, round ${round}: jobs were lost or made`)
      for (const info of before) {
        if (isFinal(info.state)) assert.equal(seen.get(info.id), info.state, `seed ${seed}, round ${round}`)
        else assert.equal(seen.get(info.id), undefined, `seed ${seed}, round ${round}: ${info.id} ended and is ${info.state}`)
      }
      await executor.close()
      executor = await reopen()
      await executor.drain()
      await assertConsistent(executor, `seed ${seed}, round ${round}, reopened`)
      assert.deepEqual(new Set((await listed(executor)).map(({ id }) => id)), new Set(before.map(({ id }) => id)))
    }
    // An hour later everything is over but what snoozes for ever.
    for (let hour = 0; hour < 4; hour++) {
      clock.advance(60_000)
      await executor.drain()
    }
    await assertConsistent(executor, `seed ${seed}, at the end`)
    const counts = await executor.counts()
    assert.equal(counts.scheduled + counts.available + counts.running, 0)
  })
}
