import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'

import { isMillraceError, LockedError } from '../../src/base/errors.js'
import { acquireDirectoryLock, type DirectoryLock } from '../../src/store/lmdb/directory-lock.js'
import type { LockReport } from '../fixtures/take-lock.js'
import { tempDirectory } from '../support/temp-directory.js'

const fixture = new URL('../fixtures/take-lock.js', import.meta.url)
const lockModule = new URL('../../src/store/lmdb/directory-lock.js', import.meta.url)

interface Contender {
  readonly child: ChildProcess
  readonly pid: number
  take(): Promise<LockReport>
  release(): Promise<LockReport>
  kill(): Promise<void>
}

async function contender(t: TestContext, directory: string): Promise<Contender> {
  const child = fork(fixture, [directory])
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'message')
  const ask = async (question: string): Promise<LockReport> => {
    const answer = once(child, 'message')
    child.send(question)
    return (await answer)[0] as LockReport
  }
  return {
    child,
    pid: child.pid as number,
    take: () => ask('go'),
    release: () => ask('release'),
    kill: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function acquire(t: TestContext, directory: string): Promise<DirectoryLock> {
  const lock = await acquireDirectoryLock(directory)
  t.after(() => lock.release())
  return lock
}

async function assertLocked(directory: string, pid: number, message: RegExp): Promise<void> {
  await assert.rejects(acquireDirectoryLock(directory), (error) => {
    assert.ok(isMillraceError(error, 'MILLRACE_LOCKED'), String(error))
    assert.ok(error instanceof LockedError)
    assert.equal(error.holderPid, pid)
    assert.ok(error.message.includes(directory), error.message)
    assert.match(error.message, message)
    return true
  })
}

interface LockText {
  pid: number
  startTime: string | null
  bootId: string | null
  token: string
  openedAt: string
}

async function readLock(directory: string): Promise<LockText> {
  return JSON.parse(await readFile(join(directory, 'millrace.lock'), 'utf8')) as LockText
}

/** Leaves the lock of a process that is gone. */
async function leaveStaleLock(t: TestContext, directory: string): Promise<LockText> {
  const dead = await contender(t, directory)
  assert.deepEqual(await dead.take(), { kind: 'taken' })
  await dead.kill()
  const lock = await readLock(directory)
  assert.equal(lock.pid, dead.pid)
  return lock
}

async function assertOnlyOurs(directory: string): Promise<void> {
  assert.deepEqual(await readdir(directory), ['millrace.lock'])
  assert.equal((await readLock(directory)).pid, process.pid)
}

describe('directory lock', { timeout: 120_000 }, () => {
  it('makes the directory, and a file that tells who holds it', async (t) => {
    const directory = join(await tempDirectory(t), 'a', 'b')
    await acquire(t, directory)
    await assertOnlyOurs(directory)
    const lock = await readLock(directory)
    assert.match(lock.token, /^[0-9a-f]{24}$/)
    assert.ok(!Number.isNaN(Date.parse(lock.openedAt)))
    assert.equal((await stat(join(directory, 'millrace.lock'))).mode & 0o777, 0o600)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    if (process.platform === 'linux') {
      assert.match(String(lock.startTime), /^\d+$/)
      assert.match(String(lock.bootId), /^[0-9a-f-]{36}$/)
    }
  })

  it('refuses a second one in this process, also from another thread', async (t) => {
    const directory = await tempDirectory(t)
    await acquire(t, directory)
    await assertLocked(directory, process.pid, /already open in this process/)
    const code = `
      import { parentPort, workerData } from 'node:worker_threads'
      const { acquireDirectoryLock } = await import(workerData.module)
      await acquireDirectoryLock(workerData.directory).then(
        () => parentPort.postMessage('taken'),
        (error) => parentPort.postMessage(error.message)
      )`
    const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
      workerData: { module: lockModule.href, directory },
    })
    const [answer] = (await once(thread, 'message')) as [string]
    assert.match(answer, /already open in this process/)
    await once(thread, 'exit')
    await assertOnlyOurs(directory)
  })

  it('refuses a second process, and lets it in after the release', async (t) => {
    const directory = await tempDirectory(t)
    const lock = await acquire(t, directory)
    const other = await contender(t, directory)
    const refused = await other.take()
    assert.ok(refused.kind === 'locked')
    assert.equal(refused.holderPid, process.pid)
    assert.match(refused.message, new RegExp(`process ${process.pid}`))
    lock.release()
    assert.deepEqual(await readdir(directory), [])
    assert.deepEqual(await other.take(), { kind: 'taken' })
    await assertLocked(directory, other.pid, new RegExp(`process ${other.pid}`))
    await other.release()
    await acquire(t, directory)
    await assertOnlyOurs(directory)
  })

  it('releases its own lock only', async (t) => {
    const directory = await tempDirectory(t)
    const first = await acquire(t, directory)
    first.release()
    first.release()
    await acquire(t, directory)
    first.release()
    await assertOnlyOurs(directory)
  })

  it('takes over from a process that was killed', async (t) => {
    const directory = await tempDirectory(t)
    await leaveStaleLock(t, directory)
    await acquire(t, directory)
    await assertOnlyOurs(directory)
  })

  it('does not take a living process for the dead one that had its id', { skip: process.platform !== 'linux' }, async (t) => {
    const directory = await tempDirectory(t)
    const alive = await contender(t, directory)
    const stale = await leaveStaleLock(t, directory)
    const path = join(directory, 'millrace.lock')
    // The same id with another start: given out again.
    await writeFile(path, JSON.stringify({ ...stale, pid: alive.pid }))
    ;(await acquire(t, directory)).release()
    // The id of this very process, from an earlier life.
    await writeFile(path, JSON.stringify({ ...stale, pid: process.pid }))
    ;(await acquire(t, directory)).release()
    // The same id and start, before the system was started again.
    await alive.take()
    const held = await readLock(directory)
    await assertLocked(directory, alive.pid, /held by/)
    await writeFile(path, JSON.stringify({ ...held, bootId: '00000000-0000-0000-0000-000000000000' }))
    await acquire(t, directory)
    await assertOnlyOurs(directory)
  })

  it('counts a holder it cannot tell apart as alive', async (t) => {
    const directory = await tempDirectory(t)
    const alive = await contender(t, directory)
    const stale = await leaveStaleLock(t, directory)
    await writeFile(join(directory, 'millrace.lock'), JSON.stringify({ ...stale, pid: alive.pid, startTime: null, bootId: null }))
    await assertLocked(directory, alive.pid, /held by/)
    await alive.kill()
    await acquire(t, directory)
  })

  it('takes over a file that names nobody', async (t) => {
    const token = 'a'.repeat(24)
    const nobody = ['', '\0'.repeat(200), '{"pid":', 'null', '[]', '{"pid":1}', '{"pid":1,"token":"../../x"}']
    nobody.push(JSON.stringify({ pid: -1, token }))
    for (const text of nobody) {
      const directory = await tempDirectory(t)
      await writeFile(join(directory, 'millrace.lock'), text)
      const lock = await acquire(t, directory)
      await assertOnlyOurs(directory)
      lock.release()
    }
  })

  it('takes over from takers that died at any step', async (t) => {
    const directory = await tempDirectory(t)
    const dead = await leaveStaleLock(t, directory)
    const tokens = ['1', '2', '3'].map((digit) => digit.repeat(24))
    const write = (name: string, token: string): Promise<void> =>
      writeFile(join(directory, name), JSON.stringify({ ...dead, token }))

    // Dead with only a draft written.
    await write(`millrace.lock.draft-${tokens[0]}`, tokens[0] as string)
    // Dead with the guard in place; so was the next one, who was taking over that guard; and a power cut emptied the third.
    await write(`millrace.lock.${dead.token}`, tokens[0] as string)
    await write(`millrace.lock.${tokens[0]}`, tokens[1] as string)
    await writeFile(join(directory, `millrace.lock.${tokens[1]}`), '')
    const lock = await acquire(t, directory)
    await assertOnlyOurs(directory)
    lock.release()

    // Dead after it replaced the lock and before it removed its guard.
    await write('millrace.lock', tokens[2] as string)
    await write(`millrace.lock.${dead.token}`, tokens[1] as string)
    await acquire(t, directory)
    await assertOnlyOurs(directory)
  })

  it('names the living process that is taking over', async (t) => {
    const directory = await tempDirectory(t)
    const taker = await contender(t, await tempDirectory(t))
    const dead = await leaveStaleLock(t, directory)
    const own = { ...dead, pid: taker.pid, startTime: null }
    await writeFile(join(directory, `millrace.lock.${dead.token}`), JSON.stringify({ ...own, token: 'f'.repeat(24) }))
    await assertLocked(directory, taker.pid, /held by/)
    assert.equal((await readLock(directory)).token, dead.token)
  })

  it('lets exactly one of twenty processes take over a stale lock', async (t) => {
    const base = await tempDirectory(t)
    const directory = join(base, 'store')
    let stale = await leaveStaleLock(t, directory)
    const contenders = await Promise.all(Array.from({ length: 20 }, () => contender(t, directory)))
    for (let round = 0; round < 10; round++) {
      const reports = await Promise.all(contenders.map((each) => each.take()))
      const winners = contenders.filter((_, index) => reports[index]?.kind === 'taken')
      assert.equal(winners.length, 1, JSON.stringify(reports))
      const [winner] = winners as [Contender]
      for (const report of reports) {
        if (report.kind === 'taken') continue
        assert.ok(report.kind === 'locked', JSON.stringify(report))
        assert.equal(report.holderPid, winner.pid)
      }
      assert.equal((await readLock(directory)).pid, winner.pid)
      await winner.release()
      // A dead one's lock again; every other round with a taker that died over it, or nothing but zeroes.
      stale = { ...stale, token: round.toString(16).padStart(24, '0') }
      const text = round % 3 === 2 ? '\0'.repeat(100) : JSON.stringify(stale)
      await writeFile(join(directory, 'millrace.lock'), text)
      if (round % 3 === 1) {
        const guard = { ...stale, token: `b${round.toString(16).padStart(23, '0')}` }
        await writeFile(join(directory, `millrace.lock.${stale.token}`), JSON.stringify(guard))
      }
    }
  })
})
