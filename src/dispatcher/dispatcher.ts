/**
 * Hands batches to threads and brings back what became of them. Decides about threads, never about jobs: it tells which outcomes
 * can be read, which jobs came back unstarted and which batches ended, and the executor makes of it what the rules say.
 *
 * Called while a commit is put together (`capacity`, `collect`), and after it is durable (`send`): no job starts before its claim
 * is on disk.
 */
import type { Clock } from '../base/clock.js'
import { BATCHES_PER_THREAD, BATCH_YIELD_MS, OUTCOME_AREA_BYTES } from '../base/limits.js'
import { BatchControl } from '../codec/batch-control.js'
import type { BatchTask, DefinitionRef, ThreadToMain } from '../protocol/messages.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { BatchJob } from './batch.js'
import { Batch } from './batch.js'
import type { PoolThreadOptions } from './pool-thread.js'
import { ThreadSlot } from './thread-slot.js'

export interface DispatcherOptions {
  readonly clock: Clock
  readonly threads: number
  readonly maxStuckThreads: number
  readonly pool: PoolThreadOptions
  readonly recycle: { readonly afterJobs: number; readonly heapBytes: number }
  readonly storeMark: number
  readonly payloadBytes: number
  readonly limitsOf: (job: BatchJob) => { readonly timeoutMs: number; readonly softTimeoutMs: number }
  readonly shortestLimitMs: (batch: Batch) => number
}

export interface DispatcherEvents {
  /** `collect` has something to give, or capacity has come back. */
  news(): void
  message(slot: ThreadSlot, message: ThreadToMain): void
  stuck(slot: ThreadSlot, batch: Batch | undefined): void
  startFailed(exitCode: number, error: Error | undefined, pauseMs: number): void
}

/** What a batch needs to travel. */
export interface Parcel {
  readonly entries: ArrayBuffer
  readonly externals: BatchTask['externals']
  readonly definitions: readonly DefinitionRef[]
  readonly queue: { readonly id: number; readonly name: string }
  readonly announceStarts: boolean
}

export class Dispatcher {
  readonly slots: ThreadSlot[] = []
  /** The executor is closing: what was claimed and not sent yet is not sent any more. */
  isClosing = false
  readonly #options: DispatcherOptions
  readonly #events: DispatcherEvents
  readonly #spareControls: BatchControl[] = []
  /** Batches with outcomes to read or an end to handle. */
  readonly #news = new Set<Batch>()
  readonly #inFlight = new Map<number, { batch: Batch; slot: ThreadSlot }>()
  #stuckThreads = 0
  /** Those of them in whose place another one works. */
  #replacedThreads = 0

  constructor(options: DispatcherOptions, events: DispatcherEvents) {
    this.#options = options
    this.#events = events
    for (let index = 0; index < options.threads; index++) {
      this.slots.push(
        new ThreadSlot(
          index,
          {
            clock: options.clock,
            pool: options.pool,
            recycle: options.recycle,
            limitsOf: options.limitsOf,
            shortestLimitMs: options.shortestLimitMs,
          },
          {
            news: (slot) => this.#onNews(slot),
            message: (slot, message) => events.message(slot, message),
            stuck: (slot, batch) => this.#onStuck(slot, batch),
            unstuck: (wasReplaced, batches) => {
              this.#stuckThreads--
              if (wasReplaced) this.#replacedThreads--
              for (const batch of batches) this.#news.add(batch)
              events.news()
            },
            startFailed: (exitCode, error, pauseMs) => events.startFailed(exitCode, error, pauseMs),
          },
        ),
      )
    }
  }

  /** Threads held by native code after they were told to end. */
  get stuckThreads(): number {
    return this.#stuckThreads
  }

  /** Batches claimed and not settled, those of stuck threads included. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /** No thread holds a batch, but those that native code keeps beyond their end. */
  get isIdle(): boolean {
    return this.slots.every((slot) => slot.batches.length === 0)
  }

  get hasNews(): boolean {
    return this.#news.size > 0
  }

  /** Slots that take another batch, idle ones first. */
  capacity(): ThreadSlot[] {
    const open = this.slots.filter((slot) => slot.mode === 'open' && slot.batches.length < BATCHES_PER_THREAD)
    return open.sort((left, right) => left.batches.length - right.batches.length)
  }

  /** Makes a batch, to be sent to `slot` when its claim is durable. */
  prepare(id: number, slices: readonly Slice[], slot: ThreadSlot): Batch {
    const control = this.#spareControls.pop() ?? BatchControl.allocate(OUTCOME_AREA_BYTES)
    const batch = new Batch(id, slices, control)
    batch.yieldsSeen = slot.yieldsSeen
    this.#inFlight.set(id, { batch, slot })
    return batch
  }

  /** Sends a batch. False if the slot does not take it any more; the batch then ends at once with nothing done. */
  send(batch: Batch, parcel: Parcel): boolean {
    const held = this.#inFlight.get(batch.id)
    if (held === undefined) return false
    const { slot } = held
    if (this.isClosing || slot.mode !== 'open') {
      batch.control.reset(0, 0)
      batch.end = { kind: 'returned', apart: undefined }
      this.#news.add(batch)
      this.#events.news()
      return false
    }
    const { thread } = slot
    batch.control.reset(batch.jobs, this.#options.clock.monotonicMs())
    batch.sentAt = this.#options.clock.now()
    const settings = thread.isIntroduced
      ? undefined
      : {
          port: thread.openPort(),
          storeMark: this.#options.storeMark,
          payloadBytes: this.#options.payloadBytes,
          measureHeap: this.#options.recycle.heapBytes !== Infinity,
        }
    const task: BatchTask = {
      batchId: batch.id,
      entries: parcel.entries,
      control: batch.control.shared,
      externals: parcel.externals,
      definitions: orUndefined(parcel.definitions.filter(({ id }) => !thread.introduceDefinition(id))),
      queues: thread.introduceQueue(parcel.queue.id) ? undefined : [parcel.queue],
      settings,
      announceStarts: parcel.announceStarts,
      yieldsSeen: batch.yieldsSeen,
    }
    slot.send(batch, task, [parcel.entries, ...(parcel.externals ?? []).map(({ bytes }) => bytes)])
    return true
  }

  /** Batches with outcomes to read or an end, and jobs that came back unstarted. Each is told once. */
  collect(): { batch: Batch; slot: ThreadSlot; returned: readonly Slice[] }[] {
    const collected: { batch: Batch; slot: ThreadSlot; returned: readonly Slice[] }[] = []
    const slots = new Set<ThreadSlot>()
    for (const batch of this.#news) {
      const held = this.#inFlight.get(batch.id)
      if (held === undefined) continue
      slots.add(held.slot)
      if (batch.end === undefined) continue
      const returned = batch.range(batch.control.taken, batch.limit)
      batch.limit = Math.min(batch.limit, batch.control.taken)
      collected.push({ batch, slot: held.slot, returned })
    }
    for (const slot of slots) {
      // Jobs that the thread gave back come before those that it has in reserve, and are put back together with them.
      const back = slot.yields > slot.yieldsSeen || this.#isSlow(slot) ? slot.takeBack() : undefined
      slot.yieldsSeen = slot.yields
      for (const batch of slot.batches)
        if (batch.end === undefined) collected.push({ batch, slot, returned: back?.get(batch) ?? [] })
    }
    this.#news.clear()
    return collected
  }

  /** Takes back reserves so that idle threads can have them, when nothing else waits. True if any came back. */
  share(idle: number): { batch: Batch; slot: ThreadSlot; returned: readonly Slice[] }[] {
    const found: { batch: Batch; slot: ThreadSlot; returned: readonly Slice[] }[] = []
    const now = this.#options.clock.monotonicMs()
    for (const slot of this.slots) {
      if (found.length >= idle) break
      const [running, reserve] = slot.batches
      if (running === undefined || slot.mode !== 'open') continue
      // A batch that has only just been sent is not worth moving.
      if (now - running.control.baseMs < BATCH_YIELD_MS / 4) continue
      const batch = reserve ?? running
      const returned = batch.steal()
      if (returned.length > 0) found.push({ batch, slot, returned })
    }
    return found
  }

  /** The batch that holds a job, or undefined. One that the job was taken back from does not hold it any more. */
  find(page: PageRef, pageIndex: number): { batch: Batch; slot: ThreadSlot; index: number } | undefined {
    for (const { batch, slot } of this.#inFlight.values()) {
      const index = batch.find(page, pageIndex)
      if (index >= 0 && index < batch.limit) return { batch, slot, index }
    }
    return undefined
  }

  /** The page of a job in flight, by its place, or undefined. */
  findPage(ord: number, sub: number): PageRef | undefined {
    for (const { batch } of this.#inFlight.values()) {
      for (const { page } of batch.slices) if (page.ord === ord && page.sub === sub) return page
    }
    return undefined
  }

  batch(id: number): { batch: Batch; slot: ThreadSlot } | undefined {
    return this.#inFlight.get(id)
  }

  get batches(): Iterable<{ batch: Batch; slot: ThreadSlot }> {
    return this.#inFlight.values()
  }

  /** Gives up threads that do not end: their jobs are told as interrupted although the exit has not been seen. */
  giveUp(): void {
    for (const { batch } of this.#inFlight.values()) {
      batch.end ??= { kind: 'died', cause: 'close', target: undefined, exitCode: 1, error: undefined }
      this.#news.add(batch)
    }
  }

  /** Every outcome of the batch has been settled: forget it. */
  settled(batch: Batch): void {
    this.#inFlight.delete(batch.id)
    this.#spareControls.push(batch.control)
  }

  #onNews(slot: ThreadSlot): void {
    for (const { batch, slot: holder } of this.#inFlight.values()) {
      if (holder === slot && (batch.end !== undefined || batch.hasNews || slot.batches.includes(batch))) this.#news.add(batch)
    }
    this.#events.news()
  }

  /** Behind a job that takes its time nobody has to wait: neither its batch-mates nor the batch in reserve. */
  #isSlow(slot: ThreadSlot): boolean {
    const [first] = slot.batches
    if (first === undefined || first.running < 0) return false
    return this.#options.clock.monotonicMs() - first.control.startedMs >= BATCH_YIELD_MS
  }

  #onStuck(slot: ThreadSlot, batch: Batch | undefined): boolean {
    this.#stuckThreads++
    this.#events.stuck(slot, batch)
    if (this.#replacedThreads >= this.#options.maxStuckThreads) return false
    this.#replacedThreads++
    return true
  }
}

function orUndefined<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}
