/** What the doctor tells of a store that is no problem: who reads it, and how near its file is to the end of its map. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey } from '../../../src/codec/keys.js'
import { doctor } from '../../../src/index.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { acquireDirectoryLock } from '../../../src/store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { withCode } from '../../support/executor.js'
import { makeSampleStore, openSample } from '../../support/sample-store.js'
import { tempDirectory } from '../../support/temp-directory.js'

const READER = fileURLToPath(new URL('../../fixtures/maintenance/read-store.js', import.meta.url))

/** A process that reads the store. */
async function reader(
  t: TestContext,
  directory: string,
): Promise<{ readonly pid: number | undefined; readonly kill: () => Promise<void> }> {
  const child = spawn(process.execPath, [READER, directory], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return {
    pid: child.pid,
    kill: async () => {
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

describe('readers', () => {
  it('are counted while they live, with an executor at work and without, and those that died are not', async (t) => {
    const directory = join(await tempDirectory(t), 'store')
    await makeSampleStore(directory, 5)
    const [one, two] = [await reader(t, directory), await reader(t, directory)]
    assert.equal((await doctor(directory)).facts?.readers, 2)
    const executor = await openSample(directory)
    t.after(() => executor.close({ grace: 0 }))
    assert.equal((await doctor(directory)).facts?.readers, 2, 'an executor reads within its turns only')
    await one.kill()
    const { facts, verdict, notes } = await doctor(directory)
    assert.deepEqual([facts?.readers, verdict], [1, 'healthy'])
    assert.match(notes.join(), new RegExp(`process ${two.pid} reads the file: no page`))
    await two.kill()
    const after = await doctor(directory)
    assert.equal(after.facts?.readers, 0)
    assert.doesNotMatch(after.notes.join(), /reads the file/)
  })
})

describe('the map', () => {
  it('is told to be nearly full before commits are refused, as long as the store is open', async (t) => {
    const directory = join(await tempDirectory(t), 'store')
    const mapSize = 16 * 2 ** 20
    const lock = await acquireDirectoryLock(directory)
    const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock, mapSize })
    t.after(() => engine.close())
    const fill = async (number: number): Promise<void> => {
      const batch = new WriteBatch()
      batch.put('meta', metaKey(`filler:${number}`), Buffer.alloc(200_000, number))
      await engine.commit(batch)
    }
    await fill(0)
    const roomy = await doctor(directory)
    assert.equal(roomy.facts?.mapBytes, mapSize)
    assert.doesNotMatch(roomy.notes.join(), /may grow/)
    await assert.rejects(
      async () => {
        for (let number = 1; ; number++) await fill(number)
      },
      withCode('MILLRACE_STORE_FAILED', /map full/),
    )
    const full = await doctor(directory)
    assert.match(full.notes.join(), new RegExp(`of the ${mapSize} bytes that it may grow to`))
    lock.release()
    await engine.close()
    // Whoever opens it next has room again.
    assert.doesNotMatch((await doctor(directory)).notes.join(), /may grow/)
  })
})
