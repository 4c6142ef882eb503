/** `list({ payloads: false })` is for stores of large payloads: none is decoded, and none that lies apart is read. */
import assert from 'node:assert/strict'
import { syncBuiltinESMExports } from 'node:module'
import { describe, it, type TestContext } from 'node:test'
import v8 from 'node:v8'
import { systemClock } from '../../../src/base/clock.js'
import type { Engine } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, gated, obedient } from '../../fixtures/executor/jobs.js'
import { listed, nextEvent, setup, STORES } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { tempDirectory } from '../../support/temp-directory.js'

const MARK = 'what a payload says'

interface Reads {
  /** Payloads decoded on the main thread. */
  decoded: number
  /** Reads of the table of payloads that lie apart. */
  apart: number
}

/** Counts in the engine, and in the two functions by which a payload becomes a value. */
function counted(t: TestContext, inner: Engine): { engine: Engine; reads: Reads } {
  const reads: Reads = { decoded: 0, apart: 0 }
  const { parse } = JSON
  t.mock.method(JSON, 'parse', (text: string, ...rest: []) => {
    if (text.includes(MARK)) reads.decoded++
    return parse(text, ...rest) as unknown
  })
  const { deserialize } = v8
  t.mock.method(v8, 'deserialize', (bytes: Uint8Array) => {
    if (Buffer.from(bytes).includes(MARK)) reads.decoded++
    return deserialize(bytes) as unknown
  })
  syncBuiltinESMExports()
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
  const engine: Engine = {
    get: (table, key) => {
      if (table === 'payloads') reads.apart++
      return inner.get(table, key)
    },
    range: (table, options) => {
      if (table === 'payloads') reads.apart++
      return inner.range(table, options)
    },
    commit: (batch) => inner.commit(batch),
    stats: () => inner.stats(),
    close: () => inner.close(),
  }
  return { engine, reads }
}

for (const store of STORES) {
  describe(`list without payloads, ${store}`, () => {
    it('decodes none and reads none that lies apart, of jobs in every state', async (t) => {
      const inner =
        store === 'memory'
          ? createMemoryEngine()
          : await openLmdbEngine(await tempDirectory(t), { durability: 'process', clock: systemClock })
      const { engine, reads } = counted(t, inner)
      const { executor } = await setup(t, { engine, jobs: [echo, gated, obedient], queues: { default: {}, held: {} } })
      await executor.queue('held').pause()
      // As JSON, as structured clone, and apart from the job's record.
      const inputs = [MARK, new Map([[MARK, 1]]), MARK.repeat(100_000)]
      for (const job of await executor.enqueueMany(echo, inputs)) await job.result()
      const retried = nextEvent(executor, 'retried')
      await executor.enqueue(obedient, { do: 'fail', text: MARK } as never, { backoff: { type: 'fixed', delay: '1h' } })
      await retried
      await executor.enqueueMany(echo, inputs, { queue: 'held' })
      await executor.enqueueMany(echo, inputs, { queue: 'held', delay: '1h' })
      for (const end of ['cancelMany', 'discardMany'] as const) {
        const handles = await executor.enqueueMany(echo, inputs, { queue: 'held' })
        await executor[end]({ ids: handles.map(({ id }) => id) })
      }
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: MARK })
      await gate.reached(1)
      Object.assign(reads, { decoded: 0, apart: 0 })

      const without = await listed(executor, { payloads: false })
      assert.deepEqual(reads, { decoded: 0, apart: 0 })
      const states = ['available', 'cancelled', 'completed', 'discarded', 'retryable', 'running', 'scheduled']
      assert.deepEqual([...new Set(without.map(({ state }) => state))].toSorted(), states)
      assert.ok(without.every(({ input }) => input === undefined))
      assert.ok(without.every((job) => !('output' in job) || job.output === undefined))

      const having = await listed(executor)
      // 17 inputs and 3 outputs, of which the 5 large inputs and the large output lie apart: the counts above can count.
      assert.deepEqual(reads, { decoded: 20, apart: 6 })
      assert.deepEqual(
        having.map(({ id, state }) => [id, state]),
        without.map(({ id, state }) => [id, state]),
      )
      gate.open()
    })
  })
}
