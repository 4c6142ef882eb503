import type { TestContext } from 'node:test'

import { systemClock } from '../../src/base/clock.js'
import { WriteBatch, type Engine } from '../../src/store/engine.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { tempDirectory } from '../support/temp-directory.js'
import { engineConformance, type OpenedEngine } from './engine.suite.js'

async function openLmdb(t: TestContext, durability: 'disk' | 'process', mapSize?: number): Promise<OpenedEngine> {
  const directory = await tempDirectory(t)
  const options = { durability, clock: systemClock, ...(mapSize !== undefined && { mapSize }) }
  let engine = await openLmdbEngine(directory, options)
  t.after(() => engine.close())
  const reopen = async (): Promise<Engine> => {
    await engine.close()
    engine = await openLmdbEngine(directory, options)
    return engine
  }
  return { engine, reopen }
}

function batchOf(valueBytes: number): WriteBatch {
  const batch = new WriteBatch()
  batch.put('meta', Buffer.from('half'), Buffer.from('written'))
  batch.put('payloads', Buffer.from('large'), Buffer.alloc(valueBytes))
  batch.put('claims', Buffer.from('half'), Buffer.from('written'))
  return batch
}

for (const durability of ['disk', 'process'] as const) {
  engineConformance(`LMDB, durability ${durability}`, {
    open: (t) => openLmdb(t, durability),
    openFailing: async (t) => ({ ...(await openLmdb(t, durability, 4 * 2 ** 20)), failing: batchOf(4 * 2 ** 20) }),
  })
}

engineConformance('memory', {
  open: async () => ({ engine: createMemoryEngine() }),
  openFailing: async (_t, good) => ({
    engine: createMemoryEngine({ failCommit: (number) => (number > good ? new Error('planted') : undefined) }),
    failing: batchOf(16),
  }),
})
