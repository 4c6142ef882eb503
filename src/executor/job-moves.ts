/**
 * The writes by which a job leaves its page: over, on to a retry, or back into its lane with a history. Owns the pages that a
 * commit touches; their marks are written once, at its end.
 */
import type { ErrorRecord } from '../base/errors.js'
import { INDEX_SOLO, PAYLOAD_INPUT, PAYLOAD_OUTPUT } from '../codec/keys.js'
import type { EntryView } from '../codec/page.js'
import {
  buildSolo,
  ENTRY_EXTERNAL,
  ENTRY_HISTORY,
  ENTRY_RETRY,
  ENTRY_SUSPECT,
  PAGE_HEADER_BYTES,
  readPageHeader,
} from '../codec/page.js'
import { uniqueHash } from '../codec/unique-entry.js'
import type { FinalState } from '../job/job-info.js'
import type { JobLedger } from '../job/job-state.js'
import type { Retention } from '../maintenance/retention.js'
import type { JobOverrides } from '../job/job-overrides.js'
import type { Schedules } from '../scheduler/schedules.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'
import { putSuspect } from '../store/suspects.js'
import type { Place } from './locate.js'
import type { ResultRegistry } from './results.js'
import { scheduledPlace } from './scheduled-place.js'

/** A job in its page. */
export interface PlacedJob {
  readonly page: PageRef
  readonly index: number
  /** Of its entry, in the page's bytes. */
  readonly offset: number
}

/** A job with what its entry says. */
export interface OpenedJob extends PlacedJob {
  readonly entry: EntryView
  readonly overrides: JobOverrides | undefined
}

/** How a job's life ended. */
export interface Ending {
  /** Undefined when it completed in its first run. */
  readonly ledger: JobLedger | undefined
  /** Epoch ms of the last run; 0 when it never ran. */
  readonly startedAt: number
  readonly runMs: number
  readonly error?: ErrorRecord | undefined
  readonly output?: Buffer
  /** The output is too large to lie with the record. */
  readonly outputApart?: boolean
  /** It is not kept, whatever `retain` says. */
  readonly isDropped?: boolean
}

const NOTHING = Buffer.alloc(0)

export class JobMoves {
  /** Pages of one that this commit puts back into their lanes. */
  readonly back: PageRef[] = []
  /** Where this commit puts jobs that hold unique keys, by number: the store does not tell yet. */
  readonly places = new Map<number, Place>()
  /** Jobs that this commit ends and keeps, and that hold unique keys beyond their end. */
  readonly ended = new Set<number>()
  readonly #now: number
  readonly #store: JobStore
  readonly #retention: Retention
  readonly #results: ResultRegistry
  readonly #schedules: Schedules
  readonly #writes: WriteBatch
  readonly #dirty = new Set<PageRef>()

  constructor(
    store: JobStore,
    retention: Retention,
    results: ResultRegistry,
    schedules: Schedules,
    writes: WriteBatch,
    now: number,
  ) {
    this.#schedules = schedules
    this.#now = now
    this.#store = store
    this.#retention = retention
    this.#results = results
    this.#writes = writes
  }

  /** Counts a job of the page as over or moved. */
  markDone(page: PageRef, index: number): void {
    page.markDone(index)
    this.#dirty.add(page)
  }

  /** The job is over: leaves its page, and joins the finished ones if it is to be kept. */
  finish(state: FinalState, job: OpenedJob, ending: Ending): void {
    const { page, index, entry } = job
    this.keep(state, job, ending)
    this.leave(page, index, entry)
  }

  /** The job is over, or moves away for good. */
  leave(page: PageRef, index: number, entry: EntryView): void {
    this.markDone(page, index)
    if (page.header.solo || (entry.flags & ENTRY_HISTORY) !== 0) this.#store.removeLocation(this.#writes, page.seqOf(index))
  }

  /** Joins the finished ones, if the job is to be kept. */
  keep(state: FinalState, job: OpenedJob, ending: Ending): void {
    const { page, index, entry } = job
    const isKept = ending.isDropped !== true && this.#retention.passOver(state, 1) === 0
    const overrides = job.overrides?.unique === undefined ? job.overrides : this.#afterEnd(state, job, ending, isKept)
    const seq = page.seqOf(index)
    const inputApart = (entry.flags & ENTRY_EXTERNAL) !== 0
    const { ledger, startedAt, runMs, error, output = NOTHING, outputApart = false } = ending
    if (overrides?.schedule !== undefined) this.#schedules.over(overrides.schedule.name, seq)
    this.#store.stats.over(page.queueId, entry.definitionId, state, 1)
    if (!isKept) {
      this.#store.stats.left(state, 1)
      if (inputApart) this.#store.removePayload(this.#writes, seq, PAYLOAD_INPUT)
      return
    }
    if (outputApart) this.#store.putPayload(this.#writes, seq, PAYLOAD_OUTPUT, output)
    const kept = outputApart ? NOTHING : output
    const { queueId, rank, header } = page
    const { definitionId } = entry
    this.#retention.add(
      state,
      { seq, enqueuedAt: header.enqueuedAt, startedAt, runMs, definitionId, queueId, rank, inputApart, outputApart },
      ledger === undefined && overrides === undefined && error === undefined ? undefined : { ledger, overrides, error },
      page.data,
      entry.payloadFrom,
      entry.end,
      kept,
      0,
      kept.length,
    )
  }

  /** The job waits for its next attempt. */
  retry(job: OpenedJob, ledger: JobLedger, runAt: number): void {
    const { page, index } = job
    const bytes = this.#solo(job, ledger, runAt, ENTRY_RETRY)
    if (job.overrides?.unique !== undefined)
      this.places.set(page.seqOf(index), scheduledPlace(runAt, page.queueId, page.rank, bytes))
    this.#store.scheduled.put(this.#writes, runAt, page.queueId, page.rank, bytes, page.seqOf(index), true)
    this.#moveOn(page, index)
  }

  /** The job waits on, with its history, where its page was. */
  putBack(job: OpenedJob, ledger: JobLedger): void {
    const { page, index } = job
    const seq = page.seqOf(index)
    const bytes = this.#solo(job, ledger, 0, ledger.suspect ? ENTRY_SUSPECT : 0)
    const sub = page.header.solo ? page.sub : index + 1
    const solo = new PageRef(page.queueId, page.rank, page.ord, sub, readPageHeader(bytes), bytes, -1, page.lane)
    if (job.overrides?.unique !== undefined) this.places.set(seq, inLane(solo))
    this.#store.putPage(this.#writes, solo)
    this.#store.putLocation(this.#writes, INDEX_SOLO, seq, solo.key)
    if (ledger.suspect) putSuspect(this.#writes, seq, solo.key)
    // A page of one is written over in its place.
    if (!page.header.solo) this.#moveOn(page, index)
    this.back.push(solo)
  }

  /** The page has gone from `scheduled` to its lane. */
  promoted(page: PageRef): void {
    // A job with a unique key has its page to itself.
    if (page.header.count === 1) this.places.set(page.header.firstSeq, inLane(page))
  }

  /** A job that was over waits again, in a page of its own. */
  revived(page: PageRef, definitionId: number, overrides: JobOverrides | undefined): void {
    const { firstSeq } = page.header
    this.#store.stats.revived(page.queueId, definitionId)
    if (overrides?.unique !== undefined) this.places.set(firstSeq, inLane(page))
    if (overrides?.schedule !== undefined) this.#schedules.revived(overrides.schedule.name, firstSeq)
  }

  /** Writes what has become of the pages. Returns those that are gone. */
  write(): PageRef[] {
    const gone: PageRef[] = []
    for (const page of this.#dirty) {
      this.#store.putProgress(this.#writes, page)
      if (page.isOver) gone.push(page)
    }
    return gone
  }

  #moveOn(page: PageRef, index: number): void {
    if (!page.header.solo) this.#results.moved(page, index)
    this.markDone(page, index)
  }

  /**
   * What stays of the overrides of a job whose unique key may go with its end. A job that can be brought back and held its key until now
   * goes on naming it: it takes it again then.
   */
  #afterEnd(
    state: FinalState,
    { page, index, entry, overrides }: OpenedJob,
    { ledger }: Ending,
    isKept: boolean,
  ): JobOverrides | undefined {
    const seq = page.seqOf(index)
    const hasRun = (ledger?.attempts.length ?? 0) > 0
    let wasHeld = false
    const holds = this.#settleKey(entry, overrides, (hash) => {
      const holder = this.#store.uniques.find(hash)
      wasHeld = holder?.seq === seq && !holder.released && (holder.while !== 'waiting' || !hasRun)
      return this.#store.uniques.over(this.#writes, hash, seq, isKept, this.#now)
    })
    if (holds) this.ended.add(seq)
    return holds || (wasHeld && state !== 'completed') ? overrides : withoutKey(overrides)
  }

  /** The same of a job that lives on. */
  #afterRun({ page, index, entry, overrides }: OpenedJob): JobOverrides | undefined {
    const holds = this.#settleKey(entry, overrides, (hash) =>
      this.#store.uniques.runEnded(this.#writes, hash, page.seqOf(index), this.#now),
    )
    return holds ? overrides : withoutKey(overrides)
  }

  #settleKey({ definitionId }: EntryView, overrides: JobOverrides | undefined, settle: (hash: string) => boolean): boolean {
    return overrides?.unique !== undefined && settle(uniqueHash(this.#store.definitionName(definitionId), overrides.unique.key))
  }

  #solo(job: OpenedJob, ledger: JobLedger, runAt: number, flag: number): Buffer {
    const { page, index, entry } = job
    const overrides = job.overrides?.unique === undefined ? job.overrides : this.#afterRun(job)
    return buildSolo({
      seq: page.seqOf(index),
      enqueuedAt: page.header.enqueuedAt,
      runAt,
      epoch: page.header.epoch,
      definitionId: entry.definitionId,
      flags: (entry.flags & ~(ENTRY_RETRY | ENTRY_SUSPECT)) | flag,
      overrides,
      ledger,
      source: page.data,
      payloadFrom: entry.payloadFrom,
      payloadTo: entry.end,
    })
  }
}

/** Where a job is that has a page of its own in a lane. */
function inLane(page: PageRef): Place {
  return { at: 'page', page, index: 0, offset: PAGE_HEADER_BYTES }
}

/** A job that does not hold its key any more says nothing of it. */
export function withoutKey(overrides: JobOverrides | undefined): JobOverrides | undefined {
  const { unique: _unique, ...rest } = overrides ?? {}
  return Object.keys(rest).length === 0 ? undefined : rest
}
