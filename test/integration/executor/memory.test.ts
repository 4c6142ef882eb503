/** `limits.memoryBytes`: claims pause above it, the thread that holds the most goes, and work never stops for good. */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import type { ExecutorEvents } from '../../../src/executor/events.js'
import { gated, span } from '../../fixtures/executor/jobs.js'
import { hoard } from '../../fixtures/executor/memory-jobs.js'
import { assertConsistent, nextEvent, setup } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'

const MIB = 1024 * 1024
const LIMITS = { timeout: 60_000 }

function memoryEvents(executor: Executor): ExecutorEvents['memory'][] {
  const told: ExecutorEvents['memory'][] = []
  executor.on('memory', (event) => told.push(event))
  return told
}

/** A look at memory keeps no process alive. */
function stayAlive(t: TestContext): void {
  const alive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(alive))
}

it('pauses claims above the limit, replaces the thread that holds it, and goes on', LIMITS, async (t) => {
  const limitBytes = process.memoryUsage.rss() + 128 * MIB
  const { executor } = await setup(t, { jobs: [hoard], limits: { memoryBytes: limitBytes } })
  const told = memoryEvents(executor)
  const gate = new Gate(t)
  const paused = nextEvent(executor, 'memory', ({ action }) => action === 'paused')
  const fat = await executor.enqueue(hoard, { megabytes: 192, gate: gate.name, tag: 'fat' })
  await gate.reached(1)
  const { rssBytes } = await paused
  assert.ok(rssBytes > limitBytes)
  const late = await executor.enqueueMany(
    hoard,
    Array.from({ length: 4 }, () => ({ megabytes: 0 })),
  )
  // It is stored, and no thread takes it, although one has nothing to do.
  for (let turn = 0; turn < 20; turn++) await executor.get(fat.id)
  const { running, available } = await executor.counts()
  assert.deepEqual([running, available], [1, 4])
  gate.open()
  const fatThread = await fat.result()
  const lateThreads = await Promise.all(late.map((job) => job.result()))
  assert.ok(!lateThreads.includes(fatThread), 'a job ran in the thread that was to be replaced')
  assert.deepEqual(
    told.map(({ action, threadId }) => [action, threadId]),
    [
      ['paused', undefined],
      ['recycling', fatThread],
      ['resumed', undefined],
    ],
  )
  assert.ok((told.at(-1)?.rssBytes ?? Infinity) <= limitBytes)
  await assertConsistent(executor)
})

it('takes back what no thread has begun', LIMITS, async (t) => {
  const memory = { bytes: 1 }
  const { executor } = await setup(t, { jobs: [gated], threads: 1, limits: { memoryBytes: 100 }, rssBytes: () => memory.bytes })
  const gate = new Gate(t)
  const jobs = await executor.enqueueMany(
    gated,
    ['a', 'b', 'c'].map((tag) => ({ gate: gate.name, tag })),
  )
  await gate.reached(1)
  const paused = nextEvent(executor, 'memory', ({ action }) => action === 'paused')
  memory.bytes = 101
  await paused
  for (let turn = 0; turn < 5; turn++) await executor.get(jobs[0]!.id)
  assert.deepEqual([(await executor.counts()).running, (await executor.counts()).available], [1, 2])
  const resumed = nextEvent(executor, 'memory', ({ action }) => action === 'resumed')
  memory.bytes = 50
  await resumed
  gate.open()
  assert.deepEqual(await Promise.all(jobs.map((job) => job.result())), ['a', 'b', 'c'])
  await assertConsistent(executor)
})

it('a host that is too large for its limit runs one job at a time, and all of them', LIMITS, async (t) => {
  stayAlive(t)
  const memory = { bytes: 1000 }
  const { executor } = await setup(t, { jobs: [gated, span], limits: { memoryBytes: 100 }, rssBytes: () => memory.bytes })
  const told = memoryEvents(executor)
  await nextEvent(executor, 'memory', ({ action }) => action === 'slowed')
  const jobs = await Promise.all(Array.from({ length: 8 }, () => executor.enqueue(span, { ms: 5 })))
  const spans = await Promise.all(jobs.map((job) => job.result()))
  for (const [index, one] of spans.entries()) {
    for (const other of spans.slice(index + 1)) assert.ok(one.to <= other.from || other.to <= one.from, 'two jobs ran at a time')
  }
  const gate = new Gate(t)
  const held = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
  await gate.reached(1)
  for (let turn = 0; turn < 20; turn++) await executor.get(held[0]!.id)
  assert.equal(gate.arrived.length, 1)
  memory.bytes = 10
  // Now both threads take jobs again.
  await gate.reached(2)
  gate.open()
  await executor.drain()
  assert.deepEqual(
    told.map(({ action }) => action),
    ['paused', 'slowed', 'resumed'],
  )
  await assertConsistent(executor)
})

it('a host that is too large for its limit runs jobs of every priority also where threads are reserved', LIMITS, async (t) => {
  stayAlive(t)
  const reserve = { threads: 1, priority: 10 }
  const { executor } = await setup(t, { jobs: [span], reserve, limits: { memoryBytes: 100 }, rssBytes: () => 1000 })
  await nextEvent(executor, 'memory', ({ action }) => action === 'slowed')
  const low = await executor.enqueue(span, {})
  await low.result()
  const high = await executor.enqueue(span, {}, { priority: 10 })
  await high.result()
})

it('without a listener a warning tells that jobs run one at a time', LIMITS, async (t) => {
  stayAlive(t)
  const warned = new Promise<Error>((resolve) => {
    const listener = (warning: Error): void => {
      if (warning.name !== 'MillraceMemory') return
      process.off('warning', listener)
      resolve(warning)
    }
    process.on('warning', listener)
  })
  const { executor } = await setup(t, { jobs: [span], limits: { memoryBytes: 100 }, rssBytes: () => 1000 })
  const job = await executor.enqueue(span, { ms: 0 })
  await job.result()
  assert.match((await warned).message, /limits\.memoryBytes is 100/)
})

it('closes while claims are paused', LIMITS, async (t) => {
  stayAlive(t)
  const memory = { bytes: 1 }
  const { executor, reopen } = await setup(t, {
    jobs: [gated],
    threads: 1,
    limits: { memoryBytes: 100 },
    rssBytes: () => memory.bytes,
  })
  const gate = new Gate(t)
  const job = await executor.enqueue(gated, { gate: gate.name, tag: 'a' })
  await gate.reached(1)
  const closed = new Promise((resolve) => executor.on('memory', () => resolve(executor.close({ grace: 0 }))))
  memory.bytes = 1000
  await closed
  gate.open()
  const again = await reopen({ limits: {} })
  assert.equal(await again.job(job.id).result(), 'a')
})
