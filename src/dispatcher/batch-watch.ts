/**
 * The clock over one thread's batches: keeps the running job to its limits and sees to it that what the thread has to tell is fetched.
 *
 * It looks at the running batch from time to time: at the job's soft timeout its signal is aborted, at its timeout the worker is
 * terminated; finished outcomes are told as news, and so is a job that takes much longer than was expected, so that what waits behind
 * it is taken back. The clock of a job is the one its thread writes when it starts it: time spent waiting behind others does not count.
 */
import type { Clock, Timer } from '../base/clock.js'
import { PHASE_LOADING, PHASE_SETUP } from '../codec/batch-control.js'
import type { Batch, BatchJob } from './batch.js'

export interface BatchWatchOptions {
  readonly clock: Clock
  /** The limits of a job, both in ms. */
  readonly limitsOf: (job: BatchJob) => { readonly timeoutMs: number; readonly softTimeoutMs: number }
  /** The shortest limit of any job in the batch, in ms. */
  readonly shortestLimitMs: (batch: Batch) => number
  /** How long finished outcomes may lie in a running batch before they are looked for, in ms. */
  readonly lookMs: (batch: Batch) => number
}

/** The thread that is watched. */
export interface Watched {
  /** The running one first. */
  readonly batches: () => readonly Batch[]
  /**
   * The job's time is up. True when its worker is being ended: no look follows until the next batch begins. False when the job has
   * ended after all, and the worker may be at the next one.
   */
  timedOut(batch: Batch, index: number): boolean
  /** The job's soft timeout has passed. */
  warn(batch: Batch, index: number): void
  /** Outcomes can be read, or jobs are to be taken back. */
  news(): void
}

/** A job that has begun at this very moment is looked at soon: its own limits are not known yet. */
const NEXT_JOB_MS = 1

export class BatchWatch {
  readonly #options: BatchWatchOptions
  readonly #watched: Watched
  #timer: Timer | undefined

  constructor(options: BatchWatchOptions, watched: Watched) {
    this.#options = options
    this.#watched = watched
  }

  /** The thread begins a batch. */
  begin(batch: Batch): void {
    const { lookMs, shortestLimitMs } = this.#options
    this.#lookIn(Math.min(lookMs(batch), batch.slowAfterMs, shortestLimitMs(batch)))
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Looks at the running batch and sets the next look. */
  look(): void {
    const batches = this.#watched.batches()
    const [batch] = batches
    if (batch === undefined) return
    const { running } = batch
    // Read after `running`: whoever sees a job taken does not see the start of the one before it.
    const elapsedMs = running < 0 ? 0 : this.#options.clock.monotonicMs() - batch.control.startedMs
    const limitMs = running < 0 ? Infinity : this.#checkLimits(batch, running, elapsedMs)
    if (limitMs === 0) return
    const slowInMs = batch.slowAfterMs - elapsedMs
    const isAlone = !batch.hasNews && !batches.some((held) => held.hasUntaken)
    if (batch.hasNews || (slowInMs <= 0 && !isAlone)) this.#watched.news()
    let nextMs = this.#options.lookMs(batch)
    if (slowInMs > 0) nextMs = Math.min(nextMs, slowInMs)
    else if (isAlone) nextMs = Infinity
    this.#lookIn(Math.max(1, Math.min(nextMs, limitMs)))
  }

  /** Keeps the running job to its limits. Returns when the next one is up, in ms; 0 when its time is up and its worker is ended. */
  #checkLimits(batch: Batch, running: number, elapsedMs: number): number {
    const { timeoutMs, softTimeoutMs } = this.#options.limitsOf(batch.job(running))
    if (elapsedMs >= timeoutMs) return this.#watched.timedOut(batch, running) ? 0 : NEXT_JOB_MS
    const leftMs = timeoutMs - elapsedMs
    // While the handler is being loaded there is no signal yet that could be aborted.
    if (batch.control.phase === PHASE_LOADING || batch.control.phase === PHASE_SETUP) return Math.min(leftMs, softTimeoutMs)
    if (batch.warned === running) return leftMs
    if (elapsedMs < softTimeoutMs) return Math.min(leftMs, softTimeoutMs - elapsedMs)
    batch.warned = running
    this.#watched.warn(batch, running)
    return leftMs
  }

  #lookIn(delayMs: number): void {
    this.#timer?.cancel()
    if (delayMs === Infinity) return
    // A timer counts in whole milliseconds and may fire a little early.
    this.#timer = this.#options.clock.after(Math.ceil(delayMs), () => this.look())
  }
}
