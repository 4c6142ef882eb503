/**
 * Promises 6 and 7: no step grows with what waits, lies far ahead, or is over, and what waits lies on disk. Counted, not timed: the
 * records that an executor reads and writes for one call, with few jobs in the store and with many.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Executor } from '../../../src/index.js'
import type { Engine } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo } from '../../fixtures/executor/jobs.js'
import { lasting, setup } from '../../support/executor.js'

/** More than is held in memory of what waits. */
const FEW = 20_000
const MANY = 60_000
/** Records that one call may read or write more with the larger store: the depth of a tree, and where pages happen to end. */
const MARGIN = 4
const QUEUES = { default: {}, heap: {} }
/** Opening reads a record for each group of finished jobs that is kept. */
const KEEP = { jobs: 300, age: Infinity } as const

interface Counted {
  reads: number
  writes: number
}

function counting(engine: Engine, counted: Counted): Engine {
  return {
    get: (table, key) => {
      counted.reads++
      return engine.get(table, key)
    },
    range: (table, options) => {
      const found = engine.range(table, options)
      counted.reads += 1 + found.length
      return found
    },
    commit: async (batch) => {
      counted.writes += batch.length
      await engine.commit(batch)
    },
    stats: () => engine.stats(),
    close: () => engine.close(),
  }
}

/** What each call costs, by name, in records, over a store with so many jobs waiting, so many scheduled and so many completed. */
type Costs = Readonly<Record<string, Counted>>

it('a call reads and writes as many records with many jobs in the store as with few', async (t) => {
  const costsOf = async (jobs: number, spoil: (engine: Engine) => Engine = (engine) => engine): Promise<Costs> => {
    const counted: Counted = { reads: 0, writes: 0 }
    const engine = lasting(counting(createMemoryEngine(), counted))
    const first = await setup(t, { engine, jobs: [echo], threads: 1, queues: QUEUES, retain: KEEP })
    const ids = await fill(first.executor, jobs)
    await first.executor.close({ grace: 0 })
    const costs: Record<string, Counted> = {}
    const cost = async (name: string, call: () => Promise<unknown>): Promise<void> => {
      Object.assign(counted, { reads: 0, writes: 0 })
      await call()
      costs[name] = { ...counted }
    }
    let executor!: Executor
    await cost('open', async () => {
      executor = await first.reopen({ engine: spoil(engine) })
    })
    const run = async (): Promise<unknown> => (await executor.enqueue(echo, 'new')).result()
    await run()
    await cost('enqueue, run, result', run)
    await cost('enqueueMany', () => executor.enqueueMany(echo, ['a', 'b', 'c'], { queue: 'heap' }))
    await cost('enqueue of a delayed one', () => executor.enqueue(echo, 'later', { delay: '1h' }))
    await cost('cancel', async () => assert.equal(await executor.cancel(ids.waiting), true))
    await cost('cancel of a scheduled one', async () => assert.equal(await executor.cancel(ids.scheduled), true))
    await cost('get', async () => assert.equal((await executor.get(ids.done))?.state, 'completed'))
    await cost('the first of a list', async () => {
      for await (const { state } of executor.list({ state: 'available' })) if (state === 'available') break
    })
    await cost('retry', async () => assert.equal(await executor.retry(ids.waiting), true))
    await cost('counts', () => executor.counts())
    await cost('stats', async () => executor.stats())
    await cost('pause and resume', async () => {
      await executor.queue('default').pause()
      await executor.queue('default').resume()
    })
    await cost('concurrency', () => executor.queue('heap').setConcurrency(1))
    await cost('close', () => executor.close({ grace: 0 }))
    return costs
  }
  const few = await costsOf(FEW)
  const many = await costsOf(MANY)
  t.diagnostic(JSON.stringify(many))
  assert.deepEqual(grown(few, many), [])
  const spoilt = await costsOf(MANY, scanning)
  assert.notDeepEqual(grown(few, spoilt), [], 'an engine that goes through a table at each commit was not seen')
})

function grown(few: Costs, many: Costs): string[] {
  return Object.entries(many).flatMap(([name, { reads, writes }]) => {
    const before = few[name] ?? { reads: 0, writes: 0 }
    const isMore = reads > before.reads + MARGIN || writes > before.writes + MARGIN
    return isMore ? [`${name}: ${JSON.stringify(before)} with few jobs, ${JSON.stringify({ reads, writes })} with many`] : []
  })
}

/** A planted fault. */
function scanning(engine: Engine): Engine {
  return {
    ...lasting(engine),
    commit: async (batch) => {
      engine.range('pages', { limit: 200 })
      await engine.commit(batch)
    },
  }
}

/** Jobs that wait in a queue of their own, which is paused, that are scheduled, and that are completed. */
async function fill(executor: Executor, jobs: number): Promise<Record<'waiting' | 'scheduled' | 'done', string>> {
  await executor.queue('heap').pause()
  const inputs = Array.from({ length: 250 }, (_, n) => n)
  let waiting = ''
  let scheduled = ''
  let done = ''
  for (let at = 0; at < jobs; at += inputs.length) {
    const [first] = await executor.enqueueMany(echo, inputs, { queue: 'heap' })
    const [later] = await executor.enqueueMany(echo, inputs, { queue: 'heap', delay: 3_600_000 + at })
    const ended = await executor.enqueueMany(echo, inputs)
    await Promise.all(ended.map((job) => job.result()))
    waiting = first?.id ?? ''
    scheduled = later?.id ?? ''
    done = ended[0]?.id ?? ''
  }
  return { waiting, scheduled, done }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of JavaScript and of what it holds outside of its heap. */
function heldBytes(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

it('what waits lies on disk, not in memory', async (t) => {
  const jobs = 30_000
  const bytes = 2000
  const growthOf = async (keep: (engine: Engine) => Engine): Promise<number> => {
    const { executor, engine } = await setup(t, { jobs: [echo], threads: 1, queues: QUEUES, durability: 'process' })
    await executor.close({ grace: 0 })
    const kept = await setup(t, { engine: lasting(keep(await engine())), jobs: [echo], threads: 1, queues: QUEUES })
    await kept.executor.queue('heap').pause()
    const before = heldBytes()
    for (let at = 0; at < jobs; at += 100) {
      const inputs = Array.from({ length: 100 }, (_, n) => `${at + n} ${'x'.repeat(bytes)}`)
      await kept.executor.enqueueMany(echo, inputs, { queue: 'heap' })
    }
    const grownBytes = heldBytes() - before
    await kept.executor.close({ grace: 0 })
    return grownBytes
  }
  const held = await growthOf((engine) => engine)
  t.diagnostic(`${jobs} jobs of ${bytes} bytes wait: ${Math.round(held / 1000)} kB more`)
  assert.ok(held < (jobs * bytes) / 4, `${held} bytes more are held`)
  const all: unknown[] = []
  const keeping = (engine: Engine): Engine => ({
    ...lasting(engine),
    commit: async (batch) => {
      all.push(batch.values.map((value) => value && Buffer.from(value)))
      await engine.commit(batch)
    },
  })
  assert.ok((await growthOf(keeping)) > (jobs * bytes) / 2, 'an engine that keeps what it is given was not seen')
})
