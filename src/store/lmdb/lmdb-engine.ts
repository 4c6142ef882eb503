/**
 * The engine over LMDB: one file, one named database per table, one transaction per commit. The only importer of `lmdb`.
 *
 * Invariants
 * - The store's directory lock is held while an engine is open: one engine per file, on the main thread. A thread that is
 *   terminated while it has LMDB open can deadlock or abort the process.
 * - After the tables are open, the only write is one `batch()` per commit, and nothing throws inside it: lmdb-js does not
 *   roll back. Synchronous transactions would split it.
 * - lmdb-js refers to values by address until the commit ends, so the batch stays referenced until then.
 * - A commit becomes visible in a thread of libuv's pool, a moment before its promise resolves. A read transaction held
 *   from hand-over to settlement keeps it hidden until then; outside a commit no reader is held, so pages are reused.
 * - Nothing lies in the root database: clearing it can crash LMDB.
 * - A new file is made under another name, and gets its own when it is durable; its name is durable before the first commit.
 * - Before a commit the store's lock must be held; after it, the lock and the file must be where they were, or the commit is not
 *   acknowledged: what is written into a file that was deleted, nobody ever sees. See `file-in-place`.
 * - The file is mapped once. lmdb-js would map it anew, while it is being read, when it outgrows the map; so a commit that
 *   might need that is refused, and the next open maps twice the file's size.
 */
import { open as openFile } from 'node:fs/promises'
import { renameSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { open, type Database, type RootDatabase, type RootDatabaseOptions, type Transaction } from 'lmdb'

import { assert } from '../../base/assert.js'
import type { Clock } from '../../base/clock.js'
import { MillraceError } from '../../base/errors.js'
import { checkBatch, checkKey } from '../check-batch.js'
import { TABLES, type Engine, type EngineStats, type Entry, type RangeOptions, type Table, type WriteBatch } from '../engine.js'
import { commitFailure, fileLost, lockLost, outgrown } from './commit-failure.js'
import { LOCK_FILE } from './directory-lock.js'
import { FileInPlace } from './file-in-place.js'
import { checkStoreFiles, DATA_FILE, DRAFT_FILE, prepareDirectory, removeDraft, syncNames, unusable } from './store-directory.js'

/** Address space, not disk. 64 GiB: a file that outgrows it is a matter of years, and some systems grant no more at once. */
export const DEFAULT_MAP_BYTES = 2 ** 36
/** The largest page LMDB takes from the system, and how many of them one write may touch: its path, splits, the free list. */
const PAGE_BYTES = 4096
const PAGES_PER_WRITE = 8
/** What a commit may write besides its records: the roots of its tables, and the list of free pages. */
const COMMIT_OVERHEAD_BYTES = 2 ** 20
const MAX_DATABASES = 16
const FILE_MODE = 0o600

export interface LmdbEngineOptions {
  /** `disk`: a resolved commit survives power loss. `process`: it survives the end of the process only, and nothing syncs. */
  readonly durability: 'disk' | 'process'
  readonly clock: Clock
  /** What the file may grow to until it is opened anew, in bytes; at least twice its size. @defaultValue 64 GiB */
  readonly mapSize?: number
  /**
   * Reads the state of the moment of opening, writes nothing, and may be opened beside the process that holds the store. Pages that
   * the other frees meanwhile are not used again until this one is closed, so its file grows. @defaultValue false
   */
  readonly readOnly?: boolean
  /** The file is a copy that this process has just made: it is not looked through, which costs the event loop nothing. @defaultValue false */
  readonly isOwnCopy?: boolean
  /** Whether the store's lock is still held, asked around each commit. @defaultValue it is */
  readonly isHeld?: () => boolean
}

type Root = RootDatabase<Buffer, Uint8Array>
type Tables = Readonly<Record<Table, Database<Buffer, Uint8Array>>>

/**
 * Opens the store's file in `directory`, and makes both if they are absent.
 *
 * @throws MILLRACE_STORE_UNUSABLE when the path cannot be a store.
 * @throws MILLRACE_STORE_CORRUPT when the file is a store, and damaged.
 */
export async function openLmdbEngine(directory: string, options: LmdbEngineOptions): Promise<LmdbEngine> {
  const isGiven = options.readOnly === true || options.isOwnCopy === true
  if (!isGiven) prepareDirectory(directory)
  const mapSize = Math.max(options.mapSize ?? DEFAULT_MAP_BYTES, 2 * sizeOf(directory))
  if (!isGiven) checkStoreFiles(directory, mapSize)
  let root: Root | undefined
  try {
    if (!isGiven) removeDraft(directory)
    if (!isGiven && sizeOf(directory) === 0) await makeDataFile(directory, mapSize)
    root = openRoot(join(directory, DATA_FILE), options, mapSize)
    const tables = openTables(root)
    if (!isGiven) syncNames(directory)
    return new LmdbEngine(directory, root, tables, mapSize, options)
  } catch (error) {
    await root?.close()
    throw unusable(join(directory, DATA_FILE), error instanceof Error ? error.message : String(error), error)
  }
}

/**
 * LMDB writes the first pages of a new file without syncing them. A power cut would leave a file that nothing can open, so it is
 * made under another name, and renamed when all of it is durable.
 */
async function makeDataFile(directory: string, mapSize: number): Promise<void> {
  const draft = join(directory, DRAFT_FILE)
  const root = openRoot(draft, { durability: 'disk' }, mapSize)
  try {
    openTables(root)
  } finally {
    await root.close()
  }
  renameSync(draft, join(directory, DATA_FILE))
  removeDraft(directory)
}

function openRoot(
  path: string,
  { durability, readOnly = false }: Pick<LmdbEngineOptions, 'durability' | 'readOnly'>,
  mapSize: number,
): Root {
  // `permissionsMode` is missing in the package's types.
  const options: RootDatabaseOptions & { permissionsMode: number } = {
    noSubdir: true,
    permissionsMode: FILE_MODE,
    mapSize,
    maxDbs: MAX_DATABASES,
    encoding: 'binary',
    keyEncoding: 'binary',
    // Otherwise a commit that fails to sync stays visible, and close() waits for it for ever.
    overlappingSync: false,
    // Otherwise a commit that fails ends the process through a rejection inside lmdb-js (lmdb-js #368).
    eventTurnBatching: false,
    noSync: durability === 'process',
    readOnly,
  }
  return open<Buffer, Uint8Array>(path, options)
}

function openTables(root: Root): Tables {
  const openTable = (name: Table): Database<Buffer, Uint8Array> =>
    root.openDB<Buffer, Uint8Array>(name, { encoding: 'binary', keyEncoding: 'binary' })
  return Object.fromEntries(TABLES.map((name) => [name, openTable(name)])) as Tables
}

export class LmdbEngine implements Engine {
  readonly #directory: string
  readonly #root: Root
  readonly #tables: Tables
  readonly #mapSize: number
  readonly #clock: Clock
  readonly #durability: 'disk' | 'process'
  readonly #isReadOnly: boolean
  readonly #isHeld: () => boolean
  readonly #place: FileInPlace
  /** The state before the commit in flight, or the one state that is read; undefined when there is none. */
  #snapshot: Transaction | undefined
  /** Copies that are being made. */
  readonly #copies = new Set<Promise<unknown>>()
  /** Settles, never rejecting, with the commit in flight. */
  #inFlight: Promise<void> = Promise.resolve()
  /** The file is not larger than this. Counted with every commit, and looked up when it comes near the map's size. */
  #fileBytesAtMost: number
  /** What ended this engine's writes. */
  #failure: MillraceError | undefined
  #closing: Promise<void> | undefined
  #commits = 0
  /** As many of them as there were at the last sync of the whole file. */
  #syncedCommits = 0
  #lastCommitMs = 0

  constructor(directory: string, root: Root, tables: Tables, mapSize: number, options: LmdbEngineOptions) {
    this.#directory = directory
    this.#root = root
    this.#tables = tables
    this.#mapSize = mapSize
    this.#clock = options.clock
    this.#durability = options.durability
    this.#fileBytesAtMost = sizeOf(directory)
    this.#isReadOnly = options.readOnly === true
    this.#isHeld = options.isHeld ?? (() => true)
    this.#place = new FileInPlace(join(directory, DATA_FILE))
    if (this.#isReadOnly) this.#snapshot = root.useReadTransaction()
  }

  get(table: Table, key: Uint8Array): Buffer | undefined {
    this.#assertOpen()
    checkKey(key)
    const database = this.#tables[table]
    return this.#snapshot === undefined ? database.get(key) : database.get(key, { transaction: this.#snapshot })
  }

  range(table: Table, options: RangeOptions): Entry[] {
    this.#assertOpen()
    const { start, end, limit } = options
    if (end !== undefined && end.length === 0) return []
    const entries: Entry[] = []
    if (limit <= 0) return entries
    const first = start !== undefined && start.length > 0 ? start : undefined
    // lmdb-js counts `start` and `end` in the direction of travel, so that backwards they change places.
    const [from, to] = options.reverse === true ? [end, first] : [first, end]
    const range = this.#tables[table].getRange({
      ...(options.reverse === true && { reverse: true, exclusiveStart: true, inclusiveEnd: true }),
      ...(from !== undefined && { start: from }),
      ...(to !== undefined && { end: to }),
      ...(this.#snapshot !== undefined && { transaction: this.#snapshot }),
    })
    // Left by `break`, not by lmdb-js's own limit, which would read one entry more. Either way the cursor is given back here.
    for (const { key, value } of range) {
      entries.push({ key: key as Buffer, value })
      if (entries.length >= limit) break
    }
    return entries
  }

  async commit(batch: WriteBatch): Promise<void> {
    this.#assertOpen()
    if (this.#failure !== undefined) throw this.#failure
    if (batch.length === 0) return
    assert(!this.#isReadOnly, 'a store that was opened for reading is written to')
    assert(this.#snapshot === undefined, 'a commit was handed over while another one was in flight')
    checkBatch(batch)
    const written = this.#write(batch)
    this.#inFlight = written.catch(() => {})
    await written
  }

  stats(): EngineStats {
    return { sizeBytes: sizeOf(this.#directory), commits: this.#commits, lastCommitMs: this.#lastCommitMs }
  }

  /** How many transactions read the file. */
  get readers(): number {
    return this.readerPids.length
  }

  /** The process of each transaction that reads the file, as LMDB's reader table has them. */
  get readerPids(): number[] {
    const lines = this.#root.readerList().split('\n')
    return lines.flatMap((line) => /^\s*(\d+)/.exec(line)?.[1] ?? []).map(Number)
  }

  async copy(file: string): Promise<void> {
    this.#assertOpen()
    const copied = this.#root.backup(file, false)
    const settled = copied.catch(() => undefined)
    this.#copies.add(settled)
    await copied.finally(() => this.#copies.delete(settled))
  }

  /**
   * Makes all commits so far durable, of a store that does not sync them. Rejects when the disk refuses: what it was to keep may then be
   * gone, and a second sync says nothing of it.
   */
  async sync(): Promise<void> {
    const commits = this.#commits
    const file = await openFile(join(this.#directory, DATA_FILE), 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    this.#syncedCommits = commits
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #write(batch: WriteBatch): Promise<void> {
    const startedMs = this.#clock.monotonicMs()
    const values = batch.values.map(addressable)
    if (!this.#isHeld()) this.#assertInPlace()
    if (!this.#fits(batch)) this.#fail(outgrown(this.#directory, this.#mapSize))
    try {
      this.#snapshot = this.#root.useReadTransaction()
      await this.#root.batch(() => {
        for (let index = 0; index < batch.length; index++) this.#queue(batch, index, values[index])
      })
    } catch (error) {
      this.#fail(await commitFailure(error, this.#directory, batch.bytes))
    } finally {
      this.#snapshot?.done()
      this.#snapshot = undefined
      // The next read starts from the latest state, not from the one of the current turn.
      this.#root.resetReadTxn()
    }
    this.#assertInPlace()
    this.#commits++
    this.#lastCommitMs = this.#clock.monotonicMs() - startedMs
  }

  /** Ends this engine's writes. */
  #fail(failure: MillraceError): never {
    this.#failure = failure
    throw failure
  }

  /** Whoever opens the store's path finds what is written here, and no other executor writes there. */
  #assertInPlace(): void {
    const place = this.#place.look()
    if (place === 'gone' || place === 'another') this.#fail(fileLost(this.#directory, DATA_FILE, place === 'gone'))
    if (!this.#isHeld()) this.#fail(lockLost(this.#directory, LOCK_FILE))
  }

  /** Whether the file stays within its map, whatever this commit needs. */
  #fits(batch: WriteBatch): boolean {
    const needed = batch.bytes + batch.length * PAGES_PER_WRITE * PAGE_BYTES + COMMIT_OVERHEAD_BYTES
    if (this.#fileBytesAtMost + needed > this.#mapSize) this.#fileBytesAtMost = sizeOf(this.#directory)
    this.#fileBytesAtMost += needed
    return this.#fileBytesAtMost <= this.#mapSize
  }

  /** Queues one write inside `batch()`. Its promise is one of success that lmdb-js shares by all writes of a batch. */
  #queue(batch: WriteBatch, index: number, value: Uint8Array | undefined): void {
    const database = this.#tables[batch.tables[index] as Table]
    const key = batch.keys[index] as Uint8Array
    if (value === undefined) void database.remove(key)
    else void database.put(key, value as Buffer)
  }

  async #close(): Promise<void> {
    await this.#inFlight
    // They read the map, which is about to go.
    await Promise.all(this.#copies)
    if (this.#isReadOnly) this.#snapshot?.done()
    else if (this.#durability === 'process' && this.#failure === undefined && this.#syncedCommits < this.#commits) {
      // Once closed in order, a store of either durability is safe on disk.
      await this.sync().catch(() => undefined)
    }
    await this.#root.close()
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return
    throw new MillraceError('MILLRACE_CLOSED', `The store at ${this.#directory} is closed.`)
  }
}

function sizeOf(directory: string): number {
  return statSync(join(directory, DATA_FILE), { throwIfNoEntry: false })?.size ?? 0
}

/** lmdb-js takes a value's address from its ArrayBuffer, and garbage from a SharedArrayBuffer: that one is copied. */
function addressable(value: Uint8Array | undefined): Uint8Array | undefined {
  if (value === undefined || value.buffer instanceof ArrayBuffer) return value
  return Uint8Array.from(value)
}
