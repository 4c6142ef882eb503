/** A queue of the executor as the scheduler sees it: its lanes, who works for it, and what holds it up. */
import type { QueueState } from '../codec/queue-state.js'
import type { CompiledRate } from '../job/limit.js'
import type { KeyedLanes } from './keyed-lanes.js'
import type { Lane } from './lane.js'
import type { LimitKey } from './limit-key.js'
import { liveFront } from './live-front.js'
import type { RateLog } from './rate-log.js'
import type { Sharer } from './thread-shares.js'

export interface ReadyQueueOptions {
  /** How many threads may work for it at once; `Infinity` for no bound. */
  readonly concurrency: number
  readonly rate?: CompiledRate | undefined
  /** What a job waits for each step of priority it gains. `Infinity`, the default here: none. */
  readonly ageingMs?: number
}

export class ReadyQueue implements Sharer {
  readonly id: number
  readonly name: string
  /** How many threads may work for it at once, as the executor's options say. */
  readonly configured: number
  /** The same as it holds: an operator's word comes before the option's. */
  concurrency: number
  /** None of its jobs is claimed. */
  isPaused = false
  readonly rate: CompiledRate | undefined
  readonly ageingMs: number
  /** Of jobs without a limit key, by rank: the highest priority first. There is one for each priority that keys have jobs of, too. */
  readonly lanes: Lane[] = []
  /** Undefined as long as no job with a limit key was met. */
  keyed: KeyedLanes | undefined
  /** Batches that each holder has of this queue: a thread slot, or a thread that was left behind and replaced. */
  readonly held = new Map<number, number>()
  /** Threads that its heavy jobs count as beyond the ones they are in. */
  lent = 0
  /** Threads that must become free within its concurrency before the heavy job that is next may begin. 0: it is not that. */
  awaited = 0
  /** What was started of it; of a queue without a rate undefined. */
  log: RateLog | undefined
  /** Epoch ms at which one more job may start; 0 when it is not its rate that it waits for. */
  freeAt = 0
  virtualMs = 0
  isReady = false
  returnedMs = 0

  constructor(id: number, name: string, { concurrency, rate, ageingMs = Infinity }: ReadyQueueOptions) {
    this.id = id
    this.name = name
    this.configured = concurrency
    this.concurrency = concurrency
    this.rate = rate
    this.ageingMs = ageingMs
  }

  /** What an operator has set of it. */
  setState({ paused, concurrency }: QueueState): void {
    this.isPaused = paused
    this.concurrency = concurrency ?? this.configured
    this.awaited = 0
  }

  /** Whether a job may wait that can be claimed, now or when limits and rates let it. */
  get hasWork(): boolean {
    return !this.isPaused && (this.lanes.some((lane) => lane.hasWork) || this.keyed?.hasWork === true)
  }

  /** Whether a job may run somewhere now, as far as limits and rates are concerned. */
  get hasRunnable(): boolean {
    if (this.isPaused || this.freeAt > 0) return false
    return this.lanes.some((lane) => lane.hasWork) || this.keyed?.hasRunnable === true
  }

  /** Priorities, turned round, of which jobs may run as far as limits are concerned. */
  runnableRanks(): number[] {
    return this.lanes.filter(({ hasWork, rank }) => hasWork || this.keyed?.hasRunnableAt(rank) === true).map(({ rank }) => rank)
  }

  /** Whether threads hold work of it that they should not: it is paused, or more of them work for it than may. */
  get holdsTooMany(): boolean {
    return this.isPaused || this.held.size + this.lent > this.concurrency
  }

  /** From when the first of its jobs that no thread has been handed could run, in epoch ms; undefined when there is none. */
  get readyAt(): number | undefined {
    let earliest = this.keyed?.readyAt
    for (const { readyAt } of this.lanes) if (readyAt !== undefined && !(readyAt > (earliest ?? Infinity))) earliest = readyAt
    return earliest
  }

  /** How many of its jobs may start now, as far as its rate is concerned. At 0 it waits from here on. */
  startsFree(now: number): number {
    const { rate, log } = this
    if (rate === undefined || log === undefined) return Infinity
    const free = log.free(rate, now)
    if (free === 0) this.#waitUntil(log.freeAt(rate, now))
    return free
  }

  /** Its rate forbids everything until then. What is over is not waited for. */
  #waitUntil(freeAt: number): void {
    this.freeAt = freeAt
    for (const lane of this.lanes) {
      liveFront(lane)
      this.keyed?.next(lane.rank)
    }
  }

  /** What rates forbade until `now` may start. Returns whether something had waited for that. */
  wake(now: number): boolean {
    const keysWoke = this.keyed?.wake(now) === true
    if (this.freeAt > now) this.#waitUntil(this.freeAt)
    else if (this.freeAt > 0) {
      this.freeAt = 0
      return true
    }
    return keysWoke
  }

  /** When one may start, as far as its rate is concerned: epoch ms, 0 for at once. */
  mayStartAt(now: number): number {
    return this.rate === undefined ? 0 : (this.log?.mayStartAt(this.rate, now) ?? 0)
  }

  hold(slot: number): void {
    this.held.set(slot, (this.held.get(slot) ?? 0) + 1)
  }

  letGo(slot: number): void {
    const batches = (this.held.get(slot) ?? 1) - 1
    if (batches === 0) this.held.delete(slot)
    else this.held.set(slot, batches)
  }

  /** A thread goes on with a batch although another one has replaced it: what it has does not count as the slot's any more. */
  passOn(keys: Iterable<LimitKey>, slot: number, holder: number): void {
    this.hold(holder)
    this.letGo(slot)
    for (const key of keys) {
      if (key.queueId !== this.id) continue
      key.hold(holder)
      this.keyed?.release(key, slot, 0)
    }
  }

  /** Whether a slot may find a job there of such a priority or a higher one. */
  hasWorkFor(slot: number, lastRank: number): boolean {
    if (this.isPaused || this.freeAt > 0 || !this.admits(slot)) return false
    return this.lanes.some((lane) => lane.rank <= lastRank && lane.hasWork) || this.keyed?.hasWorkFor(slot, lastRank) === true
  }

  /**
   * Whether a slot may take a batch: it works for the queue already, or one more may. While more work for it than may, none does: the
   * bound was lowered.
   */
  admits(slot: number): boolean {
    const threads = this.held.size + this.lent
    if (this.awaited > 0) return threads + this.awaited <= this.concurrency
    return threads < this.concurrency || (threads === this.concurrency && this.held.has(slot))
  }
}
