/**
 * Where the progress on a folder is kept: a store named after the folder's real path, below the system's temporary directory or the
 * one that was asked for. It is there as long as a run is unfinished. Nothing but the files in it is ever removed.
 */
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, opendirSync, readdirSync, realpathSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { acquireDirectoryLock } from '../../store/lmdb/directory-lock.js'
import { makeDirectory, pathProblem } from '../../store/lmdb/store-directory.js'
import { printable, shorten } from './format-quantity.js'

/** Part of the name: a later demo that measures something else does not go on with these results. */
const FORMAT = 1
/** Of a path in a message. */
const PATH_CHARACTERS = 200

/** The directory for `folder`, a real path. Made, or refused in words. */
export function progressStore(folder: string, parent: string | undefined): string {
  const uid = process.getuid?.()
  const key = createHash('sha256')
    .update(`${FORMAT} ${uid ?? ''} ${folder}`)
    .digest('hex')
    .slice(0, 16)
  const path = join(openParent(parent ?? tmpdir()), `millrace-demo-${key}`)
  // In a directory that everybody can write to, it might have been put there by somebody else.
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found !== undefined && (!found.isDirectory() || (uid !== undefined && found.uid !== uid))) {
    throw new Error(`${path} does not belong to you. Remove it, or keep the progress elsewhere with --store.`)
  }
  return path
}

/** Its real path. */
function openParent(parent: string): string {
  try {
    makeDirectory(resolve(parent))
    // A file of that name shows here.
    opendirSync(parent).closeSync()
    return realpathSync(parent)
  } catch (error) {
    const place = shorten(printable(resolve(parent)), PATH_CHARACTERS)
    const message = `The progress cannot be kept below ${place}: ${pathProblem(error)}. Name another directory with --store.`
    throw new Error(message, { cause: error })
  }
}

/**
 * Removes the progress that is kept in a directory.
 *
 * @throws LockedError `MILLRACE_LOCKED` when a demo of the same folder is running.
 */
export async function forgetProgress(path: string): Promise<void> {
  if (!existsSync(path)) return
  const lock = await acquireDirectoryLock(path)
  // The lock goes last: whoever gets it next finds an empty directory.
  for (const name of readdirSync(path)) if (!name.startsWith('millrace.lock')) rmSync(join(path, name), { force: true })
  lock.release()
  try {
    rmdirSync(path)
  } catch {
    // Another run has begun in it, or something that is not ours lies there.
  }
}
