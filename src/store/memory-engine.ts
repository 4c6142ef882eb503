/**
 * The engine in memory: what it holds is gone with the process. For tests, and for runs that need no durability.
 *
 * Each table is a sorted list cut into blocks of at most 512 keys: an insertion moves one block's entries, where a single
 * sorted array would move half of the table. Keys are kept as latin1 strings, one character a byte, whose order is that
 * of unsigned bytes and whose comparison is one native call.
 */
import { assert } from '../base/assert.js'
import { systemClock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { checkBatch, checkKey } from './check-batch.js'
import { TABLES, type Engine, type EngineStats, type Entry, type RangeOptions, type Table, type WriteBatch } from './engine.js'

/** A block that reaches this is cut in two: small enough to move at once, large enough that a million keys need few. */
const BLOCK_KEYS = 512

export interface MemoryEngineOptions {
  /** Plants a storage fault: an error for the commit of this number, counted from 1, makes it reject. */
  readonly failCommit?: (commitNumber: number) => Error | undefined
}

/** Makes an empty engine. */
export function createMemoryEngine(options: MemoryEngineOptions = {}): Engine {
  return new MemoryEngine(options)
}

class MemoryEngine implements Engine {
  readonly #tables: Readonly<Record<Table, SortedTable>>
  readonly #failCommit: (commitNumber: number) => Error | undefined
  #inFlight: Promise<void> | undefined
  #failure: MillraceError | undefined
  #isClosing = false
  #commits = 0
  #lastCommitMs = 0

  constructor(options: MemoryEngineOptions) {
    this.#tables = Object.fromEntries(TABLES.map((name) => [name, new SortedTable()])) as Record<Table, SortedTable>
    this.#failCommit = options.failCommit ?? (() => undefined)
  }

  get(table: Table, key: Uint8Array): Buffer | undefined {
    this.#assertOpen()
    checkKey(key)
    const value = this.#tables[table].get(textOf(key))
    return value && copyOf(value)
  }

  range(table: Table, options: RangeOptions): Entry[] {
    this.#assertOpen()
    return this.#tables[table].range(options)
  }

  async commit(batch: WriteBatch): Promise<void> {
    this.#assertOpen()
    if (this.#failure !== undefined) throw this.#failure
    if (batch.length === 0) return
    assert(this.#inFlight === undefined, 'a commit was handed over while another one was in flight')
    checkBatch(batch)
    const startedMs = systemClock.monotonicMs()
    // As late as a commit to disk: a caller that reads its own writes too early fails here as well.
    this.#inFlight = new Promise((resolve) => setImmediate(resolve))
    await this.#inFlight
    this.#inFlight = undefined
    const error = this.#failCommit(this.#commits + 1)
    if (error !== undefined) {
      const message = `The store in memory failed to commit: ${error.message}. Nothing more will be stored; open a new one.`
      this.#failure = new MillraceError('MILLRACE_STORE_FAILED', message, { cause: error })
      throw this.#failure
    }
    this.#apply(batch)
    this.#commits++
    this.#lastCommitMs = systemClock.monotonicMs() - startedMs
  }

  stats(): EngineStats {
    const sizeBytes = Object.values(this.#tables).reduce((sum, table) => sum + table.bytes, 0)
    return { sizeBytes, commits: this.#commits, lastCommitMs: this.#lastCommitMs }
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await this.#inFlight
  }

  #apply(batch: WriteBatch): void {
    for (let index = 0; index < batch.length; index++) {
      const table = this.#tables[batch.tables[index] as Table]
      const key = textOf(batch.keys[index] as Uint8Array)
      const value = batch.values[index]
      if (value === undefined) table.remove(key)
      else table.put(key, Buffer.from(value))
    }
  }

  #assertOpen(): void {
    if (this.#isClosing) throw new MillraceError('MILLRACE_CLOSED', 'The store in memory is closed.')
  }
}

/** Parallel arrays, in ascending order of keys. Never empty, but for the only block of an empty table. */
interface Block {
  readonly keys: string[]
  readonly values: Buffer[]
}

/** Where a key is, or would be inserted. */
interface Place {
  readonly block: number
  readonly index: number
}

class SortedTable {
  readonly #blocks: Block[] = [{ keys: [], values: [] }]
  #bytes = 0

  /** Of all keys and values. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Buffer | undefined {
    const { block, index } = this.#find(key)
    const { keys, values } = this.#block(block)
    return keys[index] === key ? values[index] : undefined
  }

  put(key: string, value: Buffer): void {
    const place = this.#find(key)
    const { keys, values } = this.#block(place.block)
    if (keys[place.index] === key) {
      this.#bytes += value.length - (values[place.index]?.length ?? 0)
      values[place.index] = value
      return
    }
    keys.splice(place.index, 0, key)
    values.splice(place.index, 0, value)
    this.#bytes += key.length + value.length
    if (keys.length >= BLOCK_KEYS) this.#split(place)
  }

  remove(key: string): void {
    const place = this.#find(key)
    const { keys, values } = this.#block(place.block)
    if (keys[place.index] !== key) return
    this.#bytes -= key.length + (values[place.index]?.length ?? 0)
    keys.splice(place.index, 1)
    values.splice(place.index, 1)
    if (keys.length === 0 && this.#blocks.length > 1) this.#blocks.splice(place.block, 1)
  }

  range(options: RangeOptions): Entry[] {
    const entries: Entry[] = []
    const start = options.start && textOf(options.start)
    const end = options.end && textOf(options.end)
    const step = options.reverse === true ? -1 : 1
    let { block, index } = this.#firstOf(start, end, options.reverse === true)
    while (entries.length < options.limit) {
      const current = this.#blocks[block]
      if (current === undefined) break
      const key = current.keys[index]
      const value = current.values[index]
      if (key === undefined || value === undefined) {
        block += step
        index = step > 0 ? 0 : (this.#blocks[block]?.keys.length ?? 0) - 1
        continue
      }
      if (step > 0 ? end !== undefined && key >= end : start !== undefined && key < start) break
      entries.push({ key: copyOf(Buffer.from(key, 'latin1')), value: copyOf(value) })
      index += step
    }
    return entries
  }

  /** The place of a range's first entry in the direction of travel. It may lie just outside a block. */
  #firstOf(start: string | undefined, end: string | undefined, reverse: boolean): Place {
    if (!reverse) return start === undefined ? { block: 0, index: 0 } : this.#find(start)
    if (end === undefined) return { block: this.#blocks.length - 1, index: this.#block(this.#blocks.length - 1).keys.length - 1 }
    const { block, index } = this.#find(end)
    return { block, index: index - 1 }
  }

  #find(key: string): Place {
    // The last block whose first key is not above the key; the first block if there is none.
    let low = 0
    let high = this.#blocks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#block(middle).keys[0] as string) <= key) low = middle
      else high = middle - 1
    }
    const { keys } = this.#block(low)
    let from = 0
    let to = keys.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((keys[middle] as string) < key) from = middle + 1
      else to = middle
    }
    return { block: low, index: from }
  }

  #split({ block, index }: Place): void {
    const { keys, values } = this.#block(block)
    // After an ascending insertion the full block stays full, and the next one starts empty but for the new key.
    const isLast = block === this.#blocks.length - 1 && index === keys.length - 1
    const cut = isLast ? keys.length - 1 : keys.length >>> 1
    this.#blocks.splice(block + 1, 0, { keys: keys.splice(cut), values: values.splice(cut) })
  }

  #block(index: number): Block {
    return this.#blocks[index] as Block
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}

/** A copy with an ArrayBuffer of its own, which the caller may transfer to a thread. */
function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
