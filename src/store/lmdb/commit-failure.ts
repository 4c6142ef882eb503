/**
 * Turns a rejected LMDB commit into the store's typed error, with the cause and the way out. Called by the LMDB engine.
 */
import { statfsSync } from 'node:fs'

import { MillraceError } from '../../base/errors.js'

/** What every write after the one that failed reports, and with it, as the last word, the transaction. */
const MDB_BAD_TXN = -30782
/** Also what LMDB makes of a write that the system cut short, as a disk that fills up does. */
const EIO = 5
const EFBIG = 27
const ENOSPC = 28
const NOTHING_STORED = 'Nothing of this commit was stored.'
/**
 * A disk may have written the page that makes the commit valid, and say that it has not. LMDB then puts the old page back; a disk
 * that refuses this as well leaves the commit behind, whole.
 */
const FATE_UNKNOWN =
  'This commit was not acknowledged; if the disk stored it all the same, it is found, whole, when the store is opened again.'
/** Less free space than this beside a commit's own bytes, and a commit that failed without a clear reason failed for that. */
const SCARCE_BYTES = 2 ** 20

/** The error for this commit and all later ones. `rejection` is what lmdb-js rejected with. */
export async function commitFailure(rejection: unknown, directory: string, batchBytes: number): Promise<MillraceError> {
  const cause = await rootCause(rejection)
  const full = fullness(cause, directory, batchBytes)
  return full === undefined
    ? storeFailed(directory, `${messageOf(cause)}. Check the disk, and the system's log. ${FATE_UNKNOWN}`, cause)
    : storeFailed(directory, `${full} ${NOTHING_STORED}`, cause)
}

/** The error for a commit that was not begun, because the file might outgrow its map. */
export function outgrown(directory: string, mapSize: number): MillraceError {
  const cause = new Error(`MDB_MAP_FULL: the map of ${mapSize} bytes is full`)
  const reason =
    `the data file has outgrown the ${mapSize} bytes of address space it was opened with (map full). ` +
    `Opened again, it has room to double; let finished jobs be pruned sooner to keep it small. ${NOTHING_STORED}`
  return storeFailed(directory, reason, cause)
}

/** The error for a commit that was written into a file which is no longer the one at the store's path. */
export function fileLost(directory: string, file: string, isGone: boolean): MillraceError {
  const reason =
    `${file} ${isGone ? 'is gone' : 'is another file'}: the data file was deleted, moved or replaced while it was open. ` +
    'If it was moved, it holds all that was acknowledged; put it back before the store is opened. What was deleted is lost. ' +
    'This commit was not acknowledged; a file that was moved holds it, whole.'
  return storeFailed(directory, reason, undefined)
}

/** The error for a commit that is refused because another executor may have the store, or have had it. */
export function lockLost(directory: string, file: string): MillraceError {
  const reason =
    `its lock file ${file} was removed while it was open, so that another executor may have opened the store beside this one. ` +
    'Never remove it: the lock of a process that is dead is taken over by itself. ' +
    'This commit was not acknowledged; if it was written all the same, it is found, whole, when the store is opened again.'
  return storeFailed(directory, reason, undefined)
}

function storeFailed(directory: string, reason: string, cause: unknown): MillraceError {
  const message = `The store at ${directory} failed to commit: ${reason} Nothing more is stored until the executor is closed and opened again.`
  return new MillraceError('MILLRACE_STORE_FAILED', message, cause === undefined ? undefined : { cause })
}

/** lmdb-js rejects with a general error; the real one is what its `commitError`, a promise, rejects with. */
async function rootCause(rejection: unknown): Promise<unknown> {
  const detail: unknown = (rejection as { commitError?: unknown } | undefined)?.commitError
  if (!(detail instanceof Promise)) return rejection
  return detail.then(
    () => rejection,
    (error: unknown) => error,
  )
}

/** Why there was no room for the commit; undefined when it failed for another reason. */
function fullness(cause: unknown, directory: string, batchBytes: number): string | undefined {
  const code = (cause as { code?: unknown } | undefined)?.code
  const isUnclear = code === EIO || code === MDB_BAD_TXN
  if (code === ENOSPC || (isUnclear && freeBytes(directory) < batchBytes + SCARCE_BYTES)) {
    return 'the disk is full (ENOSPC). Free some space on it.'
  }
  if (code === EFBIG) return 'the data file has reached the largest size this process may write (EFBIG; see `ulimit -f`).'
  return undefined
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function freeBytes(directory: string): number {
  try {
    const disk = statfsSync(directory)
    return disk.bavail * disk.bsize
  } catch {
    return Infinity
  }
}
