/** What goes on beside a thread that native code holds and that is not replaced. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { where } from '../../fixtures/threads/jobs.js'
import { piped, wide } from '../../fixtures/threads/piped.js'
import { NativeHold } from '../../support/native-hold.js'
import { exitOf, LIMITS, liveThreads, open } from '../../support/open.js'

const JOBS = [piped, wide, where]
const LISTEN = ['stuck', 'discarded', 'memory'] as const

test('a heavy job takes the threads that are left', LIMITS, async (t) => {
  const hold = new NativeHold(t)
  const queues = { held: {}, heavy: {}, light: {} }
  const { executor, until } = await open(t, { jobs: JOBS, threads: 3, maxStuckThreads: 0, queues, listen: LISTEN })
  await executor.enqueue(piped, hold.pipe, { queue: 'held' })
  const { threadId } = await until('stuck')
  const heavy = await executor.enqueue(wide, undefined, { queue: 'heavy' })
  const light = await executor.enqueue(where, undefined, { queue: 'light' })
  await Promise.all([heavy.result(), light.result()])
  assert.ok(liveThreads().includes(threadId), 'they waited for the native code')
})

test('a heavy job that waits for a thread begins without it when native code keeps it', LIMITS, async (t) => {
  const hold = new NativeHold(t)
  const { executor } = await open(t, { jobs: JOBS, threads: 3, maxStuckThreads: 0, queues: { held: {}, heavy: {} } })
  const held = await executor.enqueue(piped, hold.pipe, { queue: 'held' })
  const heavy = await executor.enqueue(wide, undefined, { queue: 'heavy' })
  await heavy.result()
  assert.equal((await executor.get(held.id))?.state, 'running')
})

test('a thread is replaced as soon as another one that was ends', LIMITS, async (t) => {
  const [first, second] = [new NativeHold(t), new NativeHold(t)]
  const { executor, until } = await open(t, { jobs: JOBS, threads: 1, maxStuckThreads: 1, listen: LISTEN })
  const a = await executor.enqueue(piped, first.pipe)
  await until('stuck', ({ job }) => job?.id === a.id)
  const b = await executor.enqueue(piped, second.pipe)
  const { threadId } = await until('stuck', ({ job }) => job?.id === b.id)
  assert.deepEqual([executor.stats().stuckThreads, liveThreads().length], [2, 2])
  const other = await executor.enqueue(where, undefined)
  first.release()
  await until('discarded', ({ job }) => job.id === a.id)
  assert.notEqual(await other.result(), threadId)
  assert.deepEqual([executor.stats().stuckThreads, liveThreads().length], [1, 2])
  second.release()
  await until('discarded', ({ job }) => job.id === b.id)
  assert.deepEqual([executor.stats().stuckThreads, liveThreads().length], [0, 1])
})

test('a pause for the sake of memory ends', LIMITS, async (t) => {
  const hold = new NativeHold(t)
  const memory = { bytes: 1 }
  const { executor, until } = await open(t, {
    jobs: JOBS,
    threads: 2,
    maxStuckThreads: 0,
    limits: { memoryBytes: 100 },
    surroundings: { rssBytes: () => memory.bytes },
    listen: LISTEN,
  })
  await executor.enqueue(piped, hold.pipe)
  const { threadId } = await until('stuck')
  memory.bytes = 1000
  await until('memory', ({ action }) => action === 'slowed')
  await (await executor.enqueue(where, undefined)).result()
  assert.ok(liveThreads().includes(threadId), 'it waited for the native code')
})

test('of surplus threads the one that is held ends first', LIMITS, async (t) => {
  const hold = new NativeHold(t)
  const { executor, until } = await open(t, { jobs: JOBS, threads: 2, maxStuckThreads: 0, listen: LISTEN })
  const held = await executor.enqueue(piped, hold.pipe)
  const { threadId } = await until('stuck')
  await executor.setThreads(1)
  const other = await (await executor.enqueue(where, undefined)).result()
  assert.ok(liveThreads().includes(threadId), 'it waited for the native code')
  hold.release()
  await until('discarded', ({ job }) => job.id === held.id)
  await exitOf(threadId)
  assert.equal(executor.stats().stuckThreads, 0)
  assert.equal(await (await executor.enqueue(where, undefined)).result(), other)
})
