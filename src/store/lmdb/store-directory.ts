/**
 * The directory of a store: makes it, and says in words of its own why a path cannot be one. Called by the directory lock
 * and by the LMDB engine, before either writes to it.
 *
 * The checks are thorough because lmdb-js 3.5 does not survive a failure to open, nor LMDB a damaged page: either ends the process
 * (SIGSEGV, SIGBUS).
 */
import { accessSync, constants, existsSync, fsyncSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { MillraceError } from '../../base/errors.js'
import { shortenPath } from '../../base/shorten-path.js'
import { directoriesUp, isSyncFailure } from '../durable-files.js'
import { DataFile, UnreadableFile } from './data-file.js'
import { checkStructure } from './structure.js'

/** The data file. LMDB keeps its reader table beside it, in `jobs.mdb-lock`; nothing else may ever open that one. */
export const DATA_FILE = 'jobs.mdb'
export const READERS_FILE = `${DATA_FILE}-lock`
/** What the data file is made as. It gets its name when it is whole and synced, so that a power cut never leaves half of it. */
export const DRAFT_FILE = `${DATA_FILE}.new`
const PROBE_FILE = 'millrace.probe'
/** More than LMDB writes to make a new store: the meta pages, the reader table, the tables' roots. */
const PROBE_BYTES = 256 * 1024

/** More than LMDB opens: the data file twice, the reader table. */
const FILES_OPENED = 8

/** Jobs may carry secrets: only the user reads them. */
const DIRECTORY_MODE = 0o700

/** A file whose trees have more pages is looked through as far as their branches when it is opened, about one page of a hundred:
 * a leaf takes some 12 µs, and the event loop waits. */
const CHECKED_PAGES = 4096

/** Makes the directory if it is absent, parents included, and makes sure that it can be written to. */
export function prepareDirectory(directory: string): void {
  try {
    const first = makeDirectory(directory)
    if (first !== undefined) syncNames(directory, dirname(resolve(first)))
    if (!statSync(directory).isDirectory()) throw unusable(directory, 'it is a file and not a directory')
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw unusable(directory, pathProblem(error), error)
  }
}

/**
 * Makes a directory for this user alone, parents included. Gives the first one that was made, undefined when there was something of
 * that name. Not by `recursive`: in a place that takes no directories, such as /proc, Node would try for ever.
 */
export function makeDirectory(directory: string): string | undefined {
  try {
    mkdirSync(directory, { mode: DIRECTORY_MODE })
    return directory
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return undefined
    const parent = dirname(directory)
    if (code !== 'ENOENT' || existsSync(parent)) throw error
    const first = makeDirectory(parent)
    if (!existsSync(parent)) throw error
    return makeDirectory(directory) === undefined ? first : (first ?? directory)
  }
}

/**
 * Makes the names on the way to the store's files durable, from its directory up to `top`: a synced file is of no use after a power
 * cut when its name, or its directory's, is not there.
 *
 * @param top - the outermost directory to be synced. Omitted: the one in which the store's directory lies
 * @throws MILLRACE_STORE_UNUSABLE when the disk refuses
 */
export function syncNames(directory: string, top = dirname(resolve(directory))): void {
  for (const path of directoriesUp(resolve(directory), top)) syncDirectory(path)
}

function syncDirectory(path: string): void {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    fsyncSync(file)
  } catch (error) {
    if (isSyncFailure(error)) throw unusable(path, pathProblem(error), error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Removes what a process that died left of a data file in the making. */
export function removeDraft(directory: string): void {
  for (const name of [DRAFT_FILE, `${DRAFT_FILE}-lock`]) rmSync(join(directory, name), { force: true })
}

/**
 * Refuses files that LMDB could not open or would stumble over, a disk without room for a new store, and an address space without
 * room for the map. An absent or an empty data file is a new store.
 *
 * @throws MILLRACE_STORE_UNUSABLE, MILLRACE_STORE_CORRUPT
 */
export function checkStoreFiles(directory: string, mapSize: number): void {
  checkFile(directory)
  // Never opened, only looked at: to close it would drop the locks of an environment that has it open.
  checkRegular(join(directory, READERS_FILE))
  const addressBytes = addressSpaceBytes()
  if (mapSize >= addressBytes) {
    throw unusable(directory, `it needs ${mapSize} bytes of address space, and this process may have ${addressBytes} (ulimit -v)`)
  }
  const probe = join(directory, PROBE_FILE)
  const opened: number[] = []
  try {
    while (opened.length < FILES_OPENED) opened.push(openSync(directory, 'r'))
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600 })
  } catch (error) {
    throw unusable(directory, pathProblem(error), error)
  } finally {
    for (const file of opened) closeSync(file)
    rmSync(probe, { force: true })
  }
}

/** Refuses a directory without a data file, which opening would make. */
export function requireStore(directory: string): void {
  if (checkRegular(join(directory, DATA_FILE)) === 0) throw unusable(directory, `there is no store in it: it has no ${DATA_FILE}`)
}

/** What opening the data file looks for in it, without LMDB: for whoever opens it only to read. */
export function checkFile(directory: string): void {
  checkDataFile(join(directory, DATA_FILE), CHECKED_PAGES)
}

/** Looks through the whole data file, however large, without LMDB. */
export function checkWholeFile(directory: string): void {
  checkDataFile(join(directory, DATA_FILE), Infinity)
}

function checkDataFile(path: string, maxPages: number): void {
  if (checkRegular(path) === 0) return
  const file = openDataFile(path)
  try {
    const { problems, problemCount } = checkStructure(file, { maxPages })
    if (problemCount > 0) throw damaged(path, `${problems[0]}${problemCount > 1 ? `, and ${problemCount - 1} more` : ''}`)
  } finally {
    file.close()
  }
}

/**
 * The data file, to be looked into without LMDB.
 *
 * @throws MILLRACE_STORE_UNUSABLE, MILLRACE_STORE_CORRUPT
 */
export function openDataFile(path: string): DataFile {
  try {
    return DataFile.open(path)
  } catch (error) {
    if (error instanceof UnreadableFile) {
      throw error.kind === 'foreign' ? unusable(path, error.message, error) : damaged(path, error.message, error)
    }
    throw unusable(path, pathProblem(error), error)
  }
}

/** The file's size; 0 when there is none. */
function checkRegular(path: string): number {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return 0
    if (!stat.isFile()) throw unusable(path, 'it is not a regular file')
    accessSync(path, constants.R_OK | constants.W_OK)
    return stat.size
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw unusable(path, pathProblem(error), error)
  }
}

/** What `ulimit -v` grants, where the system tells. */
function addressSpaceBytes(): number {
  try {
    const bytes = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    return bytes === undefined ? Infinity : Number(bytes)
  } catch {
    return Infinity
  }
}

/** The error for a path that cannot be a store, or a part of one. */
export function unusable(path: string, reason: string, cause?: unknown): MillraceError {
  const message =
    `Cannot use ${shortenPath(path)} as a store: ${shortenPath(reason)}. ` +
    'Give the executor a directory of its own that this user can write to, on a local disk with free space.'
  return new MillraceError('MILLRACE_STORE_UNUSABLE', message, cause === undefined ? undefined : { cause })
}

/** The error for a data file that was a store and holds what LMDB cannot have written. */
function damaged(path: string, reason: string, cause?: unknown): MillraceError {
  const message =
    `The store's file ${path} is damaged: ${reason}. Nothing was changed. ` +
    '`millrace doctor` tells all that is wrong with it; restore a backup, or move the directory away to begin anew.'
  return new MillraceError('MILLRACE_STORE_CORRUPT', message, cause === undefined ? undefined : { cause })
}

/** Why a path cannot be a directory to write to, from what the system said. */
export function pathProblem(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  switch (code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'it, or a part of its path, is a file and not a directory'
    case 'ENOENT':
      return 'it cannot be made there, or a symbolic link in its path leads nowhere (ENOENT)'
    case 'ELOOP':
      return 'its symbolic links lead back to themselves (ELOOP)'
    case 'ENAMETOOLONG':
      return 'it, or a name in it, is longer than the system allows (ENAMETOOLONG)'
    case 'EMFILE':
    case 'ENFILE':
      return `no more files may be opened (${code}); raise the limit, as with ulimit -n`
    case 'EACCES':
    case 'EPERM':
      return `this user may not read and write it (${code})`
    case 'EROFS':
      return 'its file system is read-only (EROFS)'
    case 'ENOSPC':
      return 'its disk is full (ENOSPC)'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}
