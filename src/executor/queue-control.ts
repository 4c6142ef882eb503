/**
 * What an operator says of queues: paused, how many threads at most. Owns those settings in memory and their records in the store, and
 * sees to it that they hold from the turn on in which they are made: what no thread has begun is taken back in that turn.
 *
 * An operator's word comes before the options of `openExecutor`: it answers what is going on now, and must not be undone by the restart
 * that comes with it.
 */
import { BULK_RECORDS } from '../base/limits.js'
import { PLAIN_QUEUE, type QueueState } from '../codec/queue-state.js'
import type { WriteBatch } from '../store/engine.js'
import { putQueueState } from '../store/queue-states.js'
import type { Claims } from './claims.js'
import type { Intake } from './intake.js'
import { scheduledPageRef, type LocateOptions } from './locate.js'
import { isRetry } from './promotion.js'
import type { Recurring } from './recurring.js'
import { runningJobs } from './running-jobs.js'
import type { Settlement } from './settlement.js'
import { stopRun, type StopRunOptions } from './stop-run.js'

export interface QueueControlOptions extends LocateOptions, StopRunOptions {
  readonly claims: Claims
  readonly intake: Intake
  readonly recurring: Recurring
  /** As stored, by queue. */
  readonly states: ReadonlyMap<number, QueueState>
}

/** What waits and runs of a queue. `running` are, as everywhere, also those that were handed to a thread and wait there. */
export interface QueueCounts {
  readonly scheduled: number
  readonly available: number
  readonly running: number
  readonly retryable: number
}

interface Drain {
  readonly queueId: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class QueueControl {
  readonly #options: QueueControlOptions
  readonly #states: Map<number, QueueState>
  #drains: Drain[] = []

  constructor(options: QueueControlOptions) {
    this.#options = options
    this.#states = new Map(options.states)
    options.turns.onTurn(() => this.#checkDrains())
  }

  state(queueId: number): QueueState {
    return this.#states.get(queueId) ?? PLAIN_QUEUE
  }

  /** Resolves when it is durable and nothing that was not begun is with a thread; with `interrupt`: when nothing runs any more. */
  async pause(queueId: number, interrupt: boolean): Promise<void> {
    let ended: Promise<unknown> = Promise.resolve()
    await this.#change(queueId, { paused: true }, () => {
      if (!interrupt) return
      ended = Promise.all(this.#interrupt(queueId))
      // Should the commit fail, that is what the caller hears.
      ended.catch(() => undefined)
    })
    await ended
  }

  async resume(queueId: number): Promise<void> {
    await this.#change(queueId, { paused: false })
  }

  /** `undefined`: the option of `openExecutor` holds again. */
  async setConcurrency(queueId: number, concurrency: number | undefined): Promise<void> {
    await this.#change(queueId, { concurrency })
  }

  /** Resolves when nothing of the queue runs, is due, or could run. */
  async drain(queueId: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#drains.push({ queueId, resolve, reject })
      this.#options.turns.read({ run: () => undefined, reject })
    })
  }

  /** There will be no answer any more. */
  rejectDrains(error: Error): void {
    for (const { reject } of this.#drains.splice(0)) reject(error)
  }

  /** Counts in steps of bounded size, and takes as many as the queue is long. */
  async count(queueId: number): Promise<QueueCounts> {
    const [scheduled, retryable] = await this.#countScheduled(queueId)
    const inLanes = await this.#countPages(queueId)
    const running = Math.min(inLanes, await this.#inTurn(() => this.#countRunning(queueId)))
    return { scheduled, available: inLanes - running, running, retryable }
  }

  #change(queueId: number, change: Partial<QueueState>, also: () => void = () => undefined): Promise<void> {
    const { turns, claims, ready } = this.#options
    return new Promise((resolve, reject) => {
      const run = ({ tidings }: Settlement, writes: WriteBatch): void => {
        const before = this.state(queueId)
        const state = { ...before, ...change }
        if (state.paused !== before.paused || state.concurrency !== before.concurrency) {
          this.#states.set(queueId, state)
          putQueueState(writes, queueId, state)
          ready.setState(queueId, state)
        }
        if (ready.holdsTooMany(queueId)) claims.takeBackQueue(queueId, writes)
        also()
        tidings.add(resolve)
      }
      turns.request({ run, reject })
    })
  }

  /** Asks each running job of the queue to stop. */
  #interrupt(queueId: number): Promise<unknown>[] {
    const { dispatcher } = this.#options
    const ended: Promise<unknown>[] = []
    for (const { batch, slot, index } of runningJobs(dispatcher)) {
      const { page, index: at } = batch.job(index)
      if (page.queueId !== queueId) continue
      batch.interrupted.add(index)
      const stopped = new Promise((resolve, reject) => {
        stopRun({ batch, slot, index, seq: page.seqOf(at) }, 'pause', 'The queue is paused.', { resolve, reject }, this.#options)
      })
      stopped.catch(() => undefined)
      ended.push(stopped)
    }
    return ended
  }

  #checkDrains(): void {
    if (this.#drains.length === 0) return
    const { failure } = this.#options.turns
    if (failure !== undefined) return
    const drained = this.#drains.filter(({ queueId }) => this.#isDrained(queueId))
    this.#drains = this.#drains.filter((drain) => !drained.includes(drain))
    for (const { resolve } of drained) resolve()
  }

  #isDrained(queueId: number): boolean {
    const { ready, intake, store, clock, dispatcher, recurring } = this.#options
    if (ready.queue(queueId)?.hasWork === true || ready.suspects.hasOf(queueId) || intake.hasPendingOf(queueId)) return false
    if (Math.min(store.scheduled.nextDueAt(), recurring.nextAt) <= clock.now()) return false
    for (const { batch } of dispatcher.batches) if (batch.queuesLeft().has(queueId)) return false
    return true
  }

  async #countScheduled(queueId: number): Promise<[scheduled: number, retryable: number]> {
    const { store } = this.#options
    let scheduled = 0
    let retryable = 0
    await this.#inSteps((after) => {
      const records = store.scheduled.read(after, BULK_RECORDS)
      for (const record of records) {
        if (record.queueId !== queueId) continue
        const { header, doneCount } = scheduledPageRef(store, record)
        if (isRetry(record.bytes)) retryable += header.count - doneCount
        else scheduled += header.count - doneCount
      }
      return records
    })
    return [scheduled, retryable]
  }

  async #countPages(queueId: number): Promise<number> {
    const { store, dispatcher, ready } = this.#options
    let jobs = 0
    await this.#inSteps((after) => {
      const records = store.readPages(after, BULK_RECORDS, queueId)
      for (const read of records) {
        const { header, doneCount } = dispatcher.findPage(read.ord, read.sub) ?? ready.findPage(read) ?? read
        jobs += header.count - doneCount
      }
      return records
    })
    return jobs
  }

  #countRunning(queueId: number): number {
    let jobs = 0
    for (const { batch } of this.#options.dispatcher.batches)
      for (const { page, from, to } of batch.range(batch.collected, batch.limit)) if (page.queueId === queueId) jobs += to - from
    return jobs
  }

  async #inSteps(step: (after: Buffer | undefined) => readonly { readonly key: Buffer }[]): Promise<void> {
    let after: Buffer | undefined
    for (;;) {
      const records = await this.#inTurn(() => step(after))
      after = records.at(-1)?.key
      if (after === undefined || records.length < BULK_RECORDS) return
    }
  }

  #inTurn<T>(read: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(read())
        } catch (error) {
          reject(error)
        }
      }
      this.#options.turns.read({ run, reject })
    })
  }
}
