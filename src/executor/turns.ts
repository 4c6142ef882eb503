/**
 * The heart: one turn after another, each of which ends in one commit.
 *
 * A turn begins when the commit before it is durable, and gathers everything that has come up since: requests (cancel, look up),
 * outcomes, enqueues, jobs that became due, and the next claims. It is the only place where the state of jobs is read and changed,
 * so memory and store never disagree, and there are no locks. What the turn makes true is told after its commit: promises settle,
 * events fire, claimed batches are sent to their threads.
 *
 * After the first commit that fails nothing is acknowledged any more: every promise rejects, threads are ended, and the store is to
 * be opened again.
 */
import type { Clock, Timer } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { PROMOTE_JOBS } from '../base/limits.js'
import { INDEX_GROUP, PAYLOAD_INPUT } from '../codec/keys.js'
import { PAGE_HEADER_BYTES } from '../codec/page.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import { DueTimer } from '../scheduler/due-timer.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import { WriteBatch } from '../store/engine.js'
import type { Counters, JobStore } from '../store/job-store.js'
import type { Slice } from '../store/page-ref.js'
import { PageRef } from '../store/page-ref.js'
import type { Claims } from './claims.js'
import type { EventHub } from './events.js'
import type { Gathered, GatheredPage, Intake } from './intake.js'
import { scheduledPageRef } from './locate.js'
import { promotePage } from './promotion.js'
import type { Recurring } from './recurring.js'
import type { ResultRegistry } from './results.js'
import type { SettlementOptions } from './settlement.js'
import { Settlement } from './settlement.js'
import type { PendingEnd, TurnRead, TurnRequest } from './turn-calls.js'
import { admit, holdKey } from './uniqueness.js'

export interface TurnsOptions extends SettlementOptions {
  readonly clock: Clock
  readonly store: JobStore
  readonly intake: Intake
  readonly ready: ReadyQueues
  readonly dispatcher: Dispatcher
  readonly claims: Claims
  readonly due: DueTimer
  readonly recurring: Recurring
  readonly results: ResultRegistry
  readonly events: EventHub
  /** The store has failed. */
  readonly onFailure: (error: Error) => void
  /** Nothing is left to do for now. `isNews`: there was something to do since the last time. */
  readonly onQuiet: (isNews: boolean) => void
}

export class Turns {
  /** As of the last durable commit. */
  durable: Counters
  /** No new claims, and nothing becomes due or expires: the executor is closing, or the store is only looked at. */
  draining = false
  readonly #options: TurnsOptions
  #reads: TurnRead[] = []
  #requests: TurnRequest[] = []
  /** Those whose answers depend on the commit under way. */
  #rejects: ((error: Error) => void)[] = []
  #scheduled = false
  #committing: Promise<void> | undefined
  #failure: Error | undefined
  #dueAt: number
  #dueIsStale = false
  #stopped: Error | undefined
  #wasQuiet = false
  /** When the latest turn began, and the timer of the next one if nothing calls for it sooner. */
  #lastTurnMs = 0
  #pace: Timer | undefined
  /** When the next job may start that waits for a rate. */
  readonly #rates: DueTimer
  readonly #ends = new Set<PendingEnd>()
  readonly #turnListeners = new Set<() => void>()

  constructor(options: TurnsOptions) {
    this.#options = options
    this.durable = { ...options.store.counters }
    this.#dueAt = options.store.scheduled.nextDueAt()
    options.due.arm(Math.min(this.#nextDueAt, options.store.uniques.nextExpiryAt))
    const poke = (): void => this.poke()
    // Woken early, it may be that the clock was set back.
    this.#rates = new DueTimer(options.clock, poke, poke)
    this.#rates.keepAlive(true)
  }

  get failure(): Error | undefined {
    return this.#failure
  }

  /** Nothing is available, running, due, or on its way into the store. */
  get isQuiet(): boolean {
    const { intake, dispatcher, claims, due } = this.#options
    return (
      this.#committing === undefined &&
      !this.#isAsked &&
      !intake.hasPending &&
      dispatcher.inFlight === 0 &&
      !claims.hasWork &&
      !due.isDue(this.#nextDueAt)
    )
  }

  /** No batch is in flight and nothing is on its way into the store; jobs may wait. */
  get isSettled(): boolean {
    const { intake, dispatcher } = this.#options
    return this.#committing === undefined && !this.#isAsked && !intake.hasPending && dispatcher.inFlight === 0
  }

  /** When a job or a schedule is due. */
  get #nextDueAt(): number {
    return Math.min(this.#dueAt, this.#options.recurring.nextAt)
  }

  get #isAsked(): boolean {
    return this.#reads.length > 0 || this.#requests.length > 0
  }

  /** Calls `listener` when a turn is over, or the store has failed. Returns what takes it off again. */
  onTurn(listener: () => void): () => void {
    this.#turnListeners.add(listener)
    return () => this.#turnListeners.delete(listener)
  }

  /** No turn follows any more. Resolves when the commit under way has settled. */
  async stop(): Promise<void> {
    await this.#committing
    this.#stopped = new MillraceError('MILLRACE_CLOSED', 'The executor closed before it could answer.')
    this.#pace?.cancel()
    this.#options.due.stop()
    this.#rates.stop()
    for (const pending of this.#ends) pending.resolve(undefined)
    this.#ends.clear()
    this.#refuse(this.#stopped)
  }

  /** Runs `request` in the next turn. */
  request(request: TurnRequest): void {
    if (!this.#refuses(request)) this.#requests.push(request)
    this.poke()
  }

  /** Runs `read` at the beginning of the next turn, before anything changes. */
  read(read: TurnRead): void {
    if (!this.#refuses(read)) this.#reads.push(read)
    this.poke()
  }

  /** Tells how a run ended, once what became of the job is durable. */
  awaitEnd(pending: PendingEnd): void {
    this.#ends.add(pending)
  }

  /** Something has come up. The turn follows when the event loop turns, so that it takes in everything of this one. */
  poke(): void {
    if (this.#stopped !== undefined || this.#scheduled || this.#committing !== undefined || this.#failure !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#committing === undefined && this.#failure === undefined && this.#stopped === undefined) this.#turn()
    })
  }

  /** Something has happened in a thread. While all of them are busy it may wait for more of its kind: see `dispatcher/pace`. */
  news(): void {
    if (this.#stopped !== undefined || this.#scheduled || this.#committing !== undefined || this.#failure !== undefined) return
    const slackMs = this.draining || this.#ends.size > 0 ? 0 : this.#options.claims.slackMs(this.#lastTurnMs)
    if (slackMs < 1 || slackMs === Infinity) this.poke()
    else this.#pokeIn(slackMs)
  }

  /** Resolves when the commit under way, if any, has settled. */
  async settled(): Promise<void> {
    await this.#committing
  }

  #pokeIn(delayMs: number): void {
    this.#pace?.cancel()
    this.#pace = this.#options.clock.after(delayMs, () => this.poke())
    this.#pace.setRef(true)
  }

  #turn(): void {
    const { clock, store, intake, ready, recurring, dispatcher } = this.#options
    const now = clock.now()
    this.#lastTurnMs = clock.monotonicMs()
    this.#pace?.cancel()
    store.stats.begin(now)
    const writes = new WriteBatch()
    let gathered: Gathered | undefined
    try {
      for (const read of this.#reads.splice(0)) read.run()
      const runs = this.draining ? [] : recurring.due(now)
      const news = dispatcher.collect()
      const settlement = new Settlement(this.#options, writes, now, this.#countCompleted(news))
      const requests = this.#requests
      this.#requests = []
      this.#rejects = requests.map((request) => (error) => request.reject(error))
      for (const request of requests) request.run(settlement, writes, now)
      this.#settle(news, settlement, writes)
      gathered = intake.take()
      const bytes = this.#store(admit(gathered, settlement, writes, now, this.#options), settlement, writes, now)
      if (runs.length > 0) this.#store(runs, settlement, writes, now)
      recurring.stored(runs, writes)
      this.#promote(settlement, writes, now)
      if (!this.draining) store.uniques.expire(writes, now)
      const batches = this.draining ? [] : this.#options.claims.make(writes, now)
      for (const job of ready.takeExpired()) settlement.expire(job)
      ready.writeRates(writes, now)
      settlement.write()
      this.#dueAt = Math.min(this.#dueAt, settlement.dueAt)
      if (writes.length === 0) {
        gathered.resolve()
        settlement.tidings.tell()
        this.#goOn()
        return
      }
      store.writeMeta(writes)
      const counters = { ...store.counters }
      this.#committing = store.engine
        .commit(writes)
        .then(
          () => this.#durable(gathered, settlement, counters, batches, bytes),
          (error: unknown) => this.#fail(error as Error, gathered),
        )
        .catch((error: unknown) => {
          // It is on disk, whatever has failed since.
          gathered?.resolve()
          this.#fail(error as Error, undefined)
        })
    } catch (error) {
      this.#fail(error as Error, gathered)
    }
  }

  /** Outcomes that will be settled as completed; at least so many. Counted one by one only when it matters for what is kept. */
  #countCompleted(news: ReturnType<Dispatcher['collect']>): number {
    let outcomes = 0
    for (const { batch } of news) outcomes += Math.max(0, Math.min(batch.control.finished, batch.limit) - batch.collected)
    if (this.#options.retention.passOver('completed', outcomes) === 0) return 0
    return news.reduce((sum, { batch }) => sum + batch.countCompleted(), 0)
  }

  /** Outcomes, ended batches, and jobs that come back. */
  #settle(news: ReturnType<Dispatcher['collect']>, settlement: Settlement, writes: WriteBatch): void {
    const { ready, claims } = this.#options
    const returned: Slice[] = []
    for (const { batch, returned: slices } of news) {
      settlement.collect(batch)
      returned.push(...slices)
    }
    returned.sort((left, right) => left.page.ord - right.page.ord || left.page.sub - right.page.sub || left.from - right.from)
    // First of all: once it is let go of, a key starts level with the others, unless it is known what has come back of it.
    ready.putBack(returned)
    for (const { batch } of news) {
      claims.reconsider(batch, writes)
      for (const pending of this.#ends) {
        if (pending.batch !== batch || (batch.collected <= pending.index && batch.end === undefined)) continue
        this.#ends.delete(pending)
        const state = settlement.stopped.get(pending.seq)
        this.#rejects.push(pending.reject)
        settlement.tidings.add(() => pending.resolve(state))
      }
    }
    const back = settlement.moves.back.map((page) => ({ page, from: 0, to: 1, offset: PAGE_HEADER_BYTES }))
    ready.putBackBegun(back.sort((left, right) => left.page.ord - right.page.ord || left.page.sub - right.page.sub))
  }

  /** Gives the gathered jobs their numbers and stores their pages. Returns the bytes that are pending no more afterwards. */
  #store(pages: readonly GatheredPage[], settlement: Settlement, writes: WriteBatch, now: number): number {
    const { store, ready, results } = this.#options
    const { counters } = store
    let total = 0
    for (const { queueId, rank, lane, runAt, builder, handles, externals, ticket } of pages) {
      const { count, uniformDefinition } = builder
      const firstSeq = counters.nextSeq
      counters.nextSeq += count
      const header = { solo: false, count, firstSeq, enqueuedAt: now, runAt, epoch: counters.epoch }
      const bytes = builder.seal(header)
      total += bytes.length
      results.register(firstSeq, count, handles)
      for (const { index, bytes: payload } of externals) {
        store.putPayload(writes, firstSeq + index, PAYLOAD_INPUT, payload)
        total += payload.length
      }
      const page = new PageRef(queueId, rank, firstSeq, 0, header, bytes, uniformDefinition, lane)
      if (ticket !== undefined) holdKey(ticket, page, store, writes)
      if (runAt > now) {
        store.scheduled.put(writes, runAt, queueId, rank, bytes, firstSeq, false)
        store.stats.stored(page, 'scheduled')
        this.#dueAt = Math.min(this.#dueAt, runAt)
      } else {
        store.putPage(writes, page)
        if (lane !== 0) store.putLocation(writes, INDEX_GROUP, firstSeq, page.key)
        store.stats.stored(page, 'waiting')
        ready.append(page)
      }
      settlement.tidings.enqueued(page)
    }
    return total
  }

  /** Moves jobs that have become due to their queues. */
  #promote(settlement: Settlement, writes: WriteBatch, now: number): void {
    const { store, ready, due } = this.#options
    if (!due.isDue(this.#dueAt) || this.draining) return
    let jobs = 0
    for (const scheduled of store.scheduled.readDue(now, PROMOTE_JOBS)) {
      if (jobs >= PROMOTE_JOBS) break
      const waiting = scheduledPageRef(store, scheduled)
      // Cancelled in this very turn: the record is on its way out.
      if (settlement.unscheduled.has(scheduled.key.toString('latin1'))) continue
      jobs += promotePage(scheduled, waiting, writes, { store, ready }).header.count - waiting.doneCount
    }
    this.#dueIsStale = true
  }

  #durable(
    gathered: Gathered | undefined,
    settlement: Settlement,
    counters: Counters,
    batches: readonly (() => void)[],
    bytes: number,
  ): void {
    const { clock, store, intake, ready, dispatcher } = this.#options
    this.#committing = undefined
    this.durable = counters
    store.committed()
    for (const send of batches) send()
    const tookMs = clock.monotonicMs() - this.#lastTurnMs
    store.stats.turns.add(tookMs)
    if (batches.length > 0) dispatcher.pace.turnTook(tookMs)
    gathered?.resolve()
    intake.release(bytes)
    settlement.tidings.tell()
    ready.committed()
    if (this.#dueIsStale || settlement.unscheduled.size > 0) {
      this.#dueIsStale = false
      this.#dueAt = store.scheduled.nextDueAt()
    }
    this.#goOn()
  }

  /** Arms the timer and sees whether there is more to do at once. */
  #goOn(): void {
    const { due, claims, ready, intake, retention, dispatcher, store, onQuiet } = this.#options
    const nextAt = Math.min(this.#nextDueAt, store.uniques.nextExpiryAt)
    if (!this.draining) due.arm(nextAt)
    this.#rates.arm(this.draining ? Infinity : ready.freeAt)
    const more =
      this.#isAsked || intake.hasPending || retention.hasExpired || (!this.draining && (due.isDue(nextAt) || claims.canMake))
    if (dispatcher.inFlight > 0 || claims.hasWork) this.#wasQuiet = false
    dispatcher.setBusy(claims.isBusy)
    dispatcher.setAwaited(claims.hasWork)
    if (more) this.poke()
    else if (dispatcher.hasNews) this.news()
    else if (claims.hasWork && !this.draining) {
      const slackMs = claims.slackMs(this.#lastTurnMs)
      if (slackMs >= 1 && slackMs < Infinity) this.#pokeIn(slackMs)
    } else if (this.isQuiet) {
      const isNews = !this.#wasQuiet
      this.#wasQuiet = true
      onQuiet(isNews)
    }
    for (const listener of this.#turnListeners) listener()
    // Become due since `more` was told: a drain waits for it, and would wait for ever in a process that a timer does not keep alive.
    if (!more && !this.draining && due.isDue(nextAt)) this.poke()
  }

  #fail(error: Error, gathered: Gathered | undefined): void {
    this.#committing = undefined
    this.#failure = error
    this.#pace?.cancel()
    gathered?.reject(error)
    this.#options.intake.fail(error)
    for (const pending of this.#ends) pending.reject(error)
    this.#ends.clear()
    this.#refuse(error)
    for (const timer of [this.#options.due, this.#rates]) timer.stop()
    this.#options.onFailure(error)
    for (const listener of this.#turnListeners) listener()
  }

  /** No turn follows any more. Whoever asks in several steps may have begun when one did. */
  #refuses(asked: TurnRead | TurnRequest): boolean {
    const error = this.#failure ?? this.#stopped
    if (error !== undefined) asked.reject(error)
    return error !== undefined
  }

  /** Rejects everything that waits for an answer. */
  #refuse(error: Error): void {
    for (const reject of this.#rejects.splice(0)) reject(error)
    for (const asked of [...this.#reads.splice(0), ...this.#requests.splice(0)]) asked.reject(error)
  }
}
