/**
 * A page of waiting jobs as the main thread sees it: where it lies, what is in it, which of its jobs are over. The page's bytes
 * never change once stored (but a job alone in its page may be rewritten before a thread has it); what happens to its jobs is kept in
 * marks beside it, until the last one is over and both are removed.
 *
 * Owned by the scheduler while its jobs wait, by a batch while they run.
 */
import { assert } from '../base/assert.js'
import { lanePageKey } from '../codec/keys.js'
import { ENTRY_SUSPECT, PAGE_HEADER_BYTES, type PageHeader, readOverrides } from '../codec/page.js'
import type { JobOverrides } from '../job/job-overrides.js'

/** An entry's flags lie behind its length and its definition. */
const ENTRY_FLAGS_OFFSET = 6

/** Where a page lies: the parts of its key. */
export interface PagePlace {
  readonly queueId: number
  readonly rank: number
  readonly lane: number
  readonly ord: number
  readonly sub: number
}

export class PageRef {
  readonly queueId: number
  readonly rank: number
  /** The lane of its limit key; 0 for jobs without one. */
  readonly lane: number
  /** Place in the order of arrival; the second part of the key. */
  readonly ord: number
  readonly sub: number
  readonly key: Buffer
  readonly header: PageHeader
  /** The definition of every job, -1 when they differ, carry overrides or histories, or nobody has looked. */
  readonly uniformDefinition: number
  /** Undefined when it was left in the store to save memory. */
  bytes: Buffer | undefined
  /** Batches that hold jobs of this page; its bytes are needed as long as there are any. */
  pins = 0
  /** Marks lie in the store. */
  marked = false
  /** Jobs that are over or have moved away. */
  doneCount = 0
  #done: Uint8Array | undefined
  #overrides: JobOverrides[] | undefined

  constructor(
    queueId: number,
    rank: number,
    ord: number,
    sub: number,
    header: PageHeader,
    bytes: Buffer | undefined,
    uniformDefinition: number,
    lane = 0,
  ) {
    this.queueId = queueId
    this.rank = rank
    this.ord = ord
    this.sub = sub
    this.lane = lane
    this.key = lanePageKey(queueId, rank, lane, ord, sub)
    this.header = header
    this.bytes = bytes
    this.uniformDefinition = uniformDefinition
  }

  /** Unique among all pages: `ord` is drawn from one counter for all queues. */
  get name(): string {
    return `${this.ord}.${this.sub}`
  }

  /** Unique among limit keys; of no use for pages without one. */
  get limitName(): string {
    return limitName(this.queueId, this.lane)
  }

  get isOver(): boolean {
    return this.doneCount === this.header.count
  }

  /** Nothing in it is over. */
  get isWhole(): boolean {
    return this.doneCount === 0
  }

  /** A job alone in its page that is to run alone, too. Only while the bytes are at hand. */
  get isSuspect(): boolean {
    return this.header.solo && ((this.data[PAGE_HEADER_BYTES + ENTRY_FLAGS_OFFSET] ?? 0) & ENTRY_SUSPECT) !== 0
  }

  /** The bytes, while they are known to be at hand: its jobs are claimed, or were just read. */
  get data(): Buffer {
    assert(this.bytes !== undefined, 'the bytes of a page in use are at hand')
    return this.bytes
  }

  seqOf(index: number): number {
    return this.header.firstSeq + index
  }

  isDone(index: number): boolean {
    return ((this.#done?.[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  markDone(index: number): void {
    this.#done ??= new Uint8Array((this.header.count + 7) >> 3)
    const bit = 1 << (index & 7)
    const byte = this.#done[index >> 3] ?? 0
    assert((byte & bit) === 0, `job ${this.seqOf(index)} ended twice`)
    this.#done[index >> 3] = byte | bit
    this.doneCount++
  }

  /** The marks as stored: one bit a job, in order. */
  marks(): Uint8Array {
    return Uint8Array.from(this.#done ?? [])
  }

  /** Takes over marks read from the store. */
  restoreMarks(marks: Uint8Array): void {
    this.#done = new Uint8Array((this.header.count + 7) >> 3)
    this.#done.set(marks.subarray(0, this.#done.length))
    this.marked = true
    this.doneCount = 0
    for (let index = 0; index < this.header.count; index++) if (this.isDone(index)) this.doneCount++
  }

  /** Other bytes take the place of those in the store, of as many jobs. */
  rewrite(bytes: Buffer): void {
    this.bytes = bytes
    this.#overrides = undefined
  }

  /** The overrides with the number that an entry gives, counted from 1. */
  overrides(number: number): JobOverrides | undefined {
    if (number === 0) return undefined
    this.#overrides ??= readOverrides(this.data)
    return this.#overrides[number - 1]
  }
}

/** Consecutive jobs of a page. */
export interface Slice {
  readonly page: PageRef
  /** Index of the first job. */
  readonly from: number
  /** Index behind the last job. */
  readonly to: number
  /** Where the first job's entry begins in the page's bytes. */
  readonly offset: number
}

/** The name of a limit key: of its queue and its lane. */
export function limitName(queueId: number, lane: number): string {
  return `${queueId}.${lane}`
}
