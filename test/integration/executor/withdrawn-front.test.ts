/** A job that is next is withdrawn while it waits: what it held up goes on at once, although nothing else happens. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import type { JobHandle } from '../../../src/executor/job-handle.js'
import { echo, gated } from '../../fixtures/executor/jobs.js'
import { heavy } from '../../fixtures/executor/limits.js'
import { setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const WAYS = ['cancel', 'discardMany', 'purge'] as const
const JOBS = [echo, gated, heavy]
const HOURLY = { max: 1, per: '1h' } as const

/** The job is over, and nobody asks for its result. */
async function withdraw(executor: Executor, { id }: JobHandle<unknown>, how: (typeof WAYS)[number]): Promise<void> {
  if (how === 'cancel') assert.equal(await executor.cancel(id), true)
  if (how === 'discardMany') assert.equal((await executor.discardMany({ ids: [id] })).changed, 1)
  if (how === 'purge') assert.ok((await executor.queue((await executor.get(id))?.queue ?? '').purge()).changed > 0)
}

for (const how of WAYS) {
  describe(`after ${how} of a job that is next`, () => {
    it('the threads that were kept for it take jobs of other queues', async (t) => {
      const { executor } = await setup(t, { store: 'memory', jobs: JOBS, queues: { a: {}, b: {} } })
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'long' }, { queue: 'a' })
      await gate.reached(1)
      await withdraw(executor, await executor.enqueue(heavy, {}, { queue: 'a' }), how)
      assert.equal(await (await executor.enqueue(echo, 'other', { queue: 'b' })).result(), 'other')
      gate.open()
    })

    it('nobody waits for the rate that it waited for', async (t) => {
      const clock = new FakeClock()
      const rate = HOURLY
      const { executor } = await setup(t, { store: 'memory', jobs: JOBS, clock, queues: { a: { rate }, b: {} } })
      for (const options of [{ queue: 'a' }, { queue: 'b', limit: { key: 'one', max: 1, rate } }]) {
        await (await executor.enqueue(echo, 1, options)).result()
        await withdraw(executor, await executor.enqueue(echo, 2, options), how)
        await executor.drain()
        await executor.queue(options.queue).drain()
        assert.equal(clock.keepingAlive, 0, 'the process may end')
      }
    })
  })
}

describe('after a job that is next was withdrawn', () => {
  it('one that is lighter in its place begins', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'long' })
    await gate.reached(1)
    const unique = { key: 'only', onConflict: 'replace' } as const
    await executor.enqueue(echo, 'heavy', { weight: 2, unique })
    const light = await executor.enqueue(echo, 'light', { weight: 1, unique })
    assert.equal(await light.result(), 'light')
    gate.open()
  })

  it('those behind it no longer wait for room in their queue', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, threads: 4, queues: { default: { concurrency: 2 } } })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'long' })
    await gate.reached(1)
    const waiting = await executor.enqueue(heavy, {})
    const behind = await executor.enqueue(echo, 'behind')
    await withdraw(executor, waiting, 'cancel')
    assert.equal(await behind.result(), 'behind')
    gate.open()
  })

  it('the numbers of the next one hold for its key: its rate', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, clock: new FakeClock() })
    const slow = { limit: { key: 'one', max: 5, rate: HOURLY } }
    const fast = { limit: { key: 'one', max: 5 } }
    await (await executor.enqueue(echo, 1, slow)).result()
    const waiting = await executor.enqueue(echo, 2, slow)
    const behind = await executor.enqueue(echo, 'behind', fast)
    await withdraw(executor, waiting, 'cancel')
    assert.equal(await behind.result(), 'behind')
    await withdraw(executor, await executor.enqueue(echo, 3, slow), 'cancel')
    assert.equal(await (await executor.enqueue(echo, 'later', fast)).result(), 'later')
  })

  it('the numbers of the next one hold for its key: how many may run', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'long' }, { limit: { key: 'one', max: 1 } })
    await gate.reached(1)
    const waiting = await executor.enqueue(echo, 2, { limit: { key: 'one', max: 1 } })
    const behind = await executor.enqueue(echo, 'behind', { limit: { key: 'one', max: 2 } })
    await withdraw(executor, waiting, 'cancel')
    assert.equal(await behind.result(), 'behind')
    gate.open()
  })

  it('a rate that the one before it has used up is waited for by nobody', async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store: 'memory', jobs: JOBS, clock, queues: { default: { rate: HOURLY } } })
    await (await executor.enqueue(echo, 1)).result()
    for (const limit of [undefined, { key: 'one', max: 1 }]) {
      const options = limit === undefined ? {} : { limit }
      const [next, last] = await executor.enqueueMany(echo, ['next', 'last'], options)
      assert.ok(next !== undefined && last !== undefined)
      await withdraw(executor, last, 'cancel')
      clock.advance(3_600_000)
      assert.equal(await next.result(), 'next')
      await executor.drain()
      assert.equal(clock.keepingAlive, 0, 'the process may end')
    }
  })
})
