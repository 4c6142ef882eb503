/**
 * A copy of a store that is in use, which is itself a store: of the state of one commit, made in a thread beside the work.
 *
 * It is written into a directory of another name beside its own, synced, and renamed: under its own name there is a whole copy or
 * none. What was running is not claimed in the copy: nothing has crashed there, so nobody is blamed, and the jobs wait again.
 *
 * The directory beside it is locked while it is written to. One that nobody alive holds is what a backup that was killed left: no
 * store, as large as one, and of no use. The next backup beside it removes it.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { chmod, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Clock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { describeValue } from '../base/problems.js'
import { syncPath } from '../store/durable-files.js'
import { type Engine, WriteBatch } from '../store/engine.js'
import { acquireDirectoryLock } from '../store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { DATA_FILE, makeDirectory, READERS_FILE, shortenPath } from '../store/lmdb/store-directory.js'

/** What `backup` has made. */
export interface BackupReport {
  /** The directory of the copy, absolute. */
  readonly path: string
  /** Size of its data file. */
  readonly sizeBytes: number
  /** How long it took. */
  readonly durationMs: number
}

/** Claims removed at a time; an executor holds a few for each thread. */
const CLAIMS_STEP = 1000
/** What a directory is called while a backup is written into it. */
const PARTIAL = /\.partial-\d+-\d+$/

/**
 * @param target - a directory that does not exist yet, or is empty
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, `MILLRACE_COPY_FAILED`
 */
export async function backupStore(engine: Engine, target: unknown, clock: Clock): Promise<BackupReport> {
  if (typeof target !== 'string' || target === '' || target.includes('\0')) {
    const message = `The path of a backup must be a directory that does not exist yet; got ${describeValue(target)}.`
    throw new MillraceError('MILLRACE_INVALID_OPTIONS', message)
  }
  const path = resolve(target)
  if (engine.copy === undefined) throw failed(path, 'a store in memory has no files to copy')
  const startedMs = clock.monotonicMs()
  const aside = `${path}.partial-${process.pid}-${Math.trunc(startedMs * 1000)}`
  try {
    // Without a wait, so that the copy has begun when this call returns, and `close` waits for it.
    refuseTaken(path)
    makeDirectory(dirname(path))
    mkdirSync(aside, { mode: 0o700 })
    const locked = acquireDirectoryLock(aside)
    try {
      await writeCopy(engine, aside, clock)
    } finally {
      ;(await locked).release()
    }
    // Not every system renames over a directory, be it an empty one.
    await rmdir(path).catch(() => undefined)
    await rename(aside, path)
    await syncPath(dirname(path))
    const { size } = await stat(join(path, DATA_FILE))
    return { path, sizeBytes: size, durationMs: clock.monotonicMs() - startedMs }
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined)
    if (error instanceof MillraceError) throw error
    throw failed(path, error instanceof Error ? error.message : String(error), error)
  }
}

async function writeCopy(engine: Engine, directory: string, clock: Clock): Promise<void> {
  const file = join(directory, DATA_FILE)
  await Promise.all([engine.copy?.(file), removeAbandoned(dirname(directory))])
  await chmod(file, 0o600)
  await releaseClaims(directory, clock)
  await rm(join(directory, READERS_FILE), { force: true })
  await syncPath(file)
  await syncPath(directory)
}

/** Removes what killed backups left in a directory: of such a one its own files, and then it, if nothing else is there. */
async function removeAbandoned(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => [])
  for (const name of names.filter((candidate) => PARTIAL.test(candidate))) {
    const directory = join(parent, name)
    try {
      const lock = await acquireDirectoryLock(directory)
      for (const file of [DATA_FILE, READERS_FILE]) await rm(join(directory, file), { force: true })
      lock.release()
      await rmdir(directory)
    } catch {
      // Somebody is at it, or it is not to be removed: no reason not to make this backup.
    }
  }
}

function refuseTaken(path: string): void {
  let names: string[] = []
  try {
    names = readdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTDIR') throw failed(path, 'there is a file of that name')
    if (code !== 'ENOENT') throw error
  }
  if (names.length > 0) throw failed(path, `the directory is not empty: it holds ${names.slice(0, 3).join(', ')}`)
}

async function releaseClaims(directory: string, clock: Clock): Promise<void> {
  const copy = await openLmdbEngine(directory, { durability: 'disk', clock, isOwnCopy: true })
  try {
    for (;;) {
      const claims = copy.range('claims', { limit: CLAIMS_STEP })
      if (claims.length === 0) return
      const batch = new WriteBatch()
      for (const { key } of claims) batch.remove('claims', key)
      await copy.commit(batch)
    }
  } finally {
    await copy.close()
  }
}

function failed(path: string, reason: string, cause?: unknown): MillraceError {
  const message =
    `The backup to ${shortenPath(path)} could not be made: ${shortenPath(reason)}. The store is as it was. ` +
    'Give a path that does not exist yet, on a disk with room for the whole store.'
  return new MillraceError('MILLRACE_COPY_FAILED', message, cause === undefined ? undefined : { cause })
}
