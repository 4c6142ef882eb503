/**
 * The seam between the job store and what keeps its bytes: a handful of ordered tables of bytes, and one atomic, durable
 * commit. Implemented over LMDB (`lmdb/`) and in memory (`memory-engine.ts`); both pass the suite in `test/conformance`.
 *
 * Rules that hold for every engine:
 * - Keys are 1 to 64 bytes and order as unsigned bytes. Values are bytes; an empty value is allowed.
 * - One commit is in flight at a time; the caller waits for it before the next. Its writes are seen together or not at all.
 * - Reads see every commit that has resolved, and none of the writes of one that has not.
 * - Once a commit has rejected, every later commit rejects too: what is on disk is known again only after a reopen.
 * - Bytes handed to a commit are not changed by the caller until it settles. Bytes read belong to the caller.
 */

/** Fixed: each table touched by a commit costs about three pages, so there is one per kind of record, none per queue. */
export const TABLES = ['meta', 'pages', 'marks', 'scheduled', 'index', 'claims', 'finished', 'payloads'] as const

export type Table = (typeof TABLES)[number]

export interface Entry {
  readonly key: Buffer
  readonly value: Buffer
}

export interface RangeOptions {
  /** Inclusive. Omitted: from the first key. */
  readonly start?: Uint8Array
  /** Exclusive. Omitted: to the last key. */
  readonly end?: Uint8Array
  /** From the end backwards: entries come in descending order; `start` and `end` keep their meaning. */
  readonly reverse?: boolean
  /** At most so many entries; required, so that no read grows with the backlog. */
  readonly limit: number
}

export interface EngineStats {
  /** Size of the data file, or of the bytes held in memory. */
  readonly sizeBytes: number
  /** Commits that have resolved since the engine was opened. */
  readonly commits: number
  /** How long the latest commit took, from hand-over to durable. 0 before the first. */
  readonly lastCommitMs: number
}

export interface Engine {
  /** The value under `key`, or undefined. */
  get(table: Table, key: Uint8Array): Buffer | undefined
  /** The entries of a key range, drained at once. */
  range(table: Table, options: RangeOptions): Entry[]
  /** Writes `batch` atomically; resolves when it is durable and visible. An empty batch resolves at once. */
  commit(batch: WriteBatch): Promise<void>
  stats(): EngineStats
  /**
   * Writes the state of the last commit into a new file, beside reads and commits, in a thread of its own. Absent when there are no
   * files. Pages that commits free meanwhile are used again only after it, so the store's own file may grow.
   */
  copy?(file: string): Promise<void>
  /** Waits for a commit in flight, and for copies, then releases the files. Calling it again is harmless. */
  close(): Promise<void>
}

/** The writes of one commit, in order. For one key the last one holds. */
export class WriteBatch {
  readonly tables: Table[] = []
  readonly keys: Uint8Array[] = []
  /** `undefined` removes the key. */
  readonly values: (Uint8Array | undefined)[] = []
  #bytes = 0

  get length(): number {
    return this.keys.length
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.#bytes
  }

  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.tables.push(table)
    this.keys.push(key)
    this.values.push(value)
    this.#bytes += key.length + value.length
  }

  /** Removing a key that is not there is harmless. */
  remove(table: Table, key: Uint8Array): void {
    this.tables.push(table)
    this.keys.push(key)
    this.values.push(undefined)
    this.#bytes += key.length
  }
}
