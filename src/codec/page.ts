/**
 * A page: the jobs that one commit stored for one queue and priority, in one record. It is the unit of reading, of handing
 * over to a thread and of removal, which is why a durable job costs a fraction of an LMDB write instead of two.
 *
 * Little-endian. Valid for format 1.
 *
 *   0   u8   version (1)
 *   1   u8   flags: 1 solo (one job with a history of its own)
 *   2   u16  jobs
 *   4   u32  offset of the overrides, 0 when there are none
 *   8   f64  number of the first job; the others follow without gaps
 *   16  f64  enqueuedAt, epoch ms
 *   24  f64  runAt of a delayed page, epoch ms; 0 when it was to run at once
 *   32  u32  epoch: which opening of the store wrote it
 *   36  u32  reserved
 *   40       the entries, then the overrides: a JSON array of objects
 *
 * An entry:
 *   0   u32  length of what follows
 *   4   u16  definition
 *   6   u8   flags: 1 has a history, 2 payload lies in `payloads`, 4 the schema changed nothing, 8 suspect, 16 retry;
 *             32 (on its way to a thread only): the payload is the reason why the input does not fit the schema
 *   7   u8   number of its overrides, counted from 1; 0 for none
 *   8        [u32 length, JSON history] payload; of one that lies apart its size, u32
 */
import type { JobOverrides } from '../job/job-overrides.js'
import type { JobLedger } from '../job/job-state.js'
import { MillraceError } from '../base/errors.js'
import { PAGE_BYTES, PAGE_JOBS } from '../base/limits.js'
import { ByteWriter } from './byte-writer.js'
import { corrupt } from './corrupt.js'
import { checkedLedger, revivedOverrides, storableOverrides } from './job-facts.js'

const PAGE_VERSION = 1
export const PAGE_HEADER_BYTES = 40
export const ENTRY_HEADER_BYTES = 8
const MAX_OVERRIDES = 255

const FLAG_SOLO = 1

export const ENTRY_HISTORY = 1
export const ENTRY_EXTERNAL = 2
export const ENTRY_SAME = 4
export const ENTRY_SUSPECT = 8
export const ENTRY_RETRY = 16
export const ENTRY_UNFIT = 32

export interface PageHeader {
  readonly solo: boolean
  readonly count: number
  readonly firstSeq: number
  readonly enqueuedAt: number
  readonly runAt: number
  readonly epoch: number
}

/** What a page says of itself. @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readPageHeader(bytes: Buffer): PageHeader {
  if (bytes.length < PAGE_HEADER_BYTES || bytes[0] !== PAGE_VERSION) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `A page of jobs has version ${bytes[0] ?? 'none'}; this package reads ${PAGE_VERSION}.`,
    )
  }
  return {
    solo: (bytes.readUInt8(1) & FLAG_SOLO) !== 0,
    count: bytes.readUInt16LE(2),
    firstSeq: bytes.readDoubleLE(8),
    enqueuedAt: bytes.readDoubleLE(16),
    runAt: bytes.readDoubleLE(24),
    epoch: bytes.readUInt32LE(32),
  }
}

/** The overrides that the page's entries refer to by number. */
export function readOverrides(bytes: Buffer): JobOverrides[] {
  const offset = bytes.readUInt32LE(4)
  if (offset === 0) return []
  try {
    return (JSON.parse(bytes.toString('utf8', offset)) as unknown[]).map(revivedOverrides)
  } catch (error) {
    throw corrupt('The overrides of a page of jobs', error)
  }
}

/** What an entry says apart from its payload. Offsets are into the page. */
export interface EntryView {
  readonly definitionId: number
  readonly flags: number
  readonly overrides: number
  readonly historyFrom: number
  readonly payloadFrom: number
  readonly end: number
}

export function entryEnd(bytes: Buffer, offset: number): number {
  if (offset + ENTRY_HEADER_BYTES > bytes.length) throw cutShort(offset, offset + ENTRY_HEADER_BYTES, bytes)
  return offset + 4 + bytes.readUInt32LE(offset)
}

export function readEntry(bytes: Buffer, offset: number): EntryView {
  const end = entryEnd(bytes, offset)
  const flags = bytes.readUInt8(offset + 6)
  let payloadFrom = offset + ENTRY_HEADER_BYTES
  let historyFrom = 0
  if ((flags & ENTRY_HISTORY) !== 0) {
    historyFrom = payloadFrom + 4
    if (historyFrom > bytes.length) throw cutShort(offset, historyFrom, bytes)
    payloadFrom = historyFrom + bytes.readUInt32LE(payloadFrom)
  }
  if (end > bytes.length || payloadFrom > end) throw cutShort(offset, Math.max(end, payloadFrom), bytes)
  return {
    definitionId: bytes.readUInt16LE(offset + 4),
    flags,
    overrides: bytes.readUInt8(offset + 7),
    historyFrom,
    payloadFrom,
    end,
  }
}

function cutShort(offset: number, end: number, bytes: Buffer): MillraceError {
  return new MillraceError(
    'MILLRACE_STORE_CORRUPT',
    `A page of jobs is cut short: an entry at ${offset} ends at ${end} of ${bytes.length} bytes.`,
  )
}

export function readHistory(bytes: Buffer, entry: EntryView): JobLedger | undefined {
  if ((entry.flags & ENTRY_HISTORY) === 0) return undefined
  try {
    return checkedLedger(JSON.parse(bytes.toString('utf8', entry.historyFrom, entry.payloadFrom)))
  } catch (error) {
    throw corrupt("A job's history", error)
  }
}

/** The size of a payload that lies apart, of the entry that ends at `end`. */
export function externalBytes(bytes: Buffer, end: number): number {
  return bytes.readUInt32LE(end - 4)
}

/** The offset of the entry with the given index. */
export function entryOffset(bytes: Buffer, index: number): number {
  let offset = PAGE_HEADER_BYTES
  for (let at = 0; at < index; at++) offset = entryEnd(bytes, offset)
  return offset
}

/** What a page takes at first: a retry, a single enqueue, or one of many queues has no more. Large allocations would cost more than the job. */
const FEW_JOBS_BYTES = 512
/** What it grows to beyond its limit: the job that fills it reaches over, and should not make it grow again. */
const LAST_JOB_BYTES = 512

/** Fills pages with jobs. One builder per lane and commit; a page is sealed when it is full, and `pages` collects them. */
export class PageBuilder {
  readonly writer: ByteWriter = new ByteWriter(FEW_JOBS_BYTES, PAGE_BYTES + LAST_JOB_BYTES)
  count = 0
  /** The definition of every job so far, -1 when they differ or carry overrides. */
  uniformDefinition = -1
  #overrides: JobOverrides[] = []
  #entryStart = 0

  constructor() {
    this.writer.position = PAGE_HEADER_BYTES
  }

  /** Whether the next entry should begin a new page. */
  get isFull(): boolean {
    return this.count >= PAGE_JOBS || this.writer.position >= PAGE_BYTES || this.#overrides.length >= MAX_OVERRIDES
  }

  /** Writes an entry's head. The payload follows through `writer`; then `end`, or `abandon` when the payload failed. */
  begin(definitionId: number, flags: number, overrides: JobOverrides | undefined, history?: string): void {
    const { writer } = this
    this.#entryStart = writer.position
    writer.reserve(ENTRY_HEADER_BYTES)
    const { buffer, position } = writer
    buffer.writeUInt16LE(definitionId, position + 4)
    buffer[position + 6] = history === undefined ? flags : flags | ENTRY_HISTORY
    buffer[position + 7] = overrides === undefined ? 0 : this.#overridesNumber(overrides)
    writer.position = position + ENTRY_HEADER_BYTES
    if (history !== undefined) {
      const text = Buffer.from(history, 'utf8')
      writer.u32(text.length)
      writer.bytes(text)
    }
    if (this.count === 0) this.uniformDefinition = overrides === undefined && history === undefined ? definitionId : -1
    else if (this.uniformDefinition !== definitionId || overrides !== undefined || history !== undefined)
      this.uniformDefinition = -1
  }

  /** Encoded bytes of the entry begun, without its length field. */
  get entryBytes(): number {
    return this.writer.position - this.#entryStart - 4
  }

  end(): void {
    this.writer.buffer.writeUInt32LE(this.entryBytes, this.#entryStart)
    this.count++
  }

  /** Takes the entry begun back. */
  abandon(): void {
    this.writer.position = this.#entryStart
  }

  /** Sets flags of the entry begun. */
  flag(flags: number): void {
    this.writer.buffer[this.#entryStart + 6]! |= flags
  }

  /** The page's bytes. The builder is empty afterwards. */
  seal(header: PageHeader): Buffer {
    const { writer } = this
    let overridesAt = 0
    if (this.#overrides.length > 0) {
      const text = Buffer.from(JSON.stringify(this.#overrides.map(storableOverrides)), 'utf8')
      overridesAt = writer.position
      writer.bytes(text)
    }
    const { buffer } = writer
    buffer[0] = PAGE_VERSION
    buffer[1] = header.solo ? FLAG_SOLO : 0
    buffer.writeUInt16LE(this.count, 2)
    buffer.writeUInt32LE(overridesAt, 4)
    buffer.writeDoubleLE(header.firstSeq, 8)
    buffer.writeDoubleLE(header.enqueuedAt, 16)
    buffer.writeDoubleLE(header.runAt, 24)
    buffer.writeUInt32LE(header.epoch, 32)
    buffer.writeUInt32LE(0, 36)
    const bytes = writer.finish()
    writer.position = PAGE_HEADER_BYTES
    this.count = 0
    this.#overrides = []
    return bytes
  }

  #overridesNumber(overrides: JobOverrides): number {
    // Overrides of one call are one object, so the last one is nearly always the one; those of a function of the input may be equal.
    const last = this.#overrides.at(-1)
    if (last !== undefined && (last === overrides || areEqual(last, overrides))) return this.#overrides.length
    return this.#overrides.push(overrides)
  }
}

function areEqual(left: JobOverrides, right: JobOverrides): boolean {
  const names = Object.keys(left) as (keyof JobOverrides)[]
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name])
}

/** The parts of one job, to be written as a page of its own. */
export interface SoloParts {
  readonly seq: number
  readonly enqueuedAt: number
  readonly runAt: number
  readonly epoch: number
  readonly definitionId: number
  readonly flags: number
  readonly overrides: JobOverrides | undefined
  readonly ledger: JobLedger
  /** The page that holds the payload now, and where in it. */
  readonly source: Buffer
  readonly payloadFrom: number
  readonly payloadTo: number
}

/** A copy of a page that is due at another instant, in epoch ms. */
export function withRunAt(bytes: Buffer, runAt: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeDoubleLE(runAt, 24)
  return copy
}

/** A job that goes its own way (a retry, an interruption) as a page of one. */
export function buildSolo(parts: SoloParts): Buffer {
  const builder = new PageBuilder()
  builder.begin(parts.definitionId, parts.flags & ~ENTRY_HISTORY, parts.overrides, JSON.stringify(parts.ledger))
  builder.writer.slice(parts.source, parts.payloadFrom, parts.payloadTo)
  builder.end()
  return builder.seal({
    solo: true,
    count: 1,
    firstSeq: parts.seq,
    enqueuedAt: parts.enqueuedAt,
    runAt: parts.runAt,
    epoch: parts.epoch,
  })
}
