/**
 * A copy of a store that is in use, which is itself a store: of the state of one commit, made in a thread beside the work, and put in
 * its place when it is whole (`copy-in-place`). What was running is not claimed in the copy: nothing has crashed there, so nobody is
 * blamed, and the jobs wait again.
 */
import { readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Clock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { describeValue } from '../base/problems.js'
import { shortenPath } from '../base/shorten-path.js'
import { type Engine, WriteBatch } from '../store/engine.js'
import { openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { DATA_FILE } from '../store/lmdb/store-directory.js'
import { putCopy } from './copy-in-place.js'

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
  try {
    // Without a wait, so that the copy has begun when this call returns, and `close` waits for it.
    refuseTaken(path)
    await putCopy(path, clock, (directory) => writeCopy(engine, directory, clock))
    const { size } = await stat(join(path, DATA_FILE))
    return { path, sizeBytes: size, durationMs: clock.monotonicMs() - startedMs }
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw failed(path, error instanceof Error ? error.message : String(error), error)
  }
}

async function writeCopy(engine: Engine, directory: string, clock: Clock): Promise<void> {
  await engine.copy?.(join(directory, DATA_FILE))
  await releaseClaims(directory, clock)
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
