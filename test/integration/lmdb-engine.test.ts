/** What only the engine on disk has: paths, files, a largest size. The rest is in `test/conformance`. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { systemClock } from '../../src/base/clock.js'
import { isMillraceError } from '../../src/base/errors.js'
import { WriteBatch, type Engine } from '../../src/store/engine.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import type { CommitReport } from '../fixtures/commit-until-failure.js'
import { tempDirectory } from '../support/temp-directory.js'

const key = Buffer.from('key')
const fixture = fileURLToPath(new URL('../fixtures/commit-until-failure.js', import.meta.url))

/** Runs the fixture in a process with a limit of the system on it, and gives its report. */
async function runLimited(limit: string, ...args: readonly (string | number)[]): Promise<CommitReport> {
  const command = `${limit}; exec "$0" "$@"`
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command, process.execPath, fixture, ...args.map(String)])
  return JSON.parse(stdout.slice(stdout.indexOf('{'))) as CommitReport
}

async function openAt(t: TestContext, directory: string, mapSize?: number): Promise<Engine> {
  const options = { durability: 'disk', clock: systemClock } as const
  const engine = await openLmdbEngine(directory, mapSize === undefined ? options : { ...options, mapSize })
  t.after(() => engine.close())
  return engine
}

async function put(engine: Engine, ...values: (readonly [Uint8Array, Uint8Array])[]): Promise<void> {
  const batch = new WriteBatch()
  for (const [name, value] of values) batch.put('payloads', name, value)
  await engine.commit(batch)
}

async function assertUnusable(directory: string, named: string, reason: RegExp): Promise<void> {
  await assert.rejects(openLmdbEngine(directory, { durability: 'disk', clock: systemClock }), (error) => {
    assert.ok(isMillraceError(error, 'MILLRACE_STORE_UNUSABLE'), String(error))
    assert.ok(error.message.includes(named), error.message)
    assert.match(error.message, reason)
    assert.match(error.message, /Give the executor a directory/)
    return true
  })
}

describe('unusable paths', () => {
  it('refuses a file', async (t) => {
    const path = join(await tempDirectory(t), 'file')
    await writeFile(path, 'mine')
    await assertUnusable(path, path, /is a file and not a directory/)
    await assertUnusable(join(path, 'below'), path, /is a file and not a directory/)
    assert.equal(await readFile(path, 'utf8'), 'mine')
  })

  it('refuses a link to nowhere', async (t) => {
    const path = join(await tempDirectory(t), 'link')
    await symlink('/nonexistent/millrace', path)
    await assertUnusable(path, path, /./)
  })

  it('refuses a data file that LMDB did not write, and leaves it alone', async (t) => {
    const directory = await tempDirectory(t)
    const path = join(directory, 'jobs.mdb')
    const files = [Buffer.from('{"jobs":[]}'), Buffer.alloc(20_000, 'SQLite format 3'), Buffer.alloc(8192), Buffer.of(1)]
    for (const foreign of files) {
      await writeFile(path, foreign)
      await assertUnusable(directory, path, /not a Millrace store/)
      assert.deepEqual(await readFile(path), foreign)
      assert.deepEqual(await readdir(directory), ['jobs.mdb'])
    }
  })

  it('refuses a directory in the place of the data file', async (t) => {
    const directory = await tempDirectory(t)
    await mkdir(join(directory, 'jobs.mdb'))
    await assertUnusable(directory, join(directory, 'jobs.mdb'), /not a regular file/)
  })

  it('refuses a data file of another format, or cut off in its first pages', async (t) => {
    const directory = await tempDirectory(t)
    const path = join(directory, 'jobs.mdb')
    await (await openAt(t, directory)).close()
    const whole = await readFile(path)
    const older = Buffer.from(whole)
    older.writeUInt32LE(1, 28)
    await writeFile(path, older)
    await assertUnusable(directory, path, /LMDB format 1/)
    await writeFile(path, whole)
    await truncate(path, 5000)
    await assert.rejects(openLmdbEngine(directory, { durability: 'disk', clock: systemClock }), (error) => {
      assert.ok(isMillraceError(error, 'MILLRACE_STORE_CORRUPT'), String(error))
      assert.match(error.message, /jobs\.mdb is damaged: it is cut off: 5000 bytes .*`millrace doctor`/)
      return true
    })
  })

  it('takes an empty data file as a new store', async (t) => {
    const directory = await tempDirectory(t)
    await writeFile(join(directory, 'jobs.mdb'), '')
    const engine = await openAt(t, directory)
    await put(engine, [key, Buffer.from('value')])
    assert.deepEqual(engine.get('payloads', key), Buffer.from('value'))
  })

  it('refuses a reader table that is no file', async (t) => {
    const directory = await tempDirectory(t)
    await mkdir(join(directory, 'jobs.mdb-lock'))
    await assertUnusable(directory, join(directory, 'jobs.mdb-lock'), /not a regular file/)
  })

  it('refuses an address space too small for its map', { skip: process.platform !== 'linux' }, async (t) => {
    const directory = await tempDirectory(t)
    const report = await runLimited('ulimit -v 60000000', directory)
    assert.equal(report.openError?.code, 'MILLRACE_STORE_UNUSABLE')
    assert.match(report.openError.message, /ulimit -v/)
  })
})

describe('files', () => {
  it('are private to the user, in a directory made on the way', async (t) => {
    const base = await tempDirectory(t)
    const directory = join(base, 'a', 'b')
    const umask = process.umask(0)
    t.after(() => process.umask(umask))
    await put(await openAt(t, directory), [key, Buffer.from('value')])
    assert.equal((await stat(join(base, 'a'))).mode & 0o777, 0o700)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    assert.deepEqual((await readdir(directory)).sort(), ['jobs.mdb', 'jobs.mdb-lock'])
    for (const name of await readdir(directory)) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name)
  })

  it('keep to a directory that was there before, whatever its name', async (t) => {
    const directory = join(await tempDirectory(t), 'with.dots and spaces.mdb')
    await mkdir(directory)
    await chmod(directory, 0o755)
    await (await openAt(t, directory)).close()
    assert.equal((await stat(directory)).mode & 0o777, 0o755)
    assert.deepEqual((await readdir(directory)).sort(), ['jobs.mdb', 'jobs.mdb-lock'])
  })
})

describe('a full map', () => {
  it('is a typed error, nothing half-written is found after it, and the next open has room', async (t) => {
    const directory = await tempDirectory(t)
    const mapSize = 4 * 2 ** 20
    const stored = new Map<number, Buffer>()
    const keyOf = (index: number): Buffer => Buffer.of(index >> 8, index & 255)

    const fill = async (engine: Engine, from: number): Promise<unknown> => {
      for (let index = from; index < from + 10_000; index++) {
        const value = Buffer.alloc(3000, index)
        const batch = new WriteBatch()
        // Two records that belong together, in two tables.
        batch.put('pages', keyOf(index), value)
        batch.put('index', keyOf(index), Buffer.of(index & 255))
        const failure = await engine.commit(batch).then(
          () => undefined,
          (error: unknown) => error,
        )
        if (failure !== undefined) return failure
        stored.set(index, value)
      }
      return assert.fail('the map did not fill')
    }
    const check = (reader: Engine): void => {
      assert.equal(reader.range('pages', { limit: 100_000 }).length, stored.size)
      assert.equal(reader.range('index', { limit: 100_000 }).length, stored.size)
      for (const [index, value] of stored) assert.deepEqual(reader.get('pages', keyOf(index)), value)
    }

    for (let round = 0; round < 2; round++) {
      const engine = await openAt(t, directory, mapSize)
      check(engine)
      const before = stored.size
      const failure = await fill(engine, before)
      assert.ok(isMillraceError(failure, 'MILLRACE_STORE_FAILED'), String(failure))
      assert.ok(failure.message.includes(directory))
      assert.match(failure.message, /address space .* \(map full\)/)
      assert.match(failure.message, /closed and opened again/)
      assert.ok(stored.size > before + 400, `${stored.size} after ${before}`)
      check(engine)
      await engine.close()
    }
    check(await openAt(t, directory, mapSize))
  })
})

describe('a commit that the system refuses', { skip: process.platform === 'win32' }, () => {
  it('is a typed error, ends all writing, leaves the process alive, and the store whole', async (t) => {
    for (const [batchPuts, valueBytes] of [
      [1, 3000],
      [3000, 700],
      [1, 3_000_000],
    ] as const) {
      const directory = await tempDirectory(t)
      // Blocks of 512 bytes: the file cannot grow beyond 1 MiB.
      const report = await runLimited('ulimit -f 2048', directory, batchPuts, valueBytes)
      assert.equal(report.openError, undefined, report.openError?.message)
      assert.equal(report.commitError?.code, 'MILLRACE_STORE_FAILED')
      assert.ok(report.commitError.message.includes(directory))
      assert.match(report.commitError.message, /EFBIG|Input\/output error/, report.commitError.message)
      assert.equal(report.laterError?.code, 'MILLRACE_STORE_FAILED')
      assert.equal(report.visible, report.resolved)
      assert.equal(report.closed, true)
      const engine = await openAt(t, directory)
      assert.equal(engine.range('pages', { limit: 1_000_000 }).length, report.resolved)
      assert.equal(engine.range('index', { limit: 1_000_000 }).length, report.resolved)
      await put(engine, [key, Buffer.alloc(2 ** 20)])
    }
  })
})

describe('durability', () => {
  it('of the process alone keeps what was committed, and the store opens with either', async (t) => {
    const directory = await tempDirectory(t)
    const first = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    t.after(() => first.close())
    await put(first, [key, Buffer.from('process')])
    assert.deepEqual(first.get('payloads', key), Buffer.from('process'))
    await first.close()
    const second = await openAt(t, directory)
    assert.deepEqual(second.get('payloads', key), Buffer.from('process'))
    await put(second, [key, Buffer.from('disk')])
    await second.close()
    const third = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    t.after(() => third.close())
    assert.deepEqual(third.get('payloads', key), Buffer.from('disk'))
  })
})

describe('the file', () => {
  it('stays bounded while jobs come and go', async (t) => {
    const engine = await openAt(t, await tempDirectory(t))
    let sizeAfterWarmUp = 0
    for (let round = 0; round < 2000; round++) {
      const batch = new WriteBatch()
      batch.put('pages', Buffer.of(1, round >> 8, round & 255), Buffer.alloc(4000, round))
      if (round >= 20) batch.remove('pages', Buffer.of(1, (round - 20) >> 8, (round - 20) & 255))
      const committed = engine.commit(batch)
      engine.range('pages', { limit: 5 })
      await committed
      if (round === 500) sizeAfterWarmUp = engine.stats().sizeBytes
    }
    assert.ok(engine.stats().sizeBytes <= 1.5 * sizeAfterWarmUp, `${sizeAfterWarmUp} → ${engine.stats().sizeBytes} bytes`)
  })
})

describe('the making of a store', () => {
  it('takes no notice of a file that a process which died has left half-made', async (t) => {
    const directory = await tempDirectory(t)
    await writeFile(join(directory, 'jobs.mdb.new'), Buffer.alloc(8192))
    await writeFile(join(directory, 'jobs.mdb.new-lock'), '')
    const engine = await openAt(t, directory)
    await put(engine, [key, Buffer.from('value')])
    await engine.close()
    assert.deepEqual((await readdir(directory)).sort(), ['jobs.mdb', 'jobs.mdb-lock'])
    assert.deepEqual((await openAt(t, directory)).get('payloads', key), Buffer.from('value'))
  })
})
