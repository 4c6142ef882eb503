/**
 * Turns what became of jobs into writes of the commit under way, and gathers what is to be told once it is durable.
 *
 * The common case (a first attempt that completed) is a mark in its page, a count, and a copy into the block of finished jobs if
 * it will be kept. Everything else goes through `decide`.
 */
import type { ErrorRecord } from '../base/errors.js'
import { INLINE_PAYLOAD_BYTES, THREAD_START_MS } from '../base/limits.js'
import type { Random } from '../base/random.js'
import { OUTCOME_COMPLETED, OUTCOME_COMPLETED_APART, OUTCOME_EXPIRED } from '../codec/batch-control.js'
import { ENTRY_EXTERNAL, ENTRY_HISTORY, ENTRY_RETRY, entryEnd, readEntry, readHistory } from '../codec/page.js'
import type { Batch, BatchEnd, Stop } from '../dispatcher/batch.js'
import { backoffDelayMs } from '../job/backoff.js'
import type { AttemptEnd, Decision, JobLedger } from '../job/job-state.js'
import { decide, EMPTY_LEDGER, nextAttempt, transition } from '../job/job-state.js'
import type { Retention } from '../maintenance/retention.js'
import { startBeforeOf, type EffectiveSettings } from '../job/effective-settings.js'
import type { OutcomeBody } from '../protocol/messages.js'
import type { RunTimes } from '../scheduler/run-times.js'
import type { Schedules } from '../scheduler/schedules.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import type { Series } from '../telemetry/series.js'
import type { PageRef } from '../store/page-ref.js'
import { removeSuspect } from '../store/suspects.js'
import { cancelError, discardError, endOfDeath, endOfRecord, expiredError } from './attempt-end.js'
import type { EventHub } from './events.js'
import { inputOf } from './job-input.js'
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
  readonly schedules: Schedules
  readonly random: Random
  readonly maxCrashes: number
}

/** The settlements of one commit. */
export class Settlement {
  readonly tidings: Tidings
  readonly moves: JobMoves
  /** Keys of records in `scheduled` that this commit removes. */
  readonly unscheduled = new Set<string>()
  /** Jobs that this commit ends as they were asked to, by number. */
  readonly stopped = new Map<number, Stop['state']>()
  /** Jobs that this commit moves to their lane because somebody asked for it: the next one knows where they are. */
  readonly moved = new Set<number>()
  /** The earliest instant of a retry stored by this commit. */
  dueAt = Infinity
  readonly #options: SettlementOptions
  readonly #writes: WriteBatch
  readonly #now: number
  /** Completed jobs that need not be kept: as many newer ones follow them in this commit. */
  #passOver: number
  /** Jobs of which that was said. */
  #passedOver = 0

  /** @param expected - outcomes that will be settled as completed, at least */
  constructor(options: SettlementOptions, writes: WriteBatch, now: number, expected: number) {
    const { store, results, events, retention, schedules } = options
    this.#options = options
    this.#writes = writes
    this.#now = now
    this.#passOver = retention.passOver('completed', expected)
    this.tidings = new Tidings(store, results, events)
    this.moves = new JobMoves(store, retention, results, schedules, writes, now)
  }

  /** Reads the outcomes that a batch's thread has left, and settles what its end leaves open. */
  collect(batch: Batch): void {
    const { stats } = this.#options.store
    const { control, end } = batch
    const finished = Math.min(control.finished, batch.limit)
    let definitionId = -1
    let measured: PageRef | undefined
    let totalMs = 0
    let jobs = 0
    let plain = 0
    let series: Series | undefined
    while (batch.hasNext(finished)) {
      const record = batch.nextRecord()
      const { page, pageIndex: index, entryOffset: offset } = batch
      const settledId = page.data.readUInt16LE(offset + 4)
      if (settledId !== definitionId || page.queueId !== measured?.queueId || page.lane !== measured.lane) {
        if (jobs > 0 && measured !== undefined) this.#collected(batch, measured, definitionId, jobs, totalMs, plain)
        definitionId = settledId
        measured = page
        totalMs = 0
        jobs = 0
        plain = 0
        series = stats.of(page.queueId, definitionId)
      }
      if (record.kind === OUTCOME_EXPIRED && !batch.stops.has(batch.collected - 1)) {
        this.expire({ page, index, offset })
        batch.advance()
        continue
      }
      totalMs += record.runMs
      jobs++
      const startedAt = Math.round(batch.sentAt + record.startMs)
      series?.measure(page.header, startedAt, record.runMs)
      if (record.kind === OUTCOME_COMPLETED) {
        if (this.#completed(page, index, offset, startedAt, record.runMs, control.area, record.bodyFrom, record.bodyTo)) plain++
      } else if (record.kind === OUTCOME_COMPLETED_APART) {
        this.#completedApart({ page, index, offset }, startedAt, record.runMs, end)
      } else {
        const body = JSON.parse(control.area.toString('utf8', record.bodyFrom, record.bodyTo)) as OutcomeBody
        const span = { startedAt, endedAt: Math.round(startedAt + record.runMs) }
        const at = batch.collected - 1
        const ended = endOfRecord(record.kind, body, span, batch.stops.get(at), batch.interrupted.has(at))
        if (body.problem !== undefined) this.#tellProblem('retryIf', body.problem, page, index, settledId)
        this.end({ page, index, offset }, ended)
      }
      batch.advance()
    }
    if (jobs > 0 && measured !== undefined) this.#collected(batch, measured, definitionId, jobs, totalMs, plain)
    if (end?.kind === 'died' && batch.collected < control.taken && batch.collected < batch.limit) this.#died(batch, end)
  }

  /** Accounts for jobs of one queue, limit key and definition that follow one another in a batch. `plain`: those that are counted nowhere else. */
  #collected(batch: Batch, page: PageRef, definitionId: number, jobs: number, totalMs: number, plain: number): void {
    const { runTimes, store } = this.#options
    runTimes.measure(definitionId, jobs, totalMs)
    batch.addUsed(page, totalMs)
    if (plain > 0) store.stats.completed(page.queueId, definitionId, plain)
  }

  /** Settles a job whose attempt did not simply complete. */
  end(job: PlacedJob, end: AttemptEnd): void {
    const { registry, maxCrashes } = this.#options
    const opened = this.open(job)
    const { page, index, entry } = opened
    const settings = registry.settings(entry.definitionId, opened.overrides)
    const ledger = readHistory(page.data, entry) ?? EMPTY_LEDGER
    const delayMs = end.kind === 'failed' || end.kind === 'timedOut' ? this.#delayMs(opened, ledger, end, settings) : 0
    const decision = decide(ledger, end, { maxRetries: settings.maxRetries, maxCrashes }, delayMs, this.#now)
    this.#options.store.stats.ended(page.queueId, entry.definitionId, end.kind, decision.state === 'retryable')
    this.#apply(opened, ledger, end, decision)
    const staysSuspect = decision.state === 'available' && decision.ledger.suspect
    if (page.header.solo && ledger.suspect && !staysSuspect) removeSuspect(this.#writes, page.seqOf(index))
  }

  /** Ends a job whose turn came after it had to begin, in its lane or in its thread. */
  expire(job: PlacedJob): void {
    const { store, registry } = this.#options
    const opened = this.open(job)
    const { page, entry } = opened
    store.stats.shift(page.queueId, entry.definitionId, 'waiting', -1)
    const startBefore = startBeforeOf(registry.settings(entry.definitionId, opened.overrides), page.header) ?? this.#now
    const error = expiredError(startBefore, this.#now)
    const state = transition('available', 'expire') as 'discarded'
    const ledger = readHistory(page.data, entry) ?? EMPTY_LEDGER
    this.moves.finish(state, opened, { ledger, startedAt: 0, runMs: 0, error })
    store.changing(page)
    this.#tellDiscarded(opened, error)
  }

  /** Ends a waiting job because somebody asked for it. `isKept`: it joins the finished ones, as far as `retain` goes. */
  stopWaiting(job: PlacedJob, stop: Stop, isKept: boolean): void {
    const { page, index, entry } = this.#stop(job, stop, isKept)
    this.moves.leave(page, index, entry)
    this.#options.store.stats.shift(page.queueId, entry.definitionId, 'waiting', -1)
    if (readHistory(page.data, entry)?.suspect === true) removeSuspect(this.#writes, page.seqOf(index))
  }

  /** The same of a scheduled or retryable job. Its page is a stand-in for the record in `scheduled`, which the caller removes. */
  stopScheduled(job: PlacedJob, stop: Stop, isKept: boolean): void {
    const { page, entry } = this.#stop(job, stop, isKept)
    const gauge = (entry.flags & ENTRY_RETRY) === 0 ? 'scheduled' : 'retryable'
    this.#options.store.stats.shift(page.queueId, entry.definitionId, gauge, -1)
  }

  #stop(job: PlacedJob, { state, reason }: Stop, isKept: boolean): OpenedJob {
    const opened = this.open(job)
    const ledger = readHistory(opened.page.data, opened.entry) ?? EMPTY_LEDGER
    const error = state === 'cancelled' ? cancelError(reason) : discardError(reason)
    this.moves.keep(state, opened, { ledger, startedAt: 0, runMs: 0, error, isDropped: !isKept })
    if (state === 'cancelled') this.#tellCancelled(opened, reason)
    else this.#tellDiscarded(opened, discardError(reason))
    return opened
  }

  /** No job of the page is left in it: who holds handles of it is told by other ways from now on. */
  pageOver(page: PageRef): void {
    this.tidings.add(() => this.#options.results.pageOver(page))
  }

  /** Somebody brings a job back, or says that its wait is over. */
  tellRetried(page: PageRef, index: number, definitionId: number): void {
    this.moved.add(page.seqOf(index))
    this.tidings.event('retried', page, index, definitionId, () => ({ runAt: this.#now, snoozed: false }))
  }

  /** Writes the marks of every page touched, and the blocks of finished jobs. */
  write(): void {
    const { retention, results, store } = this.#options
    const gone = this.moves.write()
    if (gone.length > 0) {
      this.tidings.add(() => {
        for (const page of gone) results.pageOver(page)
      })
    }
    if (this.#passedOver > 0) store.stats.left('completed', this.#passedOver)
    retention.write(this.#writes)
  }

  /** What the job's entry says. */
  open({ page, index, offset }: PlacedJob): OpenedJob {
    const entry = readEntry(page.data, offset)
    return { page, index, offset, entry, overrides: page.overrides(entry.overrides) }
  }

  /** Returns whether it is left to the caller to count the job: a first attempt, without anything apart. */
  #completed(
    page: PageRef,
    index: number,
    offset: number,
    startedAt: number,
    runMs: number,
    area: Buffer,
    bodyFrom: number,
    bodyTo: number,
  ): boolean {
    const { retention, results } = this.#options
    const bytes = page.data
    const isPassedOver = this.#passOver > 0
    if (isPassedOver) this.#passOver--
    const overrides = page.overrides(bytes[offset + 7] ?? 0)
    if (((bytes[offset + 6] ?? 0) & (ENTRY_HISTORY | ENTRY_EXTERNAL)) !== 0 || overrides?.unique !== undefined) {
      this.#completedSpecial({ page, index, offset }, startedAt, runMs, Buffer.from(area.subarray(bodyFrom, bodyTo)), false)
      return false
    }
    const seq = page.seqOf(index)
    const definitionId = bytes.readUInt16LE(offset + 4)
    if (overrides?.schedule !== undefined) this.#options.schedules.over(overrides.schedule.name, seq)
    if (isPassedOver) this.#passedOver++
    else {
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
    const handles = results.handlesOf(page)
    if (handles !== undefined || results.waitsByNumber) {
      const output = area.subarray(bodyFrom, bodyTo)
      const outcome: Outcome =
        output.length === 0 ? COMPLETED_WITHOUT_OUTPUT : { state: 'completed', output: Buffer.from(output) }
      const target = handles === undefined ? undefined : { handles, index }
      this.tidings.add(() => results.settle(seq, target, outcome))
    }
    this.tidings.event('completed', page, index, definitionId, () => ({ attempt: 1, runMs }))
    return true
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
    const opened = this.open(job)
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
    store.stats.ended(page.queueId, entry.definitionId, 'completed', false)
    store.stats.shift(page.queueId, entry.definitionId, 'waiting', -1)
    if (before?.suspect === true) removeSuspect(this.#writes, page.seqOf(index))
    this.tidings.outcome(page, index, output.length === 0 ? COMPLETED_WITHOUT_OUTPUT : { state: 'completed', output })
    const attempt = nextAttempt(before ?? EMPTY_LEDGER)
    this.tidings.event('completed', page, index, entry.definitionId, () => ({ attempt, runMs }))
  }

  #apply(opened: OpenedJob, before: JobLedger, end: AttemptEnd, decision: Decision): void {
    const { stats } = this.#options.store
    const { page, index, entry } = opened
    const { state, ledger } = decision
    const { definitionId } = entry
    if (end.kind === 'failed' || end.kind === 'timedOut' || end.kind === 'fatal' || end.kind === 'unfit') {
      const { error } = end
      const failed = { attempt: nextAttempt(before), error, timedOut: end.kind === 'timedOut' }
      this.tidings.event('failed', page, index, definitionId, () => failed)
    }
    if (state !== 'available') stats.shift(page.queueId, definitionId, 'waiting', -1)
    switch (state) {
      case 'cancelled':
      case 'discarded': {
        const { error } = decision
        this.moves.finish(state, opened, { ledger, startedAt: end.startedAt, runMs: end.endedAt - end.startedAt, error })
        if (state === 'cancelled') this.#tellCancelled(opened, error?.message)
        else this.#tellDiscarded(opened, error ?? { name: 'Error', message: 'The job was discarded.' })
        return
      }
      case 'retryable': {
        const runAt = decision.runAt ?? this.#now
        stats.shift(page.queueId, definitionId, 'retryable', 1)
        this.moves.retry(opened, ledger, runAt)
        this.dueAt = Math.min(this.dueAt, runAt)
        this.tidings.event('retried', page, index, definitionId, () => ({ runAt, snoozed: end.kind === 'snoozed' }))
        return
      }
      case 'available':
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
    const { entry, overrides } = this.open({ page, index, offset })
    const { timeoutMs } = registry.settings(entry.definitionId, overrides)
    // The thread's death costs its queue the start of the next one too: jobs that end threads at once would come first for ever.
    batch.addUsed(page, span.endedAt - startedAt + THREAD_START_MS)
    batch.collected++
    batch.advance()
    const ended = endOfDeath(end, at, span, batch.stops.get(at), timeoutMs)
    if (ended.kind === 'timedOut' || ended.kind === 'failed')
      this.#options.store.stats.of(page.queueId, entry.definitionId).measure(page.header, startedAt, this.#now - startedAt)
    this.end({ page, index, offset }, ended)
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
    const input = asks ? inputOf(opened, this.#options.store, this.#options.registry) : undefined
    const { delayMs, problem } = backoffDelayMs(backoff, { retry, error: end.error, input }, this.#options.random)
    if (problem !== undefined) this.#tellProblem('backoff', problem, page, index, entry.definitionId)
    return delayMs
  }

  /** A function of the definition did not do what it is for. */
  #tellProblem(what: 'backoff' | 'retryIf', problem: string, page: PageRef, index: number, definitionId: number): void {
    const name = this.#options.registry.name(definitionId)
    this.tidings.problem(new Error(`The ${what} of job "${name}": ${problem}`), page, index)
  }

  #tellCancelled({ page, index, entry }: OpenedJob, reason: string | undefined): void {
    this.stopped.set(page.seqOf(index), 'cancelled')
    this.tidings.outcome(page, index, { state: 'cancelled', reason })
    this.tidings.event('cancelled', page, index, entry.definitionId, () => ({ reason }))
  }

  #tellDiscarded({ page, index, entry }: OpenedJob, error: ErrorRecord): void {
    this.stopped.set(page.seqOf(index), 'discarded')
    this.tidings.outcome(page, index, { state: 'discarded', error })
    this.tidings.event('discarded', page, index, entry.definitionId, () => ({ error }))
  }
}
