/**
 * Jobs handed to a thread together, from the claim to the last outcome.
 *
 * The batch number is the lease: outcomes are read from the batch's own shared memory, each record once, and only up to `limit`,
 * the number of jobs that still belong to the thread. What was taken back has left the batch for good.
 */
import { assert } from '../base/assert.js'
import { SLOW_MS } from '../base/limits.js'
import { OUTCOME_COMPLETED, type BatchControl, type OutcomeRecord } from '../codec/batch-control.js'
import { entryEnd } from '../codec/page.js'
import type { PageRef, Slice } from '../store/page-ref.js'

/** The share of its estimate after which a running job counts as about to end. */
const OVERRUN = 0.9

/** Why a thread was terminated. */
export type TerminationCause = 'timeout' | 'cancel' | 'pause' | 'close' | 'recycle'

/** What a job is to become that is ended from outside. */
export interface Stop {
  readonly state: 'cancelled' | 'discarded'
  readonly reason: string | undefined
}

/** How a batch left its thread. */
export type BatchEnd =
  | { readonly kind: 'returned'; readonly apart: ArrayBuffer | undefined }
  | {
      readonly kind: 'died'
      /** Undefined when nobody asked for it. */
      readonly cause: TerminationCause | undefined
      /** The job for whose sake the thread was terminated, by index. */
      readonly target: number | undefined
      readonly exitCode: number
      readonly error: Error | undefined
    }

/** A job of the batch. */
export interface BatchJob {
  readonly page: PageRef
  readonly index: number
  /** Its entry in the page's bytes. */
  readonly offset: number
}

export class Batch {
  readonly id: number
  readonly slices: readonly Slice[]
  readonly jobs: number
  /** What one of its jobs was expected to take, on average, in ms. */
  readonly jobMs: number
  readonly control: BatchControl
  /** Epoch ms of the hand-over; with the record's offset it tells when a job started. */
  sentAt = 0
  /** Jobs that still belong to the thread. Lowered when the rest is taken back. */
  limit: number
  /** How often its thread had given a batch back when these jobs were chosen. */
  yieldsSeen = 0
  /** Thread time of the outcomes read so far, in ms, by queue. */
  readonly usedMs = new Map<number, number>()
  /** The same by limit key, for jobs that have one. */
  readonly usedByKeyMs = new Map<string, number>()
  /** Outcomes read so far. */
  collected = 0
  end: BatchEnd | undefined
  /** Jobs have been taken back that `Claims` has not heard of. */
  hasLostJobs = false
  /** Jobs that are to end because somebody asked for it while they ran. The first word holds. */
  readonly stops = new Map<number, Stop>()
  /** Jobs that were asked to stop for a reason that is not theirs: the executor closes, or their queue is paused. */
  readonly interrupted = new Set<number>()
  /** The latest progress that each job reported. */
  readonly progress = new Map<number, { readonly fraction: number; readonly message?: string }>()
  /** The job whose soft timeout has been told to the thread. */
  warned = -1
  readonly #starts: number[] = []
  #record: OutcomeRecord = { kind: 0, startMs: 0, runMs: 0, bodyFrom: 0, bodyTo: 0, next: 0 }
  #slice = 0
  #index: number
  #offset: number

  constructor(id: number, slices: readonly Slice[], estimateMs: number, control: BatchControl) {
    this.id = id
    this.slices = slices
    this.control = control
    let jobs = 0
    for (const { from, to } of slices) {
      this.#starts.push(jobs)
      jobs += to - from
    }
    this.jobs = jobs
    this.jobMs = estimateMs / jobs
    this.limit = jobs
    this.#index = slices[0]?.from ?? 0
    this.#offset = slices[0]?.offset ?? 0
    this.#record.next = control.firstRecord
  }

  /** Whether there are outcomes that nobody has read. */
  get hasNews(): boolean {
    return this.control.finished > this.collected
  }

  /** Whether its thread still has something to do for it. */
  get hasWork(): boolean {
    return this.end === undefined && this.control.finished < this.limit
  }

  /** Whether jobs are left that the thread has not started, and that could be taken back. */
  get hasUntaken(): boolean {
    return this.end === undefined && this.control.hasUntaken
  }

  /** Whether jobs still count as its thread's that it has not started, also when it cannot any more. */
  get hasUnbegun(): boolean {
    // Not sent yet: its memory is that of the batch before.
    return this.sentAt > 0 && this.control.taken < this.limit
  }

  /** Whether jobs of the queue are left that the thread has not started. */
  hasUntakenOf(queueId: number): boolean {
    if (!this.hasUntaken) return false
    const { taken } = this.control
    return this.slices.some(({ page, from, to }, number) => {
      const start = this.#starts[number] ?? 0
      return page.queueId === queueId && start < this.limit && start + to - from > taken
    })
  }

  /** Whether its thread has jobs left of less priority than `rank` stands for. */
  hasWorkBelow(rank: number): boolean {
    if (!this.hasWork) return false
    const { finished } = this.control
    return this.slices.some(({ page, from, to }, number) => {
      const start = this.#starts[number] ?? 0
      return page.rank > rank && start < this.limit && start + to - from > finished
    })
  }

  /** The queues of its jobs that still belong to the thread and have not been settled. */
  queuesLeft(): Set<number> {
    const queues = new Set<number>()
    for (const [number, { page, from, to }] of this.slices.entries()) {
      const start = this.#starts[number] ?? 0
      if (start < this.limit && start + to - from > this.collected) queues.add(page.queueId)
    }
    return queues
  }

  /** The limit keys of the same. */
  keysLeft(): Set<string> {
    const keys = new Set<string>()
    for (const [number, { page, from, to }] of this.slices.entries()) {
      const start = this.#starts[number] ?? 0
      if (page.lane !== 0 && start < this.limit && start + to - from > this.collected) keys.add(page.limitName)
    }
    return keys
  }

  /** What is left of it, in ms of thread time. */
  leftMs(nowMs: number): number {
    if (this.end !== undefined) return 0
    const left = Math.max(0, this.limit - this.control.finished) * this.jobMs
    if (this.running < 0) return left
    // Nobody knows how long a job takes that has overrun its estimate; but it has not ended.
    return left - Math.min(this.jobMs * OVERRUN, Math.max(0, nowMs - this.control.startedMs))
  }

  /** When one of its jobs takes much longer than was expected of it, in ms. */
  get slowAfterMs(): number {
    return SLOW_MS + 2 * this.jobMs
  }

  /** Whether the running job does. */
  isSlow(nowMs: number): boolean {
    return this.running >= 0 && nowMs - this.control.startedMs >= this.slowAfterMs
  }

  /** Accounts thread time to the queue of a page, and to its limit key. */
  addUsed(page: PageRef, ms: number): void {
    this.usedMs.set(page.queueId, (this.usedMs.get(page.queueId) ?? 0) + ms)
    if (page.lane !== 0) this.usedByKeyMs.set(page.limitName, (this.usedByKeyMs.get(page.limitName) ?? 0) + ms)
  }

  /** The index of the job the thread is at, -1 when it is between jobs or has not begun. */
  get running(): number {
    const { finished } = this.control
    return this.control.taken > finished ? finished : -1
  }

  /** Whether there is an outcome that can be settled now, among the first `finished`. */
  hasNext(finished: number): boolean {
    return this.collected < finished && (this.end !== undefined || !this.control.waitsForEnd(this.#record.next))
  }

  /** Moves to the next outcome. The returned object is used again by the next call. */
  nextRecord(): OutcomeRecord {
    assert(this.collected < this.limit, 'an outcome arrived for a job that was taken back')
    this.control.readRecord(this.#record.next, this.#record)
    this.collected++
    return this.#record
  }

  /** The page of the next job to be settled. */
  get page(): PageRef {
    return this.#current().page
  }

  /** Its index in the page. */
  get pageIndex(): number {
    return this.#index
  }

  /** Its entry in the page's bytes. */
  get entryOffset(): number {
    return this.#offset
  }

  /** Goes on to the next job to be settled. */
  advance(): void {
    const slice = this.#current()
    this.#index++
    if (this.#index < slice.to) {
      this.#offset = entryEnd(slice.page.data, this.#offset)
      return
    }
    const next = this.slices[++this.#slice]
    this.#index = next?.from ?? 0
    this.#offset = next?.offset ?? 0
  }

  /** Of the outcomes that nobody has read, those of jobs that completed. */
  countCompleted(): number {
    const record = { ...this.#record }
    let completed = 0
    for (let at = this.collected; at < Math.min(this.control.finished, this.limit); at++) {
      this.control.readRecord(record.next, record)
      if (record.kind === OUTCOME_COMPLETED) completed++
    }
    return completed
  }

  /** Takes back what the thread has not taken. Returns those jobs. */
  steal(): Slice[] {
    const kept = this.control.steal()
    const slices = this.range(kept, this.limit)
    this.hasLostJobs ||= slices.length > 0
    this.limit = Math.min(this.limit, kept)
    return slices
  }

  /** The jobs from `from` up to `to`, by index in the batch. */
  range(from: number, to: number): Slice[] {
    const found: Slice[] = []
    for (const [number, slice] of this.slices.entries()) {
      const start = this.#starts[number] ?? 0
      const first = Math.max(from, start)
      const end = Math.min(to, start + slice.to - slice.from)
      if (first >= end) continue
      found.push({
        page: slice.page,
        from: slice.from + first - start,
        to: slice.from + end - start,
        offset: this.#offsetIn(slice, first - start),
      })
    }
    return found
  }

  /** The job with the given index in the batch. */
  job(index: number): BatchJob {
    const [slice] = this.range(index, index + 1)
    assert(slice !== undefined, 'a job of the batch is within it')
    return { page: slice.page, index: slice.from, offset: slice.offset }
  }

  /** The index in the batch of a job of a page, or -1. */
  find(page: PageRef, pageIndex: number): number {
    for (const [number, slice] of this.slices.entries()) {
      if (slice.page === page && pageIndex >= slice.from && pageIndex < slice.to)
        return (this.#starts[number] ?? 0) + pageIndex - slice.from
    }
    return -1
  }

  #current(): Slice {
    const slice = this.slices[this.#slice]
    assert(slice !== undefined, 'there is a job left to be settled')
    return slice
  }

  #offsetIn(slice: Slice, steps: number): number {
    let { offset } = slice
    for (let step = 0; step < steps; step++) offset = entryEnd(slice.page.data, offset)
    return offset
  }
}
