/** `compact`: the same store in a smaller file. What a kill leaves: `killed.test`. */
import assert from 'node:assert/strict'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { compact } from '../../../src/maintenance/compact.js'
import { type Entry, type Table, TABLES, WriteBatch } from '../../../src/store/engine.js'
import { acquireDirectoryLock } from '../../../src/store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { withCode } from '../../support/executor.js'
import { makeSampleStore } from '../../support/sample-store.js'
import { tempDirectory } from '../../support/temp-directory.js'

async function withEngine<T>(
  directory: string,
  work: (engine: Awaited<ReturnType<typeof openLmdbEngine>>) => T,
): Promise<Awaited<T>> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  try {
    return await work(engine)
  } finally {
    await engine.close()
  }
}

function contents(directory: string): Promise<Record<Table, Entry[]>> {
  return withEngine(
    directory,
    (engine) => Object.fromEntries(TABLES.map((table) => [table, engine.range(table, { limit: 1e6 })])) as Record<Table, Entry[]>,
  )
}

/** A store that was once larger than it is. */
async function shrunkenStore(directory: string): Promise<void> {
  await makeSampleStore(directory, 50)
  await withEngine(directory, async (engine) => {
    for (const remove of [false, true]) {
      for (let step = 0; step < 20; step++) {
        const batch = new WriteBatch()
        for (let number = 0; number < 50; number++) {
          const key = Buffer.of(9, step, number)
          if (remove) batch.remove('payloads', key)
          else batch.put('payloads', key, Buffer.alloc(9000, number))
        }
        await engine.commit(batch)
      }
    }
  })
}

describe('compact', () => {
  it('keeps every record and gives back what is free', async (t) => {
    const directory = await tempDirectory(t)
    await shrunkenStore(directory)
    const before = await contents(directory)
    const report = await compact(directory)
    assert.ok(report.isReplaced)
    assert.ok(report.afterBytes * 10 < report.beforeBytes, `${report.beforeBytes} → ${report.afterBytes}`)
    assert.equal(report.afterBytes, (await stat(join(directory, 'jobs.mdb'))).size)
    assert.equal(
      report.records,
      Object.values(before).reduce((sum, entries) => sum + entries.length, 0),
    )
    assert.deepEqual(await contents(directory), before)
    assert.deepEqual((await readdir(directory)).sort(), ['jobs.mdb', 'jobs.mdb-lock'])
    if (process.platform !== 'win32') assert.equal((await stat(join(directory, 'jobs.mdb'))).mode & 0o777, 0o600)
    const again = await compact(directory)
    assert.equal(again.isReplaced, false)
    assert.equal(again.afterBytes, report.afterBytes)
  })

  it('refuses a store in use, and a directory without one', async (t) => {
    const directory = await tempDirectory(t)
    await makeSampleStore(directory, 10)
    const lock = await acquireDirectoryLock(directory)
    await assert.rejects(compact(directory), withCode('MILLRACE_LOCKED'))
    lock.release()
    const absent = join(directory, 'absent')
    await assert.rejects(compact(absent), withCode('MILLRACE_STORE_UNUSABLE', /no store in it/))
    await assert.rejects(stat(absent), /ENOENT/)
  })

  it('removes what a killed one left aside', async (t) => {
    const directory = await tempDirectory(t)
    await makeSampleStore(directory, 10)
    await mkdir(join(directory, 'millrace.compact'))
    await writeFile(join(directory, 'millrace.compact', 'jobs.mdb'), 'half a file')
    await compact(directory)
    assert.deepEqual((await readdir(directory)).sort(), ['jobs.mdb', 'jobs.mdb-lock'])
  })
})
