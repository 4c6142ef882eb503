/**
 * Writes a store's file anew, without the pages that are free, and puts it in the place of the old one. LMDB's file never shrinks by
 * itself: it stays as large as the store ever was.
 *
 * The records are read one by one and put into a fresh file in a directory inside the store's, which is synced, looked through, and
 * then renamed over the old one. Until that rename the store is what it was, from then on it is the new one; what a process that was
 * killed leaves aside is removed by the next call.
 */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { systemClock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { COMMIT_BYTES } from '../base/limits.js'
import { syncPath } from '../store/durable-files.js'
import { type Engine, type Table, TABLES, WriteBatch } from '../store/engine.js'
import { acquireDirectoryLock } from '../store/lmdb/directory-lock.js'
import { DEFAULT_MAP_BYTES, openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { checkWholeFile, DATA_FILE, requireStore } from '../store/lmdb/store-directory.js'

/** What `compact` has done. */
export interface CompactReport {
  /** The store's directory, absolute. */
  readonly path: string
  /** Size of the data file. */
  readonly beforeBytes: number
  readonly afterBytes: number
  /** Records that were copied: pages of jobs, blocks of finished ones, large payloads, and what leads to them. */
  readonly records: number
  /** False when a fresh file would not have been smaller: then nothing was changed. */
  readonly isReplaced: boolean
}

const ASIDE = 'millrace.compact'
/** Records read and written at a time. */
const STEP = 500

/**
 * Makes the file of a store that nobody has open as small as what it holds. The new file needs room beside the old one.
 *
 * @throws LockedError `MILLRACE_LOCKED` while an executor has the store open
 * @throws MillraceError `MILLRACE_STORE_UNUSABLE`, `MILLRACE_STORE_CORRUPT`, `MILLRACE_COPY_FAILED`; the store is then as it was
 */
export async function compact(directory: string): Promise<CompactReport> {
  const path = resolve(directory)
  requireStore(path)
  const lock = await acquireDirectoryLock(path)
  try {
    checkWholeFile(path)
    return await rewrite(path)
  } finally {
    lock.release()
  }
}

async function rewrite(path: string): Promise<CompactReport> {
  const aside = join(path, ASIDE)
  const file = join(path, DATA_FILE)
  try {
    await rm(aside, { recursive: true, force: true })
    await mkdir(aside, { mode: 0o700 })
    const records = await copyRecords(path, aside)
    checkWholeFile(aside)
    const [{ size: beforeBytes }, { size: afterBytes }] = await Promise.all([stat(file), stat(join(aside, DATA_FILE))])
    const isReplaced = afterBytes < beforeBytes
    if (isReplaced) {
      await rename(join(aside, DATA_FILE), file)
      await syncPath(path)
    }
    return { path, beforeBytes, afterBytes: isReplaced ? afterBytes : beforeBytes, records, isReplaced }
  } catch (error) {
    if (error instanceof MillraceError && error.code !== 'MILLRACE_STORE_FAILED') throw error
    const reason = error instanceof Error ? error.message : String(error)
    const message = `The store in ${path} could not be compacted: ${reason} The store is as it was.`
    throw new MillraceError('MILLRACE_COPY_FAILED', message, { cause: error })
  } finally {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined)
  }
}

async function copyRecords(from: string, to: string): Promise<number> {
  const source = await openLmdbEngine(from, { durability: 'disk', clock: systemClock })
  try {
    const mapSize = Math.max(DEFAULT_MAP_BYTES, 2 * source.stats().sizeBytes)
    // Synced as a whole, at its end.
    const copy = await openLmdbEngine(to, { durability: 'process', clock: systemClock, mapSize })
    try {
      let records = 0
      for (const table of TABLES) records += await copyTable(source, copy, table)
      await copy.sync()
      return records
    } finally {
      await copy.close()
    }
  } finally {
    await source.close()
  }
}

async function copyTable(source: Engine, copy: Engine, table: Table): Promise<number> {
  let records = 0
  let start: Buffer | undefined
  for (;;) {
    const entries = source.range(table, { ...(start && { start }), limit: STEP })
    let batch = new WriteBatch()
    for (const { key, value } of entries) {
      batch.put(table, key, value)
      if (batch.bytes < COMMIT_BYTES) continue
      await copy.commit(batch)
      batch = new WriteBatch()
    }
    await copy.commit(batch)
    records += entries.length
    const last = entries.at(-1)
    if (last === undefined || entries.length < STEP) return records
    start = Buffer.concat([last.key, Buffer.of(0)])
  }
}
