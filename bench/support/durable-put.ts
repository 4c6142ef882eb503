/** One durable LMDB put at a time: what a sync costs here, without anything around it. */
import { join } from 'node:path'
import { open } from 'lmdb'
import { temporaryDirectory } from './temporary-directory.js'

export interface DurablePut {
  /** Resolves when the bytes are on disk. */
  readonly put: (value: Buffer) => Promise<void>
  readonly close: () => Promise<void>
}

export function durablePut(): DurablePut {
  const directory = temporaryDirectory()
  const root = open({
    path: join(directory.path, 'bare.mdb'),
    overlappingSync: false,
    eventTurnBatching: false,
    mapSize: 2 ** 36,
    maxDbs: 4,
  })
  const records = root.openDB<Buffer, number>({ name: 'records', encoding: 'binary' })
  let next = 1
  return {
    async put(value) {
      const key = next++
      await records.batch(() => {
        void records.put(key, value)
        if (key > KEPT) void records.remove(key - KEPT)
      })
    },
    async close() {
      await root.close()
      directory.remove()
    },
  }
}

/** Older records are removed, so that the file stays small. */
const KEPT = 1000
