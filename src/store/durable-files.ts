/** Files and directories put in place so that a power cut finds them whole or not at all: synced, then renamed. */
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/** Failures to sync a directory that mean something. Others say that this system, or this user, cannot. */
const SYNC_FAILURES = new Set(['EIO', 'ENOSPC', 'EDQUOT'])

/** Makes a file's bytes, or the names in a directory, durable. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } catch (error) {
    // Windows cannot sync a directory, and keeps its names by itself.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  } finally {
    await file.close()
  }
}

/**
 * Makes the name of a file or a directory durable, and those of the directories that were made on the way to it: what is synced is of no
 * use after a power cut when its name, or its directory's, is not there.
 *
 * @param made - the outermost directory that was made for it, if one was
 */
export async function syncNamesOf(path: string, made = path): Promise<void> {
  for (const directory of directoriesUp(dirname(resolve(path)), dirname(resolve(made)))) {
    try {
      await syncPath(directory)
    } catch (error) {
      if (isSyncFailure(error)) throw error
    }
  }
}

/** A directory and those in which it lies, from the innermost up to `top`. */
export function* directoriesUp(directory: string, top: string): Generator<string> {
  for (let path = directory; path.length >= top.length; path = dirname(path)) {
    yield path
    if (path === dirname(path)) return
  }
}

/** Whether the disk has refused to make names durable. */
export function isSyncFailure(error: unknown): boolean {
  return SYNC_FAILURES.has((error as NodeJS.ErrnoException).code ?? '')
}
