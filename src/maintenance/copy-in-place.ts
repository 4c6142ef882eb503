/**
 * A copy of a store's data file, put beside whatever is there as a store of its own.
 *
 * It is written into a directory of another name beside its own, synced, and renamed: under its own name there is a whole copy or none,
 * and when it is there, a power cut does not take the name away, nor those of the directories made on the way to it.
 *
 * The directory beside it is locked while it is written to. One that nobody alive holds is what a process that was killed left: no
 * store, as large as one, and of no use. The next copy beside it removes it.
 */
import { mkdirSync } from 'node:fs'
import { chmod, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../base/clock.js'
import { syncNamesOf, syncPath } from '../store/durable-files.js'
import { acquireDirectoryLock } from '../store/lmdb/directory-lock.js'
import { DATA_FILE, makeDirectory, READERS_FILE } from '../store/lmdb/store-directory.js'

/** What a directory is called while a copy is written into it. */
const PARTIAL = /\.partial-\d+-\d+$/

/**
 * @param path - absolute; there is nothing of that name, or an empty directory
 * @param write - writes the file, and what else may be done with the copy before it has its name. Called before this function waits
 */
export async function putCopy(path: string, clock: Clock, write: (directory: string) => Promise<void>): Promise<void> {
  const aside = `${path}.partial-${process.pid}-${Math.trunc(clock.monotonicMs() * 1000)}`
  try {
    const made = makeDirectory(dirname(path))
    mkdirSync(aside, { mode: 0o700 })
    const locked = acquireDirectoryLock(aside)
    try {
      await Promise.all([write(aside), removeAbandoned(dirname(aside))])
      await rm(join(aside, READERS_FILE), { force: true })
      await chmod(join(aside, DATA_FILE), 0o600)
      await syncPath(join(aside, DATA_FILE))
      await syncPath(aside)
    } finally {
      ;(await locked).release()
    }
    // Not every system renames over a directory, be it an empty one.
    await rmdir(path).catch(() => undefined)
    await rename(aside, path)
    await syncNamesOf(path, made)
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined)
    throw error
  }
}

/** Removes what killed processes left in a directory: of such a copy its own files, and then it, if nothing else is there. */
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
      // Somebody is at it, or it is not to be removed: no reason not to make this copy.
    }
  }
}
