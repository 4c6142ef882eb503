/**
 * Stores as earlier formats left them, kept as files: each is the sample store (`support/sample-store`) at the moment its process died,
 * written by the last version that had that format.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey } from '../../../src/codec/keys.js'
import { doctor } from '../../../src/index.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import { jobsOf, openSample } from '../../support/sample-store.js'
import { tempDirectory } from '../../support/temp-directory.js'
import { assertConsistent } from '../../support/executor.js'

/** From the compiled file to the sources, where data files stay. */
const STORES = new URL('../../../../test/fixtures/stores/', import.meta.url)

/** The format that a store tells. */
async function formatOf(directory: string): Promise<unknown> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  const record = engine.get('meta', metaKey('format'))
  await engine.close()
  return (JSON.parse(record?.toString('utf8') ?? '') as { format: unknown }).format
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

for (const format of [1]) {
  it(`opens a store of format ${format}, with every job it holds, and makes it one of today's`, async (t) => {
    const directory = join(await tempDirectory(t), 'old')
    await mkdir(directory)
    const bytes = gunzipSync(await readFile(new URL(`format-${format}.mdb.gz`, STORES)))
    await writeFile(join(directory, DATA_FILE), bytes)
    assert.equal(await formatOf(directory), format)
    const { facts } = await doctor(directory)
    const counts = Object.values(facts?.jobs ?? {})
    assert.equal(counts.length, 6)
    assert.ok(
      counts.every((count) => count > 0),
      'something of everything',
    )

    const executor = await openSample(directory)
    t.after(() => executor.close({ grace: 0 }))
    assert.equal((await jobsOf(executor)).size, sum(counts))
    assert.equal(executor.recovery.rescued.length, facts?.claimed)
    for await (const { id } of executor.list({ name: 'patient' })) await executor.cancel(id)
    await executor.drain()
    await assertConsistent(executor)
    await executor.close({ grace: 0 })
    assert.equal((await doctor(directory)).verdict, 'healthy')
    assert.notEqual(await formatOf(directory), format)
  })
}
