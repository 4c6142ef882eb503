/**
 * A batch on its way to a thread: runs of consecutive entries, copied as they lie in their pages.
 *
 *   0   u32  jobs
 *   4   u32  segments
 *   then per segment:
 *   0   f64  number of the first job
 *   8   f64  enqueuedAt, epoch ms
 *   16  u32  jobs
 *   20  u32  bytes of entries that follow the header
 *   24  u32  attempt
 *   28  u16  queue
 *   30  u8   rank
 *   31  u8   1: inputs were checked against the schema by this very process
 *   32       entries, laid out as in a page
 */
import { ByteWriter } from './byte-writer.js'

const BATCH_HEADER_BYTES = 8
const SEGMENT_HEADER_BYTES = 32

export interface Segment {
  readonly firstSeq: number
  readonly enqueuedAt: number
  readonly count: number
  readonly attempt: number
  readonly queueId: number
  readonly rank: number
  readonly checked: boolean
  readonly source: Buffer
  readonly from: number
  readonly to: number
}

/** The encoded batch, alone in its ArrayBuffer so that it can be transferred. */
export function writeBatch(segments: readonly Segment[]): ArrayBuffer {
  let size = BATCH_HEADER_BYTES
  let jobs = 0
  for (const segment of segments) {
    size += SEGMENT_HEADER_BYTES + segment.to - segment.from
    jobs += segment.count
  }
  const writer = new ByteWriter(size)
  writer.u32(jobs)
  writer.u32(segments.length)
  for (const segment of segments) {
    writer.f64(segment.firstSeq)
    writer.f64(segment.enqueuedAt)
    writer.u32(segment.count)
    writer.u32(segment.to - segment.from)
    writer.u32(segment.attempt)
    writer.u16(segment.queueId)
    writer.u8(segment.rank)
    writer.u8(segment.checked ? 1 : 0)
    writer.slice(segment.source, segment.from, segment.to)
  }
  return writer.buffer.buffer as ArrayBuffer
}

/** Walks a batch job by job, in the thread. One cursor, moved on; no object per job. */
export class BatchReader {
  readonly bytes: Buffer
  readonly jobs: number
  seq = 0
  enqueuedAt = 0
  attempt = 0
  queueId = 0
  rank = 0
  checked = false
  /** Offset of the current job's entry. */
  entry = 0
  #next = BATCH_HEADER_BYTES
  #left = 0

  constructor(buffer: ArrayBuffer) {
    this.bytes = Buffer.from(buffer)
    this.jobs = this.bytes.readUInt32LE(0)
  }

  /** Moves to the next job. The caller counts. */
  advance(): void {
    const { bytes } = this
    if (this.#left === 0) {
      const at = this.#next
      this.seq = bytes.readDoubleLE(at) - 1
      this.enqueuedAt = bytes.readDoubleLE(at + 8)
      this.#left = bytes.readUInt32LE(at + 16)
      this.attempt = bytes.readUInt32LE(at + 24)
      this.queueId = bytes.readUInt16LE(at + 28)
      this.rank = bytes.readUInt8(at + 30)
      this.checked = bytes[at + 31] === 1
      this.#next = at + SEGMENT_HEADER_BYTES
    }
    this.entry = this.#next
    this.#next = this.entry + 4 + bytes.readUInt32LE(this.entry)
    this.#left--
    this.seq++
  }
}
