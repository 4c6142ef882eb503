/** When claims pause, slow down and resume, and which thread goes: by a clock turned by hand, over memory that the test sets. */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { MEMORY_LOOK_MS, MEMORY_RESUME_LOOKS, MEMORY_THREAD_BYTES } from '../../../src/base/limits.js'
import { type MemoryThread, MemoryWatch } from '../../../src/maintenance/memory-watch.js'
import { FakeClock } from '../../support/fake-clock.js'

const LIMIT = 1000

function start(t: TestContext) {
  const clock = new FakeClock()
  const state = { rss: 0, isIdle: true, isRecycling: false, threads: [] as MemoryThread[] }
  const told: string[] = []
  const watch = new MemoryWatch({
    clock,
    limitBytes: LIMIT,
    rssBytes: () => state.rss,
    threads: () => state.threads,
    isRecycling: () => state.isRecycling,
    isIdle: () => state.isIdle,
    onChange: (action, rssBytes, threadId) =>
      told.push(`${action} at ${rssBytes}${threadId === undefined ? '' : `, thread ${threadId}`}, ${watch.mode}`),
  })
  t.after(() => watch.stop())
  const thread = (threadId: number, heldBytes: number): MemoryThread => ({
    threadId,
    heldBytes,
    recycle: () => {
      state.isRecycling = true
      state.threads = state.threads.filter((other) => other.threadId !== threadId)
    },
  })
  const look = (rss: number): void => {
    state.rss = rss
    clock.advance(MEMORY_LOOK_MS)
  }
  return { clock, state, told, watch, look, thread }
}

it('does nothing up to the limit', (t) => {
  const { told, watch, look, thread, state } = start(t)
  state.threads = [thread(1, 100 * MEMORY_THREAD_BYTES)]
  look(LIMIT)
  look(1)
  assert.deepEqual([told, watch.mode], [[], 'open'])
})

it('pauses above it, and resumes a good way below it at once', (t) => {
  const { told, look, state } = start(t)
  state.isIdle = false
  look(LIMIT + 1)
  look(LIMIT + 2)
  look(901)
  look(900)
  assert.deepEqual(told, ['paused at 1001, paused', 'resumed at 900, open'])
})

it('resumes a little below it after a while, counted anew when it goes above again', (t) => {
  const { told, look, state } = start(t)
  state.isIdle = false
  look(LIMIT + 1)
  for (let looks = 1; looks < MEMORY_RESUME_LOOKS; looks++) look(LIMIT)
  look(LIMIT + 1)
  for (let looks = 1; looks < MEMORY_RESUME_LOOKS; looks++) look(LIMIT)
  assert.deepEqual(told, ['paused at 1001, paused'])
  look(LIMIT)
  assert.deepEqual(told, ['paused at 1001, paused', 'resumed at 1000, open'])
})

it('replaces the thread that holds the most, one at a time, and none that a fresh one would not beat', (t) => {
  const { told, look, state, thread } = start(t)
  state.isIdle = false
  state.threads = [thread(1, MEMORY_THREAD_BYTES), thread(2, 3 * MEMORY_THREAD_BYTES), thread(3, MEMORY_THREAD_BYTES - 1)]
  look(2000)
  look(1900)
  assert.deepEqual(told, ['paused at 2000, paused', 'recycling at 2000, thread 2, paused'])
  state.isRecycling = false
  look(1800)
  state.isRecycling = false
  look(1700)
  assert.deepEqual(told.slice(2), ['recycling at 1800, thread 1, paused'])
})

it('slows down, once, when nothing runs and nothing is left to replace; jobs that run then do not pause it again', (t) => {
  const { told, watch, look, state, thread } = start(t)
  state.isIdle = false
  state.threads = [thread(1, MEMORY_THREAD_BYTES)]
  look(2000)
  state.isIdle = true
  look(2000)
  assert.equal(watch.mode, 'paused', 'a thread is being replaced: memory may fall yet')
  state.isRecycling = false
  look(2000)
  assert.equal(watch.mode, 'slowed')
  state.isIdle = false
  look(2000)
  state.isIdle = true
  look(2000)
  state.threads = [thread(2, MEMORY_THREAD_BYTES)]
  look(2000)
  state.isRecycling = false
  look(800)
  assert.deepEqual(told, [
    'paused at 2000, paused',
    'recycling at 2000, thread 1, paused',
    'slowed at 2000, slowed',
    'recycling at 2000, thread 2, slowed',
    'resumed at 800, open',
  ])
})

it('keeps the process alive while it holds jobs back, and only then', (t) => {
  const { clock, look, state, watch } = start(t)
  assert.equal(clock.keepingAlive, 0)
  state.isIdle = false
  look(2000)
  assert.equal(clock.keepingAlive, 1)
  state.isIdle = true
  look(2000)
  assert.equal(watch.mode, 'slowed')
  assert.equal(clock.keepingAlive, 0)
  watch.stop()
  assert.deepEqual(clock.waits, [])
})
