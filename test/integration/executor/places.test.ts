/** Jobs whose place in the store could be taken by others, or passed over. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { auditStore } from '../../../src/maintenance/store-audit.js'
import { failing, gated } from '../../fixtures/executor/jobs.js'
import { assertConsistent, inState, mortal, nextEvent, setup, STORES } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const MINUTE_MS = 60_000

for (const store of STORES) {
  describe(`places, ${store}`, () => {
    for (const by of ['retry', 'cancel and retry'] as const)
      it(`of jobs delayed together are theirs when the first of them, brought forward by ${by}, is retried at their instant`, async (t) => {
        const clock = new FakeClock()
        const { executor, engine, reopen } = await setup(t, { store, jobs: [failing], threads: 1, clock })
        const options = { delay: '1m', backoff: { type: 'fixed', delay: MINUTE_MS } } as const
        const handles = await executor.enqueueMany(failing, [{ times: 1 }, { times: 0 }, { times: 0 }], options)
        const [first = '', ...others] = handles.map(({ id }) => id)
        if (by === 'cancel and retry') await executor.cancel(first)
        const failed = nextEvent(executor, 'retried', ({ runAt }) => runAt > clock.now())
        assert.equal(await executor.retry(first), true)
        await failed
        const infos = await Promise.all([first, ...others].map((id) => executor.get(id)))
        assert.deepEqual(
          infos.map((info) => info?.runAt),
          [0, 1, 2].map(() => clock.now() + MINUTE_MS),
          'all of them are due at one instant',
        )
        assert.deepEqual(
          infos.map((info) => info?.state),
          ['retryable', 'scheduled', 'scheduled'],
        )
        await assertConsistent(executor)
        await executor.close()
        const again = await reopen()
        clock.advance(MINUTE_MS)
        await again.drain()
        for (const id of [first, ...others]) assert.equal((await again.get(id))?.state, 'completed')
        await again.close()
        assert.deepEqual(auditStore(await engine(), { keepsAll: true }).problems, [])
      })
  })
}

it('a rescued job that is interrupted in a queue that goes on at once is not passed over', async (t) => {
  const gate = new Gate(t)
  const { engine, remains, crash } = mortal()
  const before = await setup(t, { engine, jobs: [gated], threads: 2 })
  const job = await before.executor.enqueue(gated, { gate: gate.name, tag: 'rescued' })
  await gate.reached(1)
  crash()
  await before.executor.close({ grace: 0 })

  const { executor } = await setup(t, { engine: remains, jobs: [gated], threads: 2, abortGrace: 0 })
  const result = executor.job(job.id).result()
  await gate.reached(2)
  const queue = executor.queue('default')
  const paused = queue.pause({ interrupt: true })
  await queue.resume()
  await paused
  await Promise.race([gate.reached(3), executor.drain()])
  assert.equal(gate.arrived.length, 3, 'it began again')
  gate.open()
  assert.equal(await result, 'rescued')
  await inState(executor, job.id, 'completed')
})
