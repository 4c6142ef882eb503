/** Stores of earlier formats (`support/old-stores`) are opened, and become stores of today's. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { doctor } from '../../../src/index.js'
import { assertConsistent } from '../../support/executor.js'
import { formatOf, OLD_FORMATS, placeOldStore } from '../../support/old-stores.js'
import { jobsOf, openSample } from '../../support/sample-store.js'
import { tempDirectory } from '../../support/temp-directory.js'

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

for (const format of OLD_FORMATS) {
  it(`opens a store of format ${format}, with every job it holds, and makes it one of today's`, async (t) => {
    const directory = join(await tempDirectory(t), 'old')
    await placeOldStore(format, directory)
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
