/** A store that is deleted, moved or replaced while an executor has it open: nothing is acknowledged that is not under its path. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import { acquireDirectoryLock } from '../../../src/store/lmdb/directory-lock.js'
import { echo, gated } from '../../fixtures/executor/jobs.js'
import { listed, nextEvent, setup, withCode } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { tempDirectory } from '../../support/temp-directory.js'

const jobs = [echo, gated]
// An open file can be neither deleted nor moved there.
const skip = process.platform === 'win32'

interface Loss {
  /** What happens to the store in `path`; `base` is the directory it lies in. */
  readonly happens: (path: string, base: string) => Promise<void>
  /** Where what was acknowledged before is found again; undefined: nowhere. */
  readonly foundIn: string | undefined
  readonly says: RegExp
}

const LOSSES: Readonly<Record<string, Loss>> = {
  'its data file is deleted': {
    happens: (path) => rm(join(path, 'jobs.mdb')),
    foundIn: undefined,
    says: /jobs\.mdb is gone.*deleted, moved or replaced/,
  },
  'its directory is deleted': {
    happens: (path) => rm(path, { recursive: true }),
    foundIn: undefined,
    says: /jobs\.mdb is gone/,
  },
  'its directory is deleted and made anew': {
    happens: async (path) => {
      await rm(path, { recursive: true })
      await mkdir(path)
    },
    foundIn: undefined,
    says: /jobs\.mdb is gone/,
  },
  'its directory is moved': {
    happens: (path, base) => rename(path, join(base, 'elsewhere')),
    foundIn: 'elsewhere',
    says: /jobs\.mdb is gone.*If it was moved/,
  },
  'its data file is moved': {
    happens: async (path, base) => {
      await mkdir(join(base, 'elsewhere'))
      await rename(join(path, 'jobs.mdb'), join(base, 'elsewhere', 'jobs.mdb'))
    },
    foundIn: 'elsewhere',
    says: /jobs\.mdb is gone/,
  },
  'a copy is put in the place of its data file': {
    happens: async (path, base) => {
      await copyFile(join(path, 'jobs.mdb'), join(base, 'copy'))
      await rename(join(base, 'copy'), join(path, 'jobs.mdb'))
    },
    foundIn: 'store',
    says: /jobs\.mdb is another file/,
  },
  'its path leads to another directory': {
    happens: async (path, base) => {
      await rename(path, join(base, 'elsewhere'))
      await mkdir(join(base, 'other'))
      await symlink(join(base, 'other'), path)
    },
    foundIn: 'elsewhere',
    says: /jobs\.mdb is gone/,
  },
  'its lock file is deleted': {
    happens: (path) => rm(join(path, 'millrace.lock')),
    foundIn: 'store',
    says: /its lock file millrace\.lock was removed/,
  },
}

async function openIn(t: TestContext, path: string): Promise<Executor> {
  const { executor } = await setup(t, { path, jobs, threads: 1 })
  return executor
}

describe('a store is lost', { skip }, () => {
  for (const [name, { happens, foundIn, says }] of Object.entries(LOSSES)) {
    it(`when ${name}: what is acknowledged later would be lost, so nothing is`, async (t) => {
      const base = await tempDirectory(t)
      const path = join(base, 'store')
      const executor = await openIn(t, path)
      const before = await executor.enqueue(echo, 'before', { delay: '1h' })
      const error = nextEvent(executor, 'error')
      await happens(path, base)
      const lost = withCode('MILLRACE_STORE_FAILED', says)
      await assert.rejects(executor.enqueue(echo, 'after', { delay: '1h' }), lost)
      lost((await error).error)
      await assert.rejects(executor.enqueueMany(echo, [1, 2]), lost)
      await assert.rejects(executor.cancel(before.id), lost)
      await executor.close({ grace: 0 })
      if (foundIn === undefined) return
      const again = await openIn(t, join(base, foundIn))
      const found = await listed(again)
      assert.ok(found.some(({ id }) => id === before.id))
    })
  }

  it('when its lock is removed and another executor takes it: that one keeps its lock, and finds nothing that was not acknowledged', async (t) => {
    const path = join(await tempDirectory(t), 'store')
    const first = await openIn(t, path)
    first.on('error', () => undefined)
    const before = await first.enqueue(echo, 'before', { delay: '1h' })
    await rm(join(path, 'millrace.lock'))
    const second = await openIn(t, path)
    await assert.rejects(first.enqueue(echo, 'after', { delay: '1h' }), withCode('MILLRACE_STORE_FAILED', /millrace\.lock/))
    await first.close({ grace: 0 })
    await assert.rejects(acquireDirectoryLock(path), withCode('MILLRACE_LOCKED'))
    await second.enqueue(echo, 'of the second', { delay: '1h' })
    assert.deepEqual(
      (await listed(second)).map(({ id, input }) => [id === before.id, input]),
      [
        [true, 'before'],
        [false, 'of the second'],
      ],
    )
  })

  it('while a job runs: its outcome is not told, and its thread ends', async (t) => {
    const path = join(await tempDirectory(t), 'store')
    const executor = await openIn(t, path)
    const gate = new Gate(t)
    const job = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    const told: string[] = []
    executor.on('completed', () => told.push('completed'))
    const error = nextEvent(executor, 'error')
    await rm(path, { recursive: true })
    gate.open()
    await assert.rejects(job.result(), withCode('MILLRACE_STORE_FAILED'))
    await error
    assert.deepEqual(await executor.close(), { interrupted: [] })
    assert.deepEqual(told, [])
  })
})

describe('a store is not lost', { skip }, () => {
  it('when its directory is moved and a link leads to it', async (t) => {
    const base = await tempDirectory(t)
    const path = join(base, 'store')
    const executor = await openIn(t, path)
    await rename(path, join(base, 'elsewhere'))
    await symlink(join(base, 'elsewhere'), path)
    const job = await executor.enqueue(echo, 'goes on')
    assert.equal(await job.result(), 'goes on')
    await executor.close()
    assert.deepEqual(await readdir(join(base, 'elsewhere')), ['jobs.mdb', 'jobs.mdb-lock'])
  })

  it('when it is moved away and back', async (t) => {
    const base = await tempDirectory(t)
    const path = join(base, 'store')
    const executor = await openIn(t, path)
    await rename(path, join(base, 'elsewhere'))
    await rename(join(base, 'elsewhere'), path)
    assert.equal(await (await executor.enqueue(echo, 'goes on')).result(), 'goes on')
  })
})
