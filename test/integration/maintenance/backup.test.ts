/** `executor.backup()`: a copy of a store in use, whole or not there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { backupStore } from '../../../src/maintenance/backup.js'
import { systemClock } from '../../../src/base/clock.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, patient } from '../../fixtures/executor/jobs.js'
import { setup, withCode } from '../../support/executor.js'
import { jobsOf } from '../../support/sample-store.js'
import { checkStore } from '../../support/store-check.js'
import { tempDirectory } from '../../support/temp-directory.js'

const DIE_IN_BACKUP = fileURLToPath(new URL('../../fixtures/maintenance/die-in-backup.js', import.meta.url))

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

  it('removes what a killed one left beside it, and nothing else', async (t) => {
    const base = await tempDirectory(t)
    const partials = async (): Promise<string[]> => (await readdir(base)).filter((name) => name.includes('.partial-'))
    const { signal } = spawnSync(process.execPath, [DIE_IN_BACKUP, join(base, 'yesterday')])
    assert.equal(signal, 'SIGKILL')
    const [left = ''] = await partials()
    assert.match(left, /^yesterday\.partial-\d+-\d+$/)
    assert.deepEqual((await readdir(join(base, left))).sort(), ['jobs.mdb', 'jobs.mdb-lock', 'millrace.lock'])
    await mkdir(join(base, 'notes.partial-1-2'))
    await writeFile(join(base, 'notes.partial-1-2', 'mine.txt'), 'mine')
    await writeFile(join(base, 'a-file.partial-1-2'), 'mine')
    const { executor } = await setup(t, { jobs: [echo] })
    // One that is being made is left alone by one that is made meanwhile.
    let finish = (): void => undefined
    const inner = createMemoryEngine()
    const slow = {
      ...inner,
      copy: async (file: string) => {
        await new Promise<void>((resolve) => (finish = resolve))
        await copyFile(join(base, 'today', 'jobs.mdb'), file)
      },
    }
    const underWay = backupStore(slow, join(base, 'slow'), systemClock)
    await executor.backup(join(base, 'today'))
    assert.deepEqual((await partials()).map((name) => name.replace(/-\d+-\d+$/, '')).sort(), [
      'a-file.partial',
      'notes.partial',
      'slow.partial',
    ])
    assert.deepEqual(await readdir(join(base, 'notes.partial-1-2')), ['mine.txt'])
    finish()
    await underWay
    assert.deepEqual(await readdir(join(base, 'slow')), ['jobs.mdb'])
  })

  it('is refused below a place that takes no directories', { skip: process.platform !== 'linux' }, async (t) => {
    const { executor } = await setup(t, { jobs: [echo] })
    await assert.rejects(executor.backup('/proc/millrace/backup'), withCode('MILLRACE_COPY_FAILED', /ENOENT/))
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
