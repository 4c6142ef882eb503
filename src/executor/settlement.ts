/**
 * Turns what became of jobs into writes of the commit under way, and gathers what is to be told once it is durable.
 *
 * The common case (a first attempt that completed) is a mark in its page, a count, and a copy into the block of finished jobs if
 * it will be kept. Everything else goes through `decide`.
 */
import { INLINE_PAYLOAD_BYTES, THREAD_START_MS } from '../base/limits.js'
import type { Random } from '../base/random.js'
import { OUTCOME_COMPLETED, OUTCOME_COMPLETED_APART } from '../codec/batch-control.js'
import { PAYLOAD_INPUT } from '../codec/keys.js'
import { ENTRY_EXTERNAL, ENTRY_HISTORY, entryEnd, readEntry, readHistory } from '../codec/page.js'
import { readPayload } from '../codec/payload.js'
import type { Batch, BatchEnd } from '../dispatcher/batch.js'
import { backoffDelayMs } from '../job/backoff.js'
import type { AttemptEnd, Decision, JobLedger } from '../job/job-state.js'
import { decide, EMPTY_LEDGER, nextAttempt } from '../job/job-state.js'
import type { Retention } from '../maintenance/retention.js'
import type { EffectiveSettings } from '../options/enqueue-options.js'
import type { OutcomeBody } from '../protocol/messages.js'
import type { RunTimes } from '../scheduler/run-times.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'
import { removeSuspect } from '../store/suspects.js'
import { cancelError, endOfDeath, endOfRecord } from './attempt-end.js'
import type { EventHub } from './events.js'
import type { OpenedJob, PlacedJob } from './job-moves.js'
import { JobMoves } from './job-moves.js'
import type { Registry } from './registry.js'
import type { Outcome, ResultRegistry } from './results.js'
import { COMPLETED_WITHOUT_OUTPUT } from './results.js'
import { Tidings } from './tidings.js'

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

/** The settlements of one commit. */
export class Settlement {
  readonly tidings: Tidings
  readonly moves: JobMoves
  /** Keys of records in `scheduled` that this commit removes. */
  readonly unscheduled = new Set<string>()
  /** Jobs that this commit cancels, by number. */
  readonly cancelled = new Set<number>()
  /** The earliest instant of a retry stored by this commit. */
  dueAt = Infinity
  readonly #options: SettlementOptions
  readonly #writes: WriteBatch
  readonly #now: number
  /** Completed jobs that need not be kept: as many newer ones follow them in this commit. */
  #passOver: number

  /** @param expected - outcomes that will be settled as completed, at least */
  constructor(options: SettlementOptions, writes: WriteBatch, now: number, expected: number) {
    const { store, results, events, retention } = options
    this.#options = options
    this.#writes = writes
    this.#now = now
    this.#passOver = retention.passOver('completed', expected)
    this.tidings = new Tidings(store, results, events)
    this.moves = new JobMoves(store, retention, results, writes, now)
  }

  /** Reads the outcomes that a batch's thread has left, and settles what its end leaves open. */
  collect(batch: Batch): void {
    const { runTimes } = this.#options
    const { control, end } = batch
    const finished = Math.min(control.finished, batch.limit)
    let definitionId = -1
    let measured: PageRef | undefined
    let totalMs = 0
    let jobs = 0
    while (batch.hasNext(finished)) {
      const record = batch.nextRecord()
      const { page, pageIndex: index, entryOffset: offset } = batch
      const settledId = page.data.readUInt16LE(offset + 4)
      if (settledId !== definitionId || page.queueId !== measured?.queueId || page.lane !== measured.lane) {
        if (jobs > 0 && measured !== undefined) {
          runTimes.measure(definitionId, jobs, totalMs)
          batch.addUsed(measured, totalMs)
        }
        definitionId = settledId
        measured = page
        totalMs = 0
        jobs = 0
      }
      totalMs += record.runMs
      jobs++
      const startedAt = Math.round(batch.sentAt + record.startMs)
      if (record.kind === OUTCOME_COMPLETED) {
        this.#completed(page, index, offset, startedAt, record.runMs, control.area, record.bodyFrom, record.bodyTo)
      } else if (record.kind === OUTCOME_COMPLETED_APART) {
        this.#completedApart({ page, index, offset }, startedAt, record.runMs, end)
      } else {
        const body = JSON.parse(control.area.toString('utf8', record.bodyFrom, record.bodyTo)) as OutcomeBody
        const span = { startedAt, endedAt: Math.round(startedAt + record.runMs) }
        const at = batch.collected - 1
        const ended = endOfRecord(record.kind, body, span, batch.cancelled.get(at), batch.interrupted === at)
        this.end({ page, index, offset }, ended)
      }
      batch.advance()
    }
    if (jobs > 0 && measured !== undefined) {
      runTimes.measure(definitionId, jobs, totalMs)
      batch.addUsed(measured, totalMs)
    }
    if (end?.kind === 'died' && batch.collected < control.taken && batch.collected < batch.limit) this.#died(batch, end)
  }

  /** Settles a job whose attempt did not simply complete. */
  end(job: PlacedJob, end: AttemptEnd): void {
    const { registry, maxCrashes } = this.#options
    const opened = this.#open(job)
    const { page, index, entry } = opened
    const settings = registry.settings(entry.definitionId, opened.overrides)
    const ledger = readHistory(page.data, entry) ?? EMPTY_LEDGER
    const delayMs = end.kind === 'failed' || end.kind === 'timedOut' ? this.#delayMs(opened, ledger, end, settings) : 0
    const decision = decide(ledger, end, { maxRetries: settings.maxRetries, maxCrashes }, delayMs, this.#now)
    this.#apply(opened, ledger, end, decision)
    const staysSuspect = decision.state === 'available' && decision.ledger.suspect
    if (page.header.solo && ledger.suspect && !staysSuspect) removeSuspect(this.#writes, page.seqOf(index))
  }

  /** Ends a waiting job whose cancellation was asked for. */
  cancelWaiting(job: PlacedJob, reason: string | undefined): void {
    const { store } = this.#options
    const opened = this.#open(job)
    const ledger = readHistory(opened.page.data, opened.entry)
    this.moves.finish('cancelled', opened, { ledger: ledger ?? EMPTY_LEDGER, startedAt: 0, runMs: 0, error: cancelError(reason) })
    store.counters.waiting--
    this.#tellCancelled(opened, reason)
    if (ledger?.suspect === true) removeSuspect(this.#writes, opened.page.seqOf(opened.index))
  }

  /** Ends a scheduled or retryable job. Its page is a stand-in for the record in `scheduled`, which the caller removes. */
  cancelScheduled(job: PlacedJob, reason: string | undefined): void {
    const opened = this.#open(job)
    const ledger = readHistory(opened.page.data, opened.entry) ?? EMPTY_LEDGER
    this.moves.keep('cancelled', opened, { ledger, startedAt: 0, runMs: 0, error: cancelError(reason) })
    this.#tellCancelled(opened, reason)
  }

  /** Writes the marks of every page touched, and the blocks of finished jobs. */
  write(): void {
    const { retention, results } = this.#options
    const gone = this.moves.write()
    if (gone.length > 0) {
      this.tidings.add(() => {
        for (const page of gone) results.pageOver(page)
      })
    }
    retention.write(this.#writes)
  }

  #open({ page, index, offset }: PlacedJob): OpenedJob {
    const entry = readEntry(page.data, offset)
    return { page, index, offset, entry, overrides: page.overrides(entry.overrides) }
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
    const { store, retention, results } = this.#options
    const bytes = page.data
    const isPassedOver = this.#passOver > 0
    if (isPassedOver) this.#passOver--
    const overrides = page.overrides(bytes[offset + 7] ?? 0)
    if (((bytes[offset + 6] ?? 0) & (ENTRY_HISTORY | ENTRY_EXTERNAL)) !== 0 || overrides?.unique !== undefined) {
      this.#completedSpecial({ page, index, offset }, startedAt, runMs, Buffer.from(area.subarray(bodyFrom, bodyTo)), false)
      return
    }
    const seq = page.seqOf(index)
    const definitionId = bytes.readUInt16LE(offset + 4)
    if (!isPassedOver) {
      const { queueId, rank, header } = page
      const { enqueuedAt } = header
      retention.add(
        'completed',
        { seq, enqueuedAt, startedAt, runMs, definitionId, queueId, rank, inputApart: false, outputApart: false },
        overrides === undefined ? undefined : { overrides },
        bytes,
        offset + 8,
        entryEnd(bytes, offset),
        area,
        bodyFrom,
        bodyTo,
      )
    }
    this.moves.markDone(page, index)
    store.counters.waiting--
    store.counters.completed++
    const handles = results.handlesOf(page)
    if (handles !== undefined || results.waitsByNumber) {
      const output = area.subarray(bodyFrom, bodyTo)
      const outcome: Outcome =
        output.length === 0 ? COMPLETED_WITHOUT_OUTPUT : { state: 'completed', output: Buffer.from(output) }
      const target = handles === undefined ? undefined : { handles, index }
      this.tidings.add(() => results.settle(seq, target, outcome))
    }
    this.tidings.event('completed', page, index, definitionId, () => ({ attempt: 1, runMs }))
  }

  #completedApart(job: PlacedJob, startedAt: number, runMs: number, end: BatchEnd | undefined): void {
    if (end?.kind !== 'returned' || end.apart === undefined) {
      // Its thread died before the output had travelled: the run is lost.
      this.end(job, { kind: 'interrupted', startedAt, endedAt: Math.round(startedAt + runMs) })
      return
    }
    const output = Buffer.from(end.apart)
    this.#completedSpecial(job, startedAt, runMs, output, output.length > INLINE_PAYLOAD_BYTES)
  }

  /** A completion with a history, with a payload that lies apart, or of a job that may hold a unique key. */
  #completedSpecial(job: PlacedJob, startedAt: number, runMs: number, output: Buffer, outputApart: boolean): void {
    const { store } = this.#options
    const opened = this.#open(job)
    const { page, index, entry } = opened
    const before = readHistory(page.data, entry)
    const end: AttemptEnd = { kind: 'completed', startedAt, endedAt: Math.round(startedAt + runMs) }
    const { ledger } = decide(before ?? EMPTY_LEDGER, end, { maxRetries: 0, maxCrashes: 1 }, 0, this.#now)
    this.moves.finish('completed', opened, {
      ledger: before === undefined ? undefined : ledger,
      startedAt,
      runMs,
      output,
      outputApart,
    })
    store.counters.waiting--
    if (before?.suspect === true) removeSuspect(this.#writes, page.seqOf(index))
    this.tidings.outcome(page, index, output.length === 0 ? COMPLETED_WITHOUT_OUTPUT : { state: 'completed', output })
    const attempt = nextAttempt(before ?? EMPTY_LEDGER)
    this.tidings.event('completed', page, index, entry.definitionId, () => ({ attempt, runMs }))
  }

  #apply(opened: OpenedJob, before: JobLedger, end: AttemptEnd, decision: Decision): void {
    const { counters } = this.#options.store
    const { page, index, entry } = opened
    const { state, ledger } = decision
    const { definitionId } = entry
    if (end.kind === 'failed' || end.kind === 'timedOut' || end.kind === 'fatal' || end.kind === 'unfit') {
      const { error } = end
      const failed = { attempt: nextAttempt(before), error, timedOut: end.kind === 'timedOut' }
      this.tidings.event('failed', page, index, definitionId, () => failed)
    }
    counters.waiting--
    switch (state) {
      case 'cancelled':
      case 'discarded': {
        const { error } = decision
        this.moves.finish(state, opened, { ledger, startedAt: end.startedAt, runMs: end.endedAt - end.startedAt, error })
        if (state === 'cancelled') this.#tellCancelled(opened, error?.message)
        else {
          const told = error ?? { name: 'Error', message: 'The job was discarded.' }
          this.tidings.outcome(page, index, { state: 'discarded', error: told })
          this.tidings.event('discarded', page, index, definitionId, () => ({ error: told }))
        }
        return
      }
      case 'retryable': {
        const runAt = decision.runAt ?? this.#now
        counters.retryable++
        this.moves.retry(opened, ledger, runAt)
        this.dueAt = Math.min(this.dueAt, runAt)
        this.tidings.event('retried', page, index, definitionId, () => ({ runAt, snoozed: end.kind === 'snoozed' }))
        return
      }
      case 'available':
        counters.waiting++
        this.moves.putBack(opened, ledger)
        if (end.kind === 'interrupted') this.tidings.event('interrupted', page, index, definitionId, () => ({}))
        return
      default:
        throw new TypeError(`an attempt ended in ${state}`)
    }
  }

  /** A thread died while it ran a job of this batch: whose fault was it? */
  #died(batch: Batch, end: BatchEnd & { kind: 'died' }): void {
    const { registry } = this.#options
    const { page, pageIndex: index, entryOffset: offset, control, collected: at } = batch
    const startedAt = Math.min(this.#now, Math.round(batch.sentAt + Math.max(0, control.startedMs - control.baseMs)))
    const span = { startedAt, endedAt: this.#now }
    const { entry, overrides } = this.#open({ page, index, offset })
    const { timeoutMs } = registry.settings(entry.definitionId, overrides)
    // The thread's death costs its queue the start of the next one too: jobs that end threads at once would come first for ever.
    batch.addUsed(page, span.endedAt - startedAt + THREAD_START_MS)
    batch.collected++
    batch.advance()
    this.end({ page, index, offset }, endOfDeath(end, at, span, batch.cancelled.get(at), timeoutMs))
  }

  /** What the backoff says about the next retry. */
  #delayMs(
    opened: OpenedJob,
    ledger: JobLedger,
    end: AttemptEnd & { kind: 'failed' | 'timedOut' },
    { maxRetries, backoff }: EffectiveSettings,
  ): number {
    const retry = ledger.charged + 1
    if (retry > maxRetries || (end.kind === 'failed' && end.afterMs !== undefined)) return 0
    const { page, index, entry } = opened
    const asks = typeof backoff === 'function' || backoff.type === 'custom'
    const input = asks ? this.#input(opened) : undefined
    const { delayMs, problem } = backoffDelayMs(backoff, { retry, error: end.error, input }, this.#options.random)
    if (problem !== undefined) {
      const name = this.#options.registry.name(entry.definitionId)
      this.tidings.problem(new Error(`The backoff of job "${name}": ${problem}`), page, index)
    }
    return delayMs
  }

  /** The job's input as its functions expect it. */
  #input({ page, index, entry }: OpenedJob): unknown {
    const { store, registry } = this.#options
    const apart = (entry.flags & ENTRY_EXTERNAL) !== 0 ? store.readPayload(page.seqOf(index), PAYLOAD_INPUT) : undefined
    const raw = readPayload(apart ?? page.data.subarray(entry.payloadFrom, entry.end))
    const parsed = registry.parse(entry.definitionId, raw)
    return parsed instanceof Promise || parsed.issues !== undefined ? raw : parsed.value
  }

  #tellCancelled({ page, index, entry }: OpenedJob, reason: string | undefined): void {
    this.cancelled.add(page.seqOf(index))
    this.tidings.outcome(page, index, { state: 'cancelled', reason })
    this.tidings.event('cancelled', page, index, entry.definitionId, () => ({ reason }))
  }
}
