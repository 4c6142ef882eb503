/**
 * A block: the jobs that one commit ended in one state, kept for `get`, `list` and `result()` until `retain` prunes them.
 * One record per commit rather than one per job.
 *
 *   0   u8   version (1)
 *   1   u8   reserved
 *   2   u16  reserved
 *   4   u32  jobs
 *   8   f64  finishedAt of all of them, epoch ms
 *   16  f64  lowest job number, 24 f64 highest job number
 *   32       entries
 *
 * An entry:
 *   0   u32  length of what follows
 *   4   f64  job number
 *   12  f64  enqueuedAt, 20 f64 startedAt of the last run (0: never ran), epoch ms
 *   28  f32  its run time in ms
 *   32  u16  definition, 34 u16 queue
 *   36  u8   rank, 37 u8 flags: 1 input lies in `payloads`, 2 output lies there; 38 u16 reserved
 *   40  u32  length of the details, 44 u32 length of the input
 *   48       details (JSON; empty when the job completed in its first run), input, output
 */
import type { ErrorRecord } from '../base/errors.js'
import type { JobLedger } from '../job/job-state.js'
import type { JobOverrides } from '../job/job-overrides.js'
import { MillraceError } from '../base/errors.js'
import { ByteWriter } from './byte-writer.js'
import { corrupt } from './corrupt.js'
import { checkedError, checkedLedger, revivedOverrides, storableOverrides } from './job-facts.js'

const VERSION = 1
const BLOCK_HEADER_BYTES = 32
const ENTRY_BYTES = 48
const INPUT_APART = 1
const OUTPUT_APART = 2

/** What a finished job tells beyond its last run. */
export interface FinishedDetails {
  readonly ledger?: JobLedger | undefined
  readonly overrides?: JobOverrides | undefined
  readonly error?: ErrorRecord | undefined
}

export interface FinishedEntry extends FinishedDetails {
  readonly seq: number
  readonly enqueuedAt: number
  readonly startedAt: number
  readonly runMs: number
  readonly definitionId: number
  readonly queueId: number
  readonly rank: number
  readonly inputApart: boolean
  readonly outputApart: boolean
  readonly input: Buffer
  readonly output: Buffer
}

export interface BlockHeader {
  readonly count: number
  readonly finishedAt: number
  readonly lowestSeq: number
  readonly highestSeq: number
}

export function readBlockHeader(bytes: Buffer): BlockHeader {
  if (bytes.length < BLOCK_HEADER_BYTES || bytes[0] !== VERSION) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `A block of finished jobs has version ${bytes[0] ?? 'none'}; this package reads ${VERSION}.`,
    )
  }
  return {
    count: bytes.readUInt32LE(4),
    finishedAt: bytes.readDoubleLE(8),
    lowestSeq: bytes.readDoubleLE(16),
    highestSeq: bytes.readDoubleLE(24),
  }
}

/** The block's entries from the `skip`-th on, oldest first. Input and output are views of `bytes`. */
export function* readBlock(bytes: Buffer, skip = 0): Generator<FinishedEntry> {
  const { count } = readBlockHeader(bytes)
  let at = BLOCK_HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const end = entryEnd(bytes, at)
    if (index >= skip) yield readEntry(bytes, at, end)
    at = end
  }
}

/** The entry of one job, or undefined. */
export function findInBlock(bytes: Buffer, seq: number, skip = 0): FinishedEntry | undefined {
  const { count, lowestSeq, highestSeq } = readBlockHeader(bytes)
  if (seq < lowestSeq || seq > highestSeq) return undefined
  let at = BLOCK_HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const end = entryEnd(bytes, at)
    if (index >= skip && bytes.readDoubleLE(at + 4) === seq) return readEntry(bytes, at, end)
    at = end
  }
  return undefined
}

/** What can be asked of an entry without reading what is kept of it. */
export interface EntryHead {
  readonly seq: number
  readonly enqueuedAt: number
  readonly definitionId: number
  readonly queueId: number
}

/** The heads of the block's entries from the `skip`-th on. */
export function* readHeads(bytes: Buffer, skip = 0): Generator<EntryHead> {
  const { count } = readBlockHeader(bytes)
  let at = BLOCK_HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const end = entryEnd(bytes, at)
    if (index >= skip) {
      yield {
        seq: bytes.readDoubleLE(at + 4),
        enqueuedAt: bytes.readDoubleLE(at + 12),
        definitionId: bytes.readUInt16LE(at + 32),
        queueId: bytes.readUInt16LE(at + 34),
      }
    }
    at = end
  }
}

/** The block without its first `skip` entries and those of some jobs; undefined when none is left. */
export function withoutEntries(bytes: Buffer, skip: number, seqs: ReadonlySet<number>): Buffer | undefined {
  const { count: before } = readBlockHeader(bytes)
  const kept = Buffer.allocUnsafe(bytes.length)
  let to = bytes.copy(kept, 0, 0, BLOCK_HEADER_BYTES)
  let count = 0
  let lowest = Infinity
  let highest = -Infinity
  let at = BLOCK_HEADER_BYTES
  for (let index = 0; index < before; index++) {
    const end = entryEnd(bytes, at)
    const seq = bytes.readDoubleLE(at + 4)
    if (index >= skip && !seqs.has(seq)) {
      to += bytes.copy(kept, to, at, end)
      count++
      lowest = Math.min(lowest, seq)
      highest = Math.max(highest, seq)
    }
    at = end
  }
  if (count === 0) return undefined
  writeCounts(kept, count, lowest, highest)
  return kept.subarray(0, to)
}

function writeCounts(block: Buffer, count: number, lowest: number, highest: number): void {
  block.writeUInt32LE(count, 4)
  block.writeDoubleLE(lowest, 16)
  block.writeDoubleLE(highest, 24)
}

function entryEnd(bytes: Buffer, at: number): number {
  if (at + ENTRY_BYTES > bytes.length) throw cutShort(at, at + ENTRY_BYTES, bytes)
  const end = at + 4 + bytes.readUInt32LE(at)
  if (end > bytes.length || end < at + ENTRY_BYTES) throw cutShort(at, end, bytes)
  return end
}

function cutShort(at: number, end: number, bytes: Buffer): MillraceError {
  return new MillraceError(
    'MILLRACE_STORE_CORRUPT',
    `A block of finished jobs is cut short: an entry at ${at} ends at ${end} of ${bytes.length} bytes.`,
  )
}

function readEntry(bytes: Buffer, at: number, end: number): FinishedEntry {
  const flags = bytes.readUInt8(at + 37)
  const detailsTo = at + ENTRY_BYTES + bytes.readUInt32LE(at + 40)
  const inputTo = detailsTo + bytes.readUInt32LE(at + 44)
  if (inputTo > end) throw cutShort(at, inputTo, bytes)
  const details = detailsTo > at + ENTRY_BYTES ? readDetails(bytes.toString('utf8', at + ENTRY_BYTES, detailsTo)) : undefined
  return {
    ...details,
    seq: bytes.readDoubleLE(at + 4),
    enqueuedAt: bytes.readDoubleLE(at + 12),
    startedAt: bytes.readDoubleLE(at + 20),
    runMs: bytes.readFloatLE(at + 28),
    definitionId: bytes.readUInt16LE(at + 32),
    queueId: bytes.readUInt16LE(at + 34),
    rank: bytes.readUInt8(at + 36),
    inputApart: (flags & INPUT_APART) !== 0,
    outputApart: (flags & OUTPUT_APART) !== 0,
    input: bytes.subarray(detailsTo, inputTo),
    output: bytes.subarray(inputTo, end),
  }
}

function writeDetails({ overrides, ...rest }: FinishedDetails): string {
  return JSON.stringify(overrides === undefined ? rest : { ...rest, overrides: storableOverrides(overrides) })
}

function readDetails(text: string): FinishedDetails {
  try {
    const { ledger, overrides, error } = JSON.parse(text) as FinishedDetails
    return {
      ...(ledger !== undefined && { ledger: checkedLedger(ledger) }),
      ...(overrides !== undefined && { overrides: revivedOverrides(overrides) }),
      ...(error !== undefined && { error: checkedError(error) }),
    }
  } catch (error) {
    throw corrupt('What is kept of a finished job', error)
  }
}

/** Fills one block. Made for a commit, sealed with it. */
export class FinishedBlockBuilder {
  readonly #writer = new ByteWriter(16 * 1024)
  #count = 0
  #lowest = Infinity
  #highest = -Infinity

  constructor() {
    this.#writer.position = BLOCK_HEADER_BYTES
  }

  get count(): number {
    return this.#count
  }

  get lowestSeq(): number {
    return this.#lowest
  }

  get highestSeq(): number {
    return this.#highest
  }

  /**
   * Appends a job. `input` and `output` are copied from the given ranges of the buffers they lie in.
   */
  add(
    job: {
      seq: number
      enqueuedAt: number
      startedAt: number
      runMs: number
      definitionId: number
      queueId: number
      rank: number
      inputApart: boolean
      outputApart: boolean
    },
    details: FinishedDetails | undefined,
    input: Buffer,
    inputFrom: number,
    inputTo: number,
    output: Buffer,
    outputFrom: number,
    outputTo: number,
  ): void {
    const writer = this.#writer
    const text = details === undefined ? '' : writeDetails(details)
    const detailsBytes = text === '' ? 0 : Buffer.byteLength(text)
    const length = ENTRY_BYTES - 4 + detailsBytes + (inputTo - inputFrom) + (outputTo - outputFrom)
    writer.reserve(length + 4)
    const { buffer, position: at } = writer
    buffer.writeUInt32LE(length, at)
    buffer.writeDoubleLE(job.seq, at + 4)
    buffer.writeDoubleLE(job.enqueuedAt, at + 12)
    buffer.writeDoubleLE(job.startedAt, at + 20)
    buffer.writeFloatLE(job.runMs, at + 28)
    buffer.writeUInt16LE(job.definitionId, at + 32)
    buffer.writeUInt16LE(job.queueId, at + 34)
    buffer[at + 36] = job.rank
    buffer[at + 37] = (job.inputApart ? INPUT_APART : 0) | (job.outputApart ? OUTPUT_APART : 0)
    buffer.writeUInt16LE(0, at + 38)
    buffer.writeUInt32LE(detailsBytes, at + 40)
    buffer.writeUInt32LE(inputTo - inputFrom, at + 44)
    let to = at + ENTRY_BYTES
    if (detailsBytes > 0) to += buffer.write(text, to, 'utf8')
    to += input.copy(buffer, to, inputFrom, inputTo)
    to += output.copy(buffer, to, outputFrom, outputTo)
    writer.position = to
    this.#count++
    if (job.seq < this.#lowest) this.#lowest = job.seq
    if (job.seq > this.#highest) this.#highest = job.seq
  }

  seal(finishedAt: number): Buffer {
    const { buffer } = this.#writer
    buffer.fill(0, 0, BLOCK_HEADER_BYTES)
    buffer[0] = VERSION
    buffer.writeDoubleLE(finishedAt, 8)
    writeCounts(buffer, this.#count, this.#lowest, this.#highest)
    return this.#writer.finish()
  }
}
