/** Looking again and again: when, and until when. The clock is turned by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watch } from '../../../src/cli/shell/watch.js'
import { FakeClock } from '../../support/fake-clock.js'

function start(first: 'look' | 'pause', look: () => Promise<void>) {
  const clock = new FakeClock()
  let stop = (): void => undefined
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  return { clock, stop: () => stop(), over: watch({ clock, intervalMs: 100, stopped, first, look }) }
}

/** Everything that follows without time passing has followed. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

for (const first of ['look', 'pause'] as const) {
  test(`begins with a ${first}, and looks after each interval until it is told to stop`, async () => {
    let looks = 0
    const { clock, stop, over } = start(first, async () => void looks++)
    const before = first === 'look' ? 1 : 0
    await settled()
    assert.equal(looks, before)
    clock.advance(99)
    await settled()
    assert.equal(looks, before)
    clock.advance(1)
    await settled()
    assert.equal(looks, before + 1)
    clock.advance(100)
    await settled()
    assert.equal(looks, before + 2)
    stop()
    await over
    clock.advance(1000)
    await settled()
    assert.equal(looks, before + 2)
    assert.deepEqual(clock.waits, [])
  })
}

test('the interval begins when a look has ended, and a look that hangs holds up nobody who stops', async () => {
  let looks = 0
  const { clock, stop, over } = start('look', async () => {
    looks++
    await new Promise(() => undefined)
  })
  await settled()
  clock.advance(1000)
  await settled()
  assert.equal(looks, 1)
  stop()
  await over
})

test('a look that fails ends it', async () => {
  const { over } = start('look', async () => {
    throw new RangeError('no')
  })
  await assert.rejects(over, RangeError)
})
