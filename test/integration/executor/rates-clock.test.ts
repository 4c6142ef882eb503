/** What waits for a rate goes on after the span that the rate names, also when the clock was set back meanwhile. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { echo } from '../../fixtures/executor/jobs.js'
import { setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'

const RATE = { max: 1, per: 1000 } as const
const HOUR_MS = 3_600_000
const SPANS = 5

for (const of of ['queue', 'key'] as const) {
  it(`of a ${of}`, async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, {
      jobs: [echo],
      threads: 1,
      clock,
      queues: { default: of === 'queue' ? { rate: RATE } : {} },
    })
    const options = of === 'key' ? { limit: { key: 'one', max: 9, rate: RATE } } : {}
    const [first, second] = await executor.enqueueMany(echo, [1, 2], options)
    await first?.result()
    await executor.counts()
    clock.jump(-HOUR_MS)
    // The timer that was set before the jump, and those that are set then: each span is waited for by a turn.
    for (let span = 0; span < SPANS; span++) {
      clock.advance(RATE.per)
      await executor.counts()
      await new Promise(setImmediate)
    }
    assert.equal((await executor.counts()).available, 0, 'it has not begun')
    assert.equal(await second?.result(), 2)
  })
}
