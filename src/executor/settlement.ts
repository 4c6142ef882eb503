/**
 * Turns what became of jobs into writes of the commit under way, and gathers what is to be told once it is durable.
 *
 * The common case (a first attempt that completed) is a mark in its page, a count, and a copy into the block of finished jobs if
 * it will be kept. Everything else goes through `decide`, and a job that goes on gets a page of its own with its history.
 */
import type { ErrorRecord } from '../base/errors.js'
import { INLINE_PAYLOAD_BYTES } from '../base/limits.js'
import type { Random } from '../base/random.js'
import {
  OUTCOME_CANCELLED,
  OUTCOME_COMPLETED,
  OUTCOME_COMPLETED_APART,
  OUTCOME_FATAL,
  OUTCOME_SNOOZED,
  OUTCOME_UNFIT,
} from '../codec/batch-control.js'
import { INDEX_SOLO, PAYLOAD_INPUT, PAYLOAD_OUTPUT } from '../codec/keys.js'
import type { EntryView } from '../codec/page.js'
import {
  buildSolo,
  ENTRY_EXTERNAL,
  ENTRY_HISTORY,
  ENTRY_RETRY,
  ENTRY_SUSPECT,
  PAGE_HEADER_BYTES,
  readEntry,
  readHistory,
  readPageHeader,
} from '../codec/page.js'
import { readPayload } from '../codec/payload.js'
import type { Batch, BatchEnd } from '../dispatcher/batch.js'
import { backoffDelayMs } from '../job/backoff.js'
import { formatJobId } from '../job/job-id.js'
import type { AttemptEnd, Decision, JobLedger } from '../job/job-state.js'
import { decide, EMPTY_LEDGER, nextAttempt } from '../job/job-state.js'
import type { FinalState } from '../job/job-info.js'
import type { Retention } from '../maintenance/retention.js'
import type { JobOverrides } from '../options/enqueue-options.js'
import type { OutcomeBody } from '../protocol/messages.js'
import type { RunTimes } from '../scheduler/run-times.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'
import type { EventHub, EventJob } from './events.js'
import type { Registry } from './registry.js'
import type { Outcome, PageHandles, ResultRegistry } from './results.js'
import { COMPLETED_WITHOUT_OUTPUT } from './results.js'

export interface SettlementOptions {
  readonly store: JobStore
  readonly registry: Registry
  readonly retention: Retention
  readonly results: ResultRegistry
  readonly events: EventHub
  readonly runTimes: RunTimes
  readonly random: Random
  readonly maxCrashes: number
}

/** A job being settled. */
export interface SettledJob {
  readonly page: PageRef
  readonly index: number
  readonly offset: number
}

const NOTHING = Buffer.alloc(0)

/** The settlements of one commit. */
export class Settlement {
  /** Pages put back or promoted by this commit, to be offered to the scheduler. */
  readonly back: PageRef[] = []
  /** Keys of records in `scheduled` that this commit removes. */
  readonly unscheduled = new Set<string>()
  /** Jobs that this commit cancels, by number. */
  readonly cancelled = new Set<number>()
  /** The earliest instant of a retry stored by this commit. */
  dueAt = Infinity
  readonly #options: SettlementOptions
  readonly #writes: WriteBatch
  readonly #now: number
  readonly #dirty = new Set<PageRef>()
  readonly #after: (() => void)[] = []
  /** Completed jobs that need not be kept: as many newer ones follow them in this commit. */
  #passOver: number

  /** @param expected - outcomes that will be settled as completed, at most */
  constructor(options: SettlementOptions, writes: WriteBatch, now: number, expected: number) {
    this.#options = options
    this.#writes = writes
    this.#now = now
    this.#passOver = options.retention.passOver('completed', expected)
  }

  /** Reads the outcomes that a batch's thread has left, and settles what its end leaves open. */
  collect(batch: Batch): void {
    const { control, end } = batch
    const finished = Math.min(control.finished, batch.limit)
    let totalMs = 0
    let jobs = 0
    let measured = -1
    while (batch.collected < finished) {
      const record = batch.nextRecord()
      const { page, pageIndex: index, entryOffset: offset } = batch
      const bytes = page.bytes!
      const definitionId = bytes.readUInt16LE(offset + 4)
      if (definitionId !== measured && jobs > 0) {
        this.#options.runTimes.measure(measured, jobs, totalMs)
        totalMs = 0
        jobs = 0
      }
      measured = definitionId
      totalMs += record.runMs
      batch.usedMs += record.runMs
      jobs++
      const startedAt = batch.sentAt + record.startMs
      if (record.kind === OUTCOME_COMPLETED) {
        this.#completed(page, index, offset, startedAt, record.runMs, control.area, record.bodyFrom, record.bodyTo)
      } else if (record.kind === OUTCOME_COMPLETED_APART) {
        this.#completedApart({ page, index, offset }, startedAt, record.runMs, end)
      } else {
        const body = JSON.parse(control.area.toString('utf8', record.bodyFrom, record.bodyTo)) as OutcomeBody
        const reason = batch.cancelled.get(batch.collected - 1)
        this.end({ page, index, offset }, attemptEnd(record.kind, body, startedAt, startedAt + record.runMs, reason))
      }
      batch.advance()
    }
    if (jobs > 0) this.#options.runTimes.measure(measured, jobs, totalMs)
    if (end?.kind === 'died' && batch.collected < control.taken && batch.collected < batch.limit) this.#died(batch, end)
  }

  /** Settles a job whose attempt did not simply complete. */
  end(job: SettledJob, end: AttemptEnd): void {
    const { store, registry, random, maxCrashes } = this.#options
    const { page } = job
    const bytes = page.bytes!
    const entry = readEntry(bytes, job.offset)
    const overrides = page.overrides(entry.overrides)
    const settings = registry.settings(entry.definitionId, overrides)
    const ledger = readHistory(bytes, entry) ?? EMPTY_LEDGER
    let delayMs = 0
    if (end.kind === 'failed' || end.kind === 'timedOut') {
      const retry = ledger.charged + 1
      if (retry <= settings.maxRetries && !(end.kind === 'failed' && end.afterMs !== undefined)) {
        const needsInput = typeof settings.backoff === 'function' || settings.backoff.type === 'custom'
        const input = needsInput ? this.#input(page, job.index, bytes, entry) : undefined
        const backoff = backoffDelayMs(settings.backoff, { retry, error: end.error, input }, random)
        ;({ delayMs } = backoff)
        if (backoff.problem !== undefined)
          this.#problem(
            new Error(`The backoff of job "${registry.name(entry.definitionId)}": ${backoff.problem}`),
            page,
            job.index,
          )
      }
    }
    const decision = decide(ledger, end, { maxRetries: settings.maxRetries, maxCrashes }, delayMs, this.#now)
    this.#apply(job, entry, overrides, ledger, end, decision)
    if (page.header.solo && ledger.suspect && !decision.ledger.suspect) store.removeSuspect(this.#writes, page.seqOf(job.index))
  }

  /** Ends a waiting job: cancelled by a caller, or unfit to wait. The page's bytes are at hand. */
  cancelWaiting(job: SettledJob, reason: string | undefined): void {
    const { page } = job
    const entry = readEntry(page.bytes!, job.offset)
    const ledger = readHistory(page.bytes!, entry)
    this.#finish(
      'cancelled',
      job,
      entry,
      page.overrides(entry.overrides),
      ledger ?? EMPTY_LEDGER,
      0,
      0,
      cancelError(reason),
      undefined,
    )
    this.#options.store.counters.waiting--
    this.#leave(page, job.index, entry)
    this.#told('cancelled', job, { state: 'cancelled', reason }, () => ({ reason }))
    if (ledger?.suspect === true) this.#options.store.removeSuspect(this.#writes, page.seqOf(job.index))
  }

  /** Ends a scheduled or retryable job. `page` is a stand-in for its record in `scheduled`, which the caller removes. */
  cancelScheduled(job: SettledJob, reason: string | undefined): void {
    const { page } = job
    const entry = readEntry(page.bytes!, job.offset)
    this.#finish(
      'cancelled',
      job,
      entry,
      page.overrides(entry.overrides),
      readHistory(page.bytes!, entry) ?? EMPTY_LEDGER,
      0,
      0,
      cancelError(reason),
      undefined,
    )
    this.#told('cancelled', job, { state: 'cancelled', reason }, () => ({ reason }))
  }

  /** Something to do once the commit is durable. */
  afterCommit(callback: () => void): void {
    this.#after.push(callback)
  }

  /** Writes the marks of every page touched, and the blocks of finished jobs. */
  write(): void {
    const { store, retention, results } = this.#options
    for (const page of this.#dirty) {
      store.putProgress(this.#writes, page)
      if (page.isOver) this.#after.push(() => results.pageOver(page))
    }
    retention.write(this.#writes)
  }

  /** Tells what became durable. */
  tell(): void {
    for (const callback of this.#after) callback()
  }

  #completed(
    page: PageRef,
    index: number,
    offset: number,
    startedAt: number,
    runMs: number,
    area: Buffer,
    bodyFrom: number,
    bodyTo: number,
  ): void {
    const { store, retention, results, events } = this.#options
    const bytes = page.bytes!
    if ((bytes[offset + 6]! & (ENTRY_HISTORY | ENTRY_EXTERNAL)) !== 0) {
      this.#completedWithHistory({ page, index, offset }, startedAt, runMs, area, bodyFrom, bodyTo, false)
      return
    }
    const seq = page.seqOf(index)
    if (this.#passOver > 0) {
      this.#passOver--
    } else {
      retention.add(
        'completed',
        {
          seq,
          enqueuedAt: page.header.enqueuedAt,
          startedAt,
          runMs,
          definitionId: bytes.readUInt16LE(offset + 4),
          queueId: page.queueId,
          rank: page.rank,
          inputApart: false,
          outputApart: false,
        },
        bytes[offset + 7] === 0 ? undefined : { overrides: page.overrides(bytes[offset + 7]!) },
        bytes,
        offset + 8,
        offset + 4 + bytes.readUInt32LE(offset),
        area,
        bodyFrom,
        bodyTo,
      )
    }
    page.markDone(index)
    this.#dirty.add(page)
    store.counters.waiting--
    store.counters.completed++
    const handles = results.handlesOf(page)
    if (handles !== undefined || results.waitsByNumber) {
      const outcome: Outcome =
        bodyFrom === bodyTo
          ? COMPLETED_WITHOUT_OUTPUT
          : { state: 'completed', output: Buffer.from(area.subarray(bodyFrom, bodyTo)) }
      this.#after.push(() => results.settle(seq, handles === undefined ? undefined : { handles, index }, outcome))
    }
    if (events.has('completed')) {
      const job = this.eventJob(page, index, bytes.readUInt16LE(offset + 4))
      this.#after.push(() => events.emit('completed', { job, attempt: 1, runMs }))
    }
  }

  #completedApart(job: SettledJob, startedAt: number, runMs: number, end: BatchEnd | undefined): void {
    if (end?.kind !== 'returned' || end.apart === undefined) {
      // Its thread died before the output had travelled: the run is lost.
      this.end(job, { kind: 'interrupted', startedAt, endedAt: startedAt + runMs })
      return
    }
    const output = Buffer.from(end.apart)
    this.#completedWithHistory(job, startedAt, runMs, output, 0, output.length, output.length > INLINE_PAYLOAD_BYTES)
  }

  #completedWithHistory(
    job: SettledJob,
    startedAt: number,
    runMs: number,
    area: Buffer,
    from: number,
    to: number,
    outputApart: boolean,
  ): void {
    const { store, events } = this.#options
    const { page, index } = job
    const bytes = page.bytes!
    const entry = readEntry(bytes, job.offset)
    const before = readHistory(bytes, entry)
    const { ledger } = decide(
      before ?? EMPTY_LEDGER,
      { kind: 'completed', startedAt, endedAt: startedAt + runMs },
      { maxRetries: 0, maxCrashes: 1 },
      0,
      this.#now,
    )
    const output = Buffer.from(area.subarray(from, to))
    this.#finish(
      'completed',
      job,
      entry,
      page.overrides(entry.overrides),
      before === undefined ? undefined : ledger,
      startedAt,
      runMs,
      undefined,
      output,
      outputApart,
    )
    store.counters.waiting--
    this.#leave(page, index, entry)
    if (before?.suspect === true) store.removeSuspect(this.#writes, page.seqOf(index))
    const attempt = nextAttempt(before ?? EMPTY_LEDGER)
    this.#settleResult(page, index, output.length === 0 ? COMPLETED_WITHOUT_OUTPUT : { state: 'completed', output })
    if (events.has('completed')) {
      const told = this.eventJob(page, index, entry.definitionId)
      this.#after.push(() => events.emit('completed', { job: told, attempt, runMs }))
    }
  }

  #apply(
    job: SettledJob,
    entry: EntryView,
    overrides: JobOverrides | undefined,
    before: JobLedger,
    end: AttemptEnd,
    decision: Decision,
  ): void {
    const { store } = this.#options
    const { page, index } = job
    const { counters } = store
    const { state, ledger } = decision
    const attempt = nextAttempt(before)
    if (end.kind === 'failed' || end.kind === 'timedOut' || end.kind === 'fatal' || end.kind === 'unfit') {
      this.#emit('failed', page, index, entry, () => ({ attempt, error: end.error, timedOut: end.kind === 'timedOut' }))
    }
    counters.waiting--
    switch (state) {
      case 'completed':
      case 'cancelled':
      case 'discarded': {
        const { error } = decision
        this.#finish(state, job, entry, overrides, ledger, end.startedAt, end.endedAt - end.startedAt, error, undefined)
        this.#leave(page, index, entry)
        if (state === 'discarded') {
          const told = error ?? { name: 'Error', message: 'The job was discarded.' }
          this.#told('discarded', job, { state: 'discarded', error: told }, () => ({ error: told }))
        } else {
          const reason = error?.message
          this.#told('cancelled', job, { state: 'cancelled', reason }, () => ({ reason }))
        }
        return
      }
      case 'retryable': {
        const runAt = decision.runAt ?? this.#now
        counters.retryable++
        store.putScheduled(
          this.#writes,
          runAt,
          page.queueId,
          page.rank,
          this.#solo(page, index, entry, overrides, ledger, runAt, ENTRY_RETRY),
          page.seqOf(index),
          true,
        )
        this.#move(page, index)
        this.dueAt = Math.min(this.dueAt, runAt)
        this.#emit('retried', page, index, entry, () => ({ runAt, snoozed: end.kind === 'snoozed' }))
        return
      }
      case 'available': {
        counters.waiting++
        this.#putBack(page, index, entry, overrides, ledger)
        if (end.kind === 'interrupted') this.#emit('interrupted', page, index, entry, () => ({}))
        return
      }
      default:
        throw new TypeError(`an attempt ended in ${state}`)
    }
  }

  /** The job waits on, with its history, where its page was. */
  #putBack(page: PageRef, index: number, entry: EntryView, overrides: JobOverrides | undefined, ledger: JobLedger): void {
    const { store } = this.#options
    const seq = page.seqOf(index)
    const suspectFlag = ledger.suspect ? ENTRY_SUSPECT : 0
    const bytes = this.#solo(page, index, entry, overrides, ledger, 0, suspectFlag)
    const sub = page.header.solo ? page.sub : index + 1
    const solo = new PageRef(page.queueId, page.rank, page.ord, sub, readPageHeader(bytes), bytes, -1)
    store.putPage(this.#writes, solo)
    store.putLocation(this.#writes, INDEX_SOLO, seq, solo.key)
    if (ledger.suspect) store.putSuspect(this.#writes, seq, solo.key)
    if (!page.header.solo) this.#move(page, index)
    this.back.push(solo)
  }

  #solo(
    page: PageRef,
    index: number,
    entry: EntryView,
    overrides: JobOverrides | undefined,
    ledger: JobLedger,
    runAt: number,
    flag: number,
  ): Buffer {
    return buildSolo({
      seq: page.seqOf(index),
      enqueuedAt: page.header.enqueuedAt,
      runAt,
      epoch: page.header.epoch,
      definitionId: entry.definitionId,
      flags: (entry.flags & ~(ENTRY_RETRY | ENTRY_SUSPECT)) | flag,
      overrides,
      ledger,
      source: page.bytes!,
      payloadFrom: entry.payloadFrom,
      payloadTo: entry.end,
    })
  }

  /** The job goes on elsewhere. */
  #move(page: PageRef, index: number): void {
    if (!page.header.solo) this.#options.results.moved(page, index)
    page.markDone(index)
    this.#dirty.add(page)
  }

  /** The job is over. */
  #leave(page: PageRef, index: number, entry: EntryView): void {
    page.markDone(index)
    this.#dirty.add(page)
    if (page.header.solo || (entry.flags & ENTRY_HISTORY) !== 0)
      this.#options.store.removeLocation(this.#writes, page.seqOf(index))
  }

  #finish(
    state: FinalState,
    job: SettledJob,
    entry: EntryView,
    overrides: JobOverrides | undefined,
    ledger: JobLedger | undefined,
    startedAt: number,
    runMs: number,
    error: ErrorRecord | undefined,
    output: Buffer | undefined,
    outputApart = false,
  ): void {
    const { store, retention } = this.#options
    const { page, index } = job
    const seq = page.seqOf(index)
    if (state === 'cancelled') this.cancelled.add(seq)
    const inputApart = (entry.flags & ENTRY_EXTERNAL) !== 0
    store.counters[state]++
    if (retention.passOver(state, 1) > 0) {
      if (inputApart) store.removePayload(this.#writes, seq, PAYLOAD_INPUT)
      return
    }
    if (outputApart && output !== undefined) store.putPayload(this.#writes, seq, PAYLOAD_OUTPUT, output)
    const kept = outputApart ? NOTHING : (output ?? NOTHING)
    retention.add(
      state,
      {
        seq,
        enqueuedAt: page.header.enqueuedAt,
        startedAt,
        runMs,
        definitionId: entry.definitionId,
        queueId: page.queueId,
        rank: page.rank,
        inputApart,
        outputApart,
      },
      ledger === undefined && overrides === undefined && error === undefined ? undefined : { ledger, overrides, error },
      page.bytes!,
      entry.payloadFrom,
      entry.end,
      kept,
      0,
      kept.length,
    )
  }

  /** A thread died while it ran a job of this batch: whose fault was it? */
  #died(batch: Batch, end: BatchEnd & { kind: 'died' }): void {
    const { page, pageIndex: index, entryOffset: offset } = batch
    const at = batch.collected
    const startedAt = Math.min(this.#now, batch.sentAt + Math.max(0, batch.control.startedMs - batch.control.baseMs))
    const span = { startedAt, endedAt: this.#now }
    const job = { page, index, offset }
    const reason = batch.cancelled.get(at)
    batch.usedMs += span.endedAt - startedAt
    batch.collected++
    batch.advance()
    if (reason !== undefined)
      this.end(job, { kind: 'cancelled', ...span, ...withError(cancelError(reason === '' ? undefined : reason)) })
    else if (end.cause === 'timeout' && end.target === at)
      this.end(job, { kind: 'timedOut', ...span, error: this.#timeoutError(page, offset) })
    else if (end.cause !== undefined) this.end(job, { kind: 'interrupted', ...span })
    else this.end(job, { kind: 'failed', ...span, error: deathError(end) })
  }

  #timeoutError(page: PageRef, offset: number): ErrorRecord {
    const entry = readEntry(page.bytes!, offset)
    const { timeoutMs } = this.#options.registry.settings(entry.definitionId, page.overrides(entry.overrides))
    return {
      name: 'TimeoutError',
      code: 'MILLRACE_TIMEOUT',
      message: `The attempt ran longer than its timeout of ${timeoutMs} ms, and its thread was terminated.`,
    }
  }

  #input(page: PageRef, index: number, bytes: Buffer, entry: EntryView): unknown {
    const { store, registry } = this.#options
    const apart = (entry.flags & ENTRY_EXTERNAL) !== 0
    const stored = apart
      ? (store.readPayload(page.seqOf(index), PAYLOAD_INPUT) ?? NOTHING)
      : bytes.subarray(entry.payloadFrom, entry.end)
    const raw = readPayload(stored)
    const parsed = registry.parse(entry.definitionId, raw)
    return parsed instanceof Promise || parsed.issues !== undefined ? raw : parsed.value
  }

  #settleResult(page: PageRef, index: number, outcome: Outcome): void {
    const { results } = this.#options
    const seq = page.seqOf(index)
    const handles = results.handlesOf(page)
    const target: { handles: PageHandles; index: number } | undefined =
      handles === undefined ? results.movedHandle(seq) : { handles, index }
    this.#after.push(() => results.settle(seq, target, outcome))
  }

  #told(name: 'discarded' | 'cancelled', job: SettledJob, outcome: Outcome, rest: () => object): void {
    const { page, index, offset } = job
    this.#settleResult(page, index, outcome)
    this.#emit(name, page, index, readEntry(page.bytes!, offset), rest)
  }

  #emit(
    name: 'failed' | 'retried' | 'discarded' | 'cancelled' | 'interrupted',
    page: PageRef,
    index: number,
    entry: EntryView,
    rest: () => object,
  ): void {
    const { events } = this.#options
    if (!events.has(name)) return
    const job = this.eventJob(page, index, entry.definitionId)
    const event = { job, ...rest() }
    this.#after.push(() => events.emit(name, event as never))
  }

  eventJob(page: PageRef, index: number, definitionId: number): EventJob {
    const { store } = this.#options
    return {
      id: formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark),
      name: store.definitionName(definitionId),
      queue: store.queueName(page.queueId),
    }
  }

  #problem(error: Error, page: PageRef, index: number): void {
    const { events, store } = this.#options
    const jobId = formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark)
    this.#after.push(() => events.emit('error', { error, jobId }))
  }
}

/** What an outcome record says, in the words of `decide`. A job that was asked to stop and then failed was cancelled. */
function attemptEnd(
  kind: number,
  body: OutcomeBody,
  startedAt: number,
  endedAt: number,
  cancelled: string | undefined,
): AttemptEnd {
  const span = { startedAt, endedAt }
  const error = body.error ?? { name: 'Error', message: 'The attempt failed.' }
  if (cancelled !== undefined)
    return { kind: 'cancelled', ...span, ...withError(cancelError(cancelled === '' ? undefined : cancelled)) }
  switch (kind) {
    case OUTCOME_FATAL:
      return { kind: 'fatal', ...span, error }
    case OUTCOME_UNFIT:
      return { kind: 'unfit', ...span, error }
    case OUTCOME_SNOOZED:
      return { kind: 'snoozed', ...span, afterMs: body.afterMs ?? 0 }
    case OUTCOME_CANCELLED:
      return { kind: 'cancelled', ...span, ...withError(cancelError(body.reason)) }
    default:
      return { kind: 'failed', ...span, error, ...(body.afterMs !== undefined && { afterMs: body.afterMs }) }
  }
}

function withError(error: ErrorRecord | undefined): { error: ErrorRecord } | undefined {
  return error === undefined ? undefined : { error }
}

function cancelError(reason: string | undefined): ErrorRecord | undefined {
  return reason === undefined ? undefined : { name: 'Cancelled', message: reason }
}

function deathError(end: BatchEnd & { kind: 'died' }): ErrorRecord {
  const { error, exitCode } = end
  if ((error as { code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return {
      name: 'OutOfMemoryError',
      code: 'MILLRACE_OUT_OF_MEMORY',
      message: 'The thread reached its JavaScript heap limit and was ended. Raise resourceLimits, or work on less at a time.',
    }
  }
  if (error === undefined) {
    return {
      name: 'ProcessExitError',
      code: 'MILLRACE_PROCESS_EXIT',
      message: `The handler called process.exit(${exitCode}), which ended its thread.`,
    }
  }
  return { name: error.name, code: 'MILLRACE_THREAD_DIED', message: `The thread died: ${error.message}` }
}

/** The offset of a page's only entry. */
export const SOLO_OFFSET: number = PAGE_HEADER_BYTES
