/**
 * A call withdraws jobs from a thread that is at another one: nothing of their queue and limit key is there any more, so that others may
 * go on with them at once.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Clock } from '../../../src/base/clock.js'
import { systemClock } from '../../../src/base/clock.js'
import { echo, gated } from '../../fixtures/executor/jobs.js'
import { setup } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'

/** No job is ever slow by it, so that what waits behind one is not taken back for that. */
function standingClock(): Clock {
  const at = systemClock.monotonicMs()
  return {
    now: () => systemClock.now(),
    monotonicMs: () => at,
    after: (delayMs, callback) => systemClock.after(delayMs, callback),
  }
}

for (const limited of ['queue', 'key'] as const) {
  describe(`jobs behind one that takes long, of a ${limited} with one thread`, () => {
    for (const how of ['cancel', 'discardMany', 'replace'] as const) {
      it(`go on elsewhere after one of them was withdrawn by ${how}`, async (t) => {
        const { executor } = await setup(t, {
          jobs: [gated, echo],
          threads: 1,
          queues: { default: {}, narrow: limited === 'queue' ? { concurrency: 1 } : {} },
          clock: standingClock(),
        })
        const gate = new Gate(t)
        const options = { queue: 'narrow', ...(limited === 'key' && { limit: { key: 'one', max: 1 } }) }
        const [, others, unique] = await Promise.all([
          executor.enqueue(gated, { gate: gate.name, tag: 'long' }),
          executor.enqueueMany(echo, [0, 1, 2], options),
          executor.enqueue(echo, 'first', { ...options, unique: { key: 'only' } }),
        ])
        await gate.reached(1)
        await executor.setThreads(2)
        const [first, second, third] = others
        if (how === 'cancel') assert.equal(await executor.cancel(second?.id ?? ''), true)
        if (how === 'discardMany') assert.equal((await executor.discardMany({ ids: [second?.id ?? ''] })).changed, 1)
        if (how === 'replace')
          await executor.enqueue(echo, 'other', { ...options, unique: { key: 'only', onConflict: 'replace' } })
        assert.deepEqual(await Promise.all([first, third, unique].map((job) => job?.result())), [
          0,
          2,
          how === 'replace' ? 'other' : 'first',
        ])
        gate.open()
      })
    }
  })
}
