/**
 * The directory of a store: makes it, and says in words of its own why a path cannot be one. Called by the directory lock
 * and by the LMDB engine, before either writes to it.
 *
 * The checks are thorough because lmdb-js 3.5 does not survive a failure to open: it ends the process (SIGSEGV).
 */
import { accessSync, constants, fsyncSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { MillraceError } from '../../base/errors.js'

/** The data file. LMDB keeps its reader table beside it, in `jobs.mdb-lock`; nothing else may ever open that one. */
export const DATA_FILE = 'jobs.mdb'
const READERS_FILE = `${DATA_FILE}-lock`
/** What the data file is made as. It gets its name when it is whole and synced, so that a power cut never leaves half of it. */
export const DRAFT_FILE = `${DATA_FILE}.new`
const PROBE_FILE = 'millrace.probe'
/** More than LMDB writes to make a new store: the meta pages, the reader table, the tables' roots. */
const PROBE_BYTES = 256 * 1024

/** Jobs may carry secrets: only the user reads them. */
const DIRECTORY_MODE = 0o700

const LMDB_MAGIC = 0xbeefc0de
/** The data format of the LMDB inside lmdb-js 3. The LMDB of the distributions writes version 1. */
const LMDB_FORMAT = 2
/** A page's header, which the magic follows. */
const PAGE_HEADER_BYTES = 24
/** Bit of the page's flags, at byte 18, that marks a meta page. */
const META_PAGE_FLAG = 0x08

/** Failures to sync a directory that mean something. Others say that this system, or this user, cannot. */
const SYNC_FAILURES = new Set(['EIO', 'ENOSPC', 'EDQUOT'])

/** Makes the directory if it is absent, parents included, and makes sure that it can be written to. */
export function prepareDirectory(directory: string): void {
  try {
    const first = mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE })
    if (first !== undefined) syncNames(directory, dirname(resolve(first)))
    if (!statSync(directory).isDirectory()) throw unusable(directory, 'it is not a directory')
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw unusable(directory, reasonOf(error), error)
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
  for (let path = resolve(directory); path.length >= top.length; path = dirname(path)) {
    syncDirectory(path)
    if (path === dirname(path)) return
  }
}

function syncDirectory(path: string): void {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    fsyncSync(file)
  } catch (error) {
    if (SYNC_FAILURES.has((error as NodeJS.ErrnoException).code ?? '')) throw unusable(path, reasonOf(error), error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Removes what a process that died left of a data file in the making. */
export function removeDraft(directory: string): void {
  for (const name of [DRAFT_FILE, `${DRAFT_FILE}-lock`]) rmSync(join(directory, name), { force: true })
}

/**
 * Refuses files that LMDB could not open, a disk without room for a new store, and an address space without room for the
 * map. An absent or an empty data file is a new store.
 */
export function checkStoreFiles(directory: string, mapSize: number): void {
  checkDataFile(join(directory, DATA_FILE))
  // Never opened, only looked at: to close it would drop the locks of an environment that has it open.
  checkRegular(join(directory, READERS_FILE))
  const addressBytes = addressSpaceBytes()
  if (mapSize >= addressBytes) {
    throw unusable(directory, `it needs ${mapSize} bytes of address space, and this process may have ${addressBytes} (ulimit -v)`)
  }
  const probe = join(directory, PROBE_FILE)
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { mode: 0o600 })
  } catch (error) {
    throw unusable(directory, reasonOf(error), error)
  } finally {
    rmSync(probe, { force: true })
  }
}

function checkDataFile(path: string): void {
  const sizeBytes = checkRegular(path)
  if (sizeBytes === 0) return
  const head = readHead(path)

  // LMDB writes in the byte order of the machine.
  const little = endianness() === 'LE'
  const read16 = (offset: number): number => (little ? head.readUInt16LE(offset) : head.readUInt16BE(offset))
  const read32 = (offset: number): number => (little ? head.readUInt32LE(offset) : head.readUInt32BE(offset))
  if ((read16(18) & META_PAGE_FLAG) === 0 || read32(PAGE_HEADER_BYTES) !== LMDB_MAGIC) {
    throw unusable(path, 'it is not a Millrace store: its first page is not one of LMDB')
  }
  const format = read32(PAGE_HEADER_BYTES + 4) & 0xffff
  if (format !== LMDB_FORMAT) throw unusable(path, `it has LMDB format ${format}, and this version reads ${LMDB_FORMAT}`)
  const pageBytes = read32(PAGE_HEADER_BYTES + 24)
  if (pageBytes < 256 || pageBytes > 65_536) throw unusable(path, `its first page is damaged: ${pageBytes} bytes a page`)
  if (sizeBytes < 2 * pageBytes) throw unusable(path, `it is cut off: ${sizeBytes} bytes are less than its two meta pages`)
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
    throw unusable(path, reasonOf(error), error)
  }
}

function readHead(path: string): Buffer {
  const head = Buffer.alloc(PAGE_HEADER_BYTES + 64)
  try {
    const file = openSync(path, 'r')
    try {
      readSync(file, head, 0, head.length, 0)
    } finally {
      closeSync(file)
    }
    return head
  } catch (error) {
    throw unusable(path, reasonOf(error), error)
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
    `Cannot use ${path} as a store: ${reason}. ` +
    'Give the executor a directory of its own that this user can write to, on a local disk with free space.'
  return new MillraceError('MILLRACE_STORE_UNUSABLE', message, cause === undefined ? undefined : { cause })
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  switch (code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'it, or a part of its path, is a file and not a directory'
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
