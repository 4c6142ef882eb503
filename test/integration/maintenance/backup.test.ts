/** `executor.backup()`: a copy of a store in use, whole or not there. */
import assert from 'node:assert/strict'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { backupStore } from '../../../src/maintenance/backup.js'
import { systemClock } from '../../../src/base/clock.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, patient } from '../../fixtures/executor/jobs.js'
import { setup, withCode } from '../../support/executor.js'
import { jobsOf } from '../../support/sample-store.js'
import { checkStore } from '../../support/store-check.js'
import { tempDirectory } from '../../support/temp-directory.js'

describe('a backup', () => {
  it('holds each job that was acknowledged before the call, while the store goes on', async (t) => {
    const { executor } = await setup(t, { jobs: [echo], retain: { jobs: Infinity, age: Infinity } })
    const acknowledged: string[] = []
    let isOver = false
    const traffic = async (): Promise<void> => {
      for (let number = 0; !isOver; number++) {
        const jobs = await executor.enqueueMany(echo, [number, 'x'.repeat(number % 3000), Buffer.alloc(40_000, number)])
        acknowledged.push(...jobs.map(({ id }) => id))
      }
    }
    const going = [traffic(), traffic(), traffic()]
    for (let round = 0; round < 5; round++) {
      while (acknowledged.length < (round + 1) * 30) await executor.enqueue(echo, round)
      const before = [...acknowledged]
      const path = join(await tempDirectory(t), 'deep', 'backup')
      const report = await executor.backup(path)
      assert.equal(report.path, path)
      assert.equal(report.sizeBytes, (await stat(join(path, 'jobs.mdb'))).size)
      assert.ok(report.durationMs >= 0)
      assert.deepEqual(await readdir(path), ['jobs.mdb'])
      const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
      assert.deepEqual(checkStore(engine, { keepsAll: true, payloads: true }), [])
      await engine.close()
      const copy = await setup(t, { path, jobs: [echo], retain: { jobs: Infinity, age: Infinity } })
      const found = await jobsOf(copy.executor)
      assert.deepEqual(
        before.filter((id) => !found.has(id)),
        [],
      )
    }
    isOver = true
    await Promise.all(going)
  })

  it('blames nobody for what was running, and runs it', async (t) => {
    const { executor } = await setup(t, { jobs: [echo, patient], threads: 1, maxCrashes: 1 })
    const started = new Promise<void>((resolve) => executor.on('started', () => resolve()))
    const job = await executor.enqueue(patient, null)
    await started
    const path = join(await tempDirectory(t), 'backup')
    await executor.backup(path)
    const copy = await setup(t, { path, jobs: [echo], threads: 1 })
    assert.deepEqual(copy.executor.recovery, { rescued: [], suspects: [], quarantined: [] })
    const info = await copy.executor.get(job.id)
    assert.equal(info?.state, 'available')
    assert.deepEqual(info.attempts, [])
    assert.equal((await executor.get(job.id))?.state, 'running')
  })

  it('is for this user only', { skip: process.platform === 'win32' }, async (t) => {
    const { executor } = await setup(t, { jobs: [echo] })
    const path = join(await tempDirectory(t), 'backup')
    await executor.backup(path)
    assert.equal((await stat(path)).mode & 0o777, 0o700)
    assert.equal((await stat(join(path, 'jobs.mdb'))).mode & 0o777, 0o600)
  })

  it('goes into an empty directory, and into no other', async (t) => {
    const { executor, directory } = await setup(t, { jobs: [echo] })
    const base = await tempDirectory(t)
    const empty = join(base, 'empty')
    await mkdir(empty)
    await executor.backup(empty)
    await assert.rejects(
      executor.backup(empty),
      withCode('MILLRACE_COPY_FAILED', /not empty: it holds jobs\.mdb.*does not exist yet/),
    )
    await assert.rejects(executor.backup(directory), withCode('MILLRACE_COPY_FAILED', /not empty/))
    await writeFile(join(base, 'file'), 'mine')
    await assert.rejects(executor.backup(join(base, 'file')), withCode('MILLRACE_COPY_FAILED', /file of that name/))
    await assert.rejects(executor.backup(join(base, 'file', 'below')), withCode('MILLRACE_COPY_FAILED'))
    await assert.rejects(executor.backup(''), withCode('MILLRACE_INVALID_OPTIONS', /''/))
    await assert.rejects(executor.backup(7 as never), withCode('MILLRACE_INVALID_OPTIONS', /7 \(number\)/))
    assert.deepEqual((await readdir(base)).sort(), ['empty', 'file'])
    await (await executor.enqueue(echo, 'goes on')).result()
  })

  it('leaves nothing under its name, nor aside, when the copy fails', async (t) => {
    const base = await tempDirectory(t)
    const engine = {
      ...createMemoryEngine(),
      copy: async (file: string) => {
        await writeFile(file, 'half')
        assert.deepEqual(
          (await readdir(base)).filter((name) => name === 'backup'),
          [],
        )
        throw new Error('ENOSPC: no space left on device')
      },
    }
    await assert.rejects(
      backupStore(engine, join(base, 'backup'), systemClock),
      withCode('MILLRACE_COPY_FAILED', /no space left/),
    )
    assert.deepEqual(await readdir(base), [])
  })

  it('is not to be had of a store in memory', async (t) => {
    const { executor } = await setup(t, { jobs: [echo], store: 'memory' })
    await assert.rejects(executor.backup('anywhere'), withCode('MILLRACE_COPY_FAILED', /in memory/))
  })

  it('is waited for by close', async (t) => {
    const { executor } = await setup(t, { jobs: [echo] })
    await executor.enqueueMany(
      echo,
      Array.from({ length: 200 }, () => Buffer.alloc(50_000)),
      { delay: '1h' },
    )
    const path = join(await tempDirectory(t), 'backup')
    const [report] = await Promise.all([executor.backup(path), executor.close({ grace: 0 })])
    assert.ok(report.sizeBytes > 10_000_000)
    const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
    assert.deepEqual(checkStore(engine, { keepsAll: true, payloads: true }), [])
    await engine.close()
    await assert.rejects(executor.backup(join(path, 'again')), withCode('MILLRACE_CLOSED'))
  })
})
