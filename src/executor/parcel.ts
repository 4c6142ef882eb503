/**
 * Packs a claimed batch for its thread: copies the entries as they lie in their pages, fetches payloads that lie apart.
 *
 * Runs of plain entries are copied in one piece. The exceptions: a job with a history tells its attempt, a large payload comes
 * along by itself, and an input whose handler does not know the schema is checked here when this process has not checked it.
 */
import { ERROR_TEXT } from '../base/limits.js'
import { describeThrown } from '../base/problems.js'
import { ByteWriter } from '../codec/byte-writer.js'
import type { Segment } from '../codec/batch.js'
import { writeBatch } from '../codec/batch.js'
import { PAYLOAD_INPUT } from '../codec/keys.js'
import {
  ENTRY_EXTERNAL,
  ENTRY_HEADER_BYTES,
  ENTRY_HISTORY,
  ENTRY_SAME,
  ENTRY_UNFIT,
  entryEnd,
  readEntry,
  readHistory,
} from '../codec/page.js'
import { readPayload, writePayload } from '../codec/payload.js'
import type { Batch } from '../dispatcher/batch.js'
import type { Parcel } from '../dispatcher/dispatcher.js'
import { nextAttempt } from '../job/job-state.js'
import type { DefinitionRef, ScheduledIndex } from '../protocol/messages.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'
import type { Registry } from './registry.js'

export interface PackOptions {
  readonly store: JobStore
  readonly registry: Registry
  readonly payloadBytes: number
}

/** The batch as it travels. */
export function pack(batch: Batch, announceStarts: boolean, options: PackOptions): Parcel {
  const packer = new Packer(options)
  for (const { page, from, to, offset } of batch.slices) {
    const bytes = options.store.bytesOf(page)
    const checked = page.header.epoch === options.store.counters.epoch
    let at = offset
    for (let index = from; index < to; index++) {
      const end = entryEnd(bytes, at)
      packer.add(page, index, bytes, at, end, checked)
      at = end
    }
  }
  return {
    entries: writeBatch(packer.segments),
    externals: packer.externals.length === 0 ? undefined : packer.externals,
    scheduled: packer.scheduled.length === 0 ? undefined : packer.scheduled,
    deadlines: packer.deadlines,
    definitions: [...packer.definitions.values()],
    queues: [...packer.queues].map((id) => ({ id, name: options.store.queueName(id) })),
    announceStarts,
  }
}

/** A segment that grows. */
type OpenSegment = { -readonly [Field in keyof Segment]: Segment[Field] }

class Packer {
  readonly segments: OpenSegment[] = []
  readonly externals: { index: number; bytes: ArrayBuffer }[] = []
  readonly scheduled: ScheduledIndex[] = []
  readonly deadlines: { readonly index: number; readonly startBefore: number }[] = []
  readonly definitions = new Map<number, DefinitionRef>()
  readonly queues = new Set<number>()
  readonly #options: PackOptions
  #jobs = 0
  #lastDefinition = -1
  #checksForThread = false
  #page: PageRef | undefined

  constructor(options: PackOptions) {
    this.#options = options
  }

  add(page: PageRef, index: number, bytes: Buffer, from: number, to: number, checked: boolean): void {
    const definitionId = bytes.readUInt16LE(from + 4)
    const flags = bytes[from + 6] ?? 0
    if (definitionId !== this.#lastDefinition) this.#introduce(definitionId)
    if (bytes[from + 7] !== 0 || this.#options.registry.definitionsExpire) this.#addSaid(page, bytes, from, definitionId)
    const unchecked = this.#checksForThread && !(checked && (flags & ENTRY_SAME) !== 0)
    if (unchecked || (flags & (ENTRY_EXTERNAL | ENTRY_HISTORY)) !== 0)
      this.#addSpecial(page, index, bytes, from, flags, checked, unchecked)
    else this.#extend(page, index, bytes, from, to, 1, checked)
    this.#jobs++
  }

  /** What is said of the job beside its entry, and is for its thread to know. */
  #addSaid(page: PageRef, bytes: Buffer, from: number, definitionId: number): void {
    const run = page.overrides(bytes[from + 7] ?? 0)?.schedule
    if (run !== undefined) this.scheduled.push({ ...run, index: this.#jobs })
    const startBefore = this.#options.registry.startBefore(page, from, definitionId)
    if (startBefore !== undefined) this.deadlines.push({ index: this.#jobs, startBefore })
  }

  #introduce(definitionId: number): void {
    const { registry } = this.#options
    this.#lastDefinition = definitionId
    this.#checksForThread = registry.checksForThread(definitionId)
    if (this.definitions.has(definitionId)) return
    const { name, moduleUrl, apart } = registry.byId(definitionId)
    this.definitions.set(definitionId, { id: definitionId, name, moduleUrl, apart })
  }

  #extend(page: PageRef, index: number, source: Buffer, from: number, to: number, attempt: number, checked: boolean): void {
    const last = this.segments.at(-1)
    if (
      last !== undefined &&
      this.#page === page &&
      last.source === source &&
      last.to === from &&
      last.attempt === attempt &&
      last.firstSeq + last.count === page.seqOf(index)
    ) {
      last.to = to
      last.count++
      return
    }
    this.#page = page
    const { queueId, rank, header } = page
    this.queues.add(queueId)
    this.segments.push({
      firstSeq: page.seqOf(index),
      enqueuedAt: header.enqueuedAt,
      count: 1,
      attempt,
      queueId,
      rank,
      checked,
      source,
      from,
      to,
    })
  }

  #addSpecial(
    page: PageRef,
    index: number,
    bytes: Buffer,
    from: number,
    flags: number,
    checked: boolean,
    unchecked: boolean,
  ): void {
    const { store } = this.#options
    const entry = readEntry(bytes, from)
    const ledger = readHistory(bytes, entry)
    const attempt = ledger === undefined ? 1 : nextAttempt(ledger)
    const apart =
      (flags & ENTRY_EXTERNAL) !== 0 ? (store.readPayload(page.seqOf(index), PAYLOAD_INPUT) ?? Buffer.alloc(0)) : undefined
    const rewritten = unchecked
      ? this.#reparse(entry.definitionId, apart ?? bytes.subarray(entry.payloadFrom, entry.end))
      : undefined
    if (rewritten !== undefined) {
      this.#extend(page, index, rewritten, 0, rewritten.length, attempt, true)
      return
    }
    if (apart !== undefined) this.externals.push({ index: this.#jobs, bytes: aloneInBuffer(apart) })
    this.#extend(page, index, bytes, from, entry.end, attempt, checked)
  }

  /**
   * An entry with the input as the schema gives it, or with the reason why it does not fit any more. Undefined when the schema
   * answers asynchronously: what changes an input is refused at enqueue then, so that the stored one is as good.
   */
  #reparse(definitionId: number, stored: Buffer): Buffer | undefined {
    const { registry, payloadBytes } = this.#options
    const parsed = registry.parse(definitionId, readPayload(stored))
    if (parsed instanceof Promise) return undefined
    const writer = new ByteWriter(1024)
    writer.position = ENTRY_HEADER_BYTES
    writer.reserve(0)
    let { problem } = parsed
    try {
      if (parsed.problem === undefined) writePayload(writer, parsed.value, payloadBytes, 'input')
    } catch (error) {
      // What the schema makes of the input cannot travel: the job's fault, and no reason to stop the executor.
      problem = describeThrown(error)
    }
    if (problem !== undefined) writePayload(writer, problem.slice(0, ERROR_TEXT.message), Infinity, 'input')
    writer.buffer.writeUInt32LE(writer.position - 4, 0)
    writer.buffer.writeUInt16LE(definitionId, 4)
    writer.buffer[6] = problem === undefined ? ENTRY_SAME : ENTRY_UNFIT
    writer.buffer[7] = 0
    return writer.finish()
  }
}

/** The bytes alone in an ArrayBuffer, as transferring needs; copied only when they are not. */
function aloneInBuffer(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes
  return (byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)) as ArrayBuffer
}
