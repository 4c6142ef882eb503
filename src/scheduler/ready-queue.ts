/** A queue of the executor as the scheduler sees it: its lanes, who works for it, and what holds it up. */
import type { CompiledRate } from '../job/limit.js'
import type { KeyedLanes } from './keyed-lanes.js'
import type { Lane } from './lane.js'
import type { RateLog } from './rate-log.js'

export interface ReadyQueueOptions {
  /** How many threads may work for it at once; `Infinity` for no bound. */
  readonly concurrency: number
  readonly rate?: CompiledRate | undefined
  /** What a job waits for each step of priority it gains. `Infinity`, the default here: none. */
  readonly ageingMs?: number
}

export class ReadyQueue {
  readonly id: number
  readonly name: string
  readonly concurrency: number
  readonly rate: CompiledRate | undefined
  readonly ageingMs: number
  /** Of jobs without a limit key, by rank: the highest priority first. There is one for each priority that keys have jobs of, too. */
  readonly lanes: Lane[] = []
  /** Undefined as long as no job with a limit key was met. */
  keyed: KeyedLanes | undefined
  /** Batches that each thread slot holds of this queue. */
  readonly held = new Map<number, number>()
  /** Threads that its heavy jobs count as beyond the ones they are in. */
  lent = 0
  /** Threads that must become free within its concurrency before the heavy job that is next may begin. 0: it is not that. */
  awaited = 0
  /** What was started of it; of a queue without a rate undefined. */
  log: RateLog | undefined
  /** Epoch ms at which one more job may start; 0 when it is not its rate that it waits for. */
  freeAt = 0
  /** Thread time it has had, in ms, on a scale that all queues share. */
  virtualMs = 0

  constructor(id: number, name: string, { concurrency, rate, ageingMs = Infinity }: ReadyQueueOptions) {
    this.id = id
    this.name = name
    this.concurrency = concurrency
    this.rate = rate
    this.ageingMs = ageingMs
  }

  /** Whether any job waits, free to run or not. */
  get hasWork(): boolean {
    return this.lanes.some((lane) => lane.hasWork) || this.keyed?.hasWork === true
  }

  /** Whether a job may run somewhere now, as far as limits and rates are concerned. */
  get hasRunnable(): boolean {
    if (this.freeAt > 0) return false
    return this.lanes.some((lane) => lane.hasWork) || this.keyed?.hasRunnable === true
  }

  /** Whether a slot may find a job there of such a priority or a higher one. */
  hasWorkFor(slot: number, lastRank: number): boolean {
    if (this.freeAt > 0 || !this.admits(slot)) return false
    return this.lanes.some((lane) => lane.rank <= lastRank && lane.hasWork) || this.keyed?.hasWorkFor(slot, lastRank) === true
  }

  /** Whether a slot may take a batch: it works for the queue already, or one more may. */
  admits(slot: number): boolean {
    if (this.awaited > 0) return this.held.size + this.lent + this.awaited <= this.concurrency
    return this.held.has(slot) || this.held.size + this.lent < this.concurrency
  }
}
