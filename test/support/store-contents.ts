/** All records of a store that nobody has open, as text: two stores of one text hold the same. */
import { systemClock } from '../../src/base/clock.js'
import { TABLES } from '../../src/store/engine.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'

export async function dumpStore(directory: string): Promise<string> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  try {
    const lines = TABLES.map((table) =>
      engine.range(table, { limit: 1e6 }).map(({ key, value }) => `${table} ${key.toString('hex')} ${value.toString('hex')}`),
    )
    return lines.flat().join('\n')
  } finally {
    await engine.close()
  }
}
