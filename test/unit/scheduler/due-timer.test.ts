import assert from 'node:assert/strict'
import { it } from 'node:test'
import { MAX_TIMER_MS } from '../../../src/base/limits.js'
import { DueTimer } from '../../../src/scheduler/due-timer.js'
import { FakeClock } from '../../support/fake-clock.js'

function start(): { clock: FakeClock; timer: DueTimer; fired: number[]; begin: number } {
  const clock = new FakeClock()
  const fired: number[] = []
  const begin = clock.now()
  return { clock, fired, begin, timer: new DueTimer(clock, () => fired.push(clock.now() - begin)) }
}

it('fires once, at the instant and not before', () => {
  const { clock, timer, fired, begin } = start()
  timer.arm(begin + 500)
  assert.deepEqual(clock.waits, [500])
  clock.advance(499)
  assert.deepEqual(fired, [])
  clock.advance(1)
  assert.deepEqual(fired, [500])
  clock.advance(100_000)
  assert.deepEqual(fired, [500])
})

it('fires at once for what is past', () => {
  const { clock, timer, fired, begin } = start()
  timer.arm(begin - 1_000_000)
  clock.advance(0)
  assert.deepEqual(fired, [0])
})

it('has one timer, whatever it is armed for in turn', () => {
  const { clock, timer, fired, begin } = start()
  for (const delay of [900, 100, 300, 300, Infinity, 200]) timer.arm(begin + delay)
  assert.deepEqual(clock.waits, [200])
  timer.arm(Infinity)
  assert.deepEqual(clock.waits, [])
  timer.arm(begin + 50)
  timer.stop()
  assert.deepEqual(clock.waits, [])
  clock.advance(1000)
  assert.deepEqual(fired, [])
})

it('sleeps no longer than the cap, and fires when it should all the same', () => {
  const { clock, timer, fired, begin } = start()
  const far = 365 * 24 * 60 * 60 * 1000
  timer.arm(begin + far)
  assert.deepEqual(clock.waits, [MAX_TIMER_MS])
  clock.advance(10 * MAX_TIMER_MS)
  assert.deepEqual([clock.waits.length, fired.length], [1, 0])
  clock.advance(far - 10 * MAX_TIMER_MS - 1)
  assert.deepEqual(fired, [])
  clock.advance(1)
  assert.deepEqual(fired, [far])
})

it('notices a clock set forward within the cap', () => {
  const { clock, timer, fired, begin } = start()
  timer.arm(begin + 3_600_000)
  clock.advance(1000)
  clock.jump(3_600_000)
  clock.advance(MAX_TIMER_MS - 1001)
  assert.deepEqual(fired, [])
  clock.advance(1)
  assert.equal(fired.length, 1)
})

it('sleeps on when the clock was set back', () => {
  const { clock, timer, fired, begin } = start()
  timer.arm(begin + 1000)
  clock.jump(-60_000)
  clock.advance(1000)
  assert.deepEqual(fired, [], 'it fired a minute early')
  clock.advance(59_999)
  assert.deepEqual(fired, [])
  clock.advance(1)
  assert.deepEqual(fired, [1000])
})

it('keeps the process alive only while somebody waits', () => {
  const { clock, timer, begin } = start()
  timer.arm(begin + 1000)
  assert.equal(clock.keepingAlive, 0)
  timer.keepAlive(true)
  assert.equal(clock.keepingAlive, 1)
  timer.arm(begin + 2000)
  assert.equal(clock.keepingAlive, 1, 'a timer armed anew forgot it')
  timer.keepAlive(false)
  assert.equal(clock.keepingAlive, 0)
  timer.arm(Infinity)
  timer.keepAlive(true)
  timer.arm(begin + 3000)
  assert.equal(clock.keepingAlive, 1)
  timer.stop()
})

it('tells of each waking at which nothing is due, when it sleeps again already', () => {
  const clock = new FakeClock()
  const early: number[] = []
  const fired: number[] = []
  const begin = clock.now()
  const timer = new DueTimer(
    clock,
    () => fired.push(clock.now() - begin),
    () => early.push(clock.waits.length),
  )
  timer.arm(begin + MAX_TIMER_MS + 500)
  clock.advance(MAX_TIMER_MS)
  assert.deepEqual([early, fired], [[1], []])
  clock.jump(-1000)
  clock.advance(500)
  assert.deepEqual([early, fired], [[1, 1], []])
  clock.advance(1000)
  assert.deepEqual([early, fired], [[1, 1], [MAX_TIMER_MS + 500]])
})
