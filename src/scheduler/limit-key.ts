/** One limit key of a queue: who runs for it, how much thread time it has had, and its lanes, one for each priority it has jobs of. */
import type { PageHeader } from '../codec/page.js'
import type { CompiledRate } from '../job/limit.js'
import { limitName, type PageRef } from '../store/page-ref.js'
import type { HeapItem } from './heap.js'
import type { Lane } from './lane.js'
import type { RateLog } from './rate-log.js'
import type { Sharer } from './thread-shares.js'

export class LimitKey implements HeapItem, Sharer {
  /** The hash by which the store knows it; 0 stands for the jobs without a key, which share like one. */
  readonly number: number
  readonly queueId: number
  readonly lanes: KeyedLane[] = []
  virtualMs = 0
  isReady = false
  returnedMs = 0
  /** What was started of it; undefined until one of its jobs brings a rate. */
  log: RateLog | undefined
  /** Epoch ms at which one more may start; 0 when it is not its rate that it waits for. */
  freeAt = 0
  heapAt = -1
  /** Batches that each thread slot holds of it. Undefined: none, as for nearly all keys. */
  #held: Map<number, number> | undefined

  constructor(queueId: number, number: number) {
    this.queueId = queueId
    this.number = number
  }

  /** As pages tell it. */
  get name(): string {
    return limitName(this.queueId, this.number)
  }

  get hasWork(): boolean {
    return this.lanes.some(({ lane }) => lane.hasWork)
  }

  /** Threads that hold jobs of it. */
  get threads(): number {
    return this.#held?.size ?? 0
  }

  get slots(): Iterable<number> {
    return this.#held?.keys() ?? []
  }

  isHeldBy(slot: number): boolean {
    return this.#held?.has(slot) === true
  }

  hold(slot: number): void {
    this.#held ??= new Map()
    this.#held.set(slot, (this.#held.get(slot) ?? 0) + 1)
  }

  letGo(slot: number): void {
    const batches = (this.#held?.get(slot) ?? 1) - 1
    if (batches > 0) this.#held?.set(slot, batches)
    else this.#held?.delete(slot)
    if (this.#held?.size === 0) this.#held = undefined
  }
}

/** The waiting jobs of a key that have one priority. */
export class KeyedLane implements HeapItem {
  readonly key: LimitKey
  readonly lane: Lane
  /** What the job at the front allows; as far as is known, before it was read. */
  max = Infinity
  rate: CompiledRate | undefined
  /** From when the job at the front could have run, in epoch ms; as far as is known, never too late. */
  since = Infinity
  heapAt = -1

  constructor(key: LimitKey, lane: Lane) {
    this.key = key
    this.lane = lane
  }

  /** A page has come to the front: takes over the numbers that its jobs bring. They all bring the same. */
  heed(page: PageRef): void {
    this.since = readyAtOf(page.header)
    const limit = page.overrides(1)
    this.max = limit?.limitMax ?? Infinity
    this.rate = limit?.limitRate
  }
}

/** From when the jobs of a page could have run, in epoch ms. */
export function readyAtOf({ enqueuedAt, runAt }: PageHeader): number {
  return Math.max(enqueuedAt, runAt)
}
