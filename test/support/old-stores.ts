/**
 * Stores as earlier formats left them, kept as files: each is the sample store (`sample-store`) at the moment its process died, written
 * by the last version that had that format.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { systemClock } from '../../src/base/clock.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import { DATA_FILE } from '../../src/store/lmdb/store-directory.js'
import { readMeta } from '../../src/store/meta.js'

/** Every format but today's. */
export const OLD_FORMATS = [1] as const
export type OldFormat = (typeof OLD_FORMATS)[number]

/** From the compiled file to the sources, where data files stay. */
const STORES = new URL('../../../test/fixtures/stores/', import.meta.url)

/** Puts a store of that format into `directory`, which is made. */
export async function placeOldStore(format: OldFormat, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, DATA_FILE), gunzipSync(await readFile(new URL(`format-${format}.mdb.gz`, STORES))))
}

/** The format that a store tells. */
export async function formatOf(directory: string): Promise<number | undefined> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock, readOnly: true })
  try {
    return readMeta<{ format: number }>(engine, 'format')?.format
  } finally {
    await engine.close()
  }
}
