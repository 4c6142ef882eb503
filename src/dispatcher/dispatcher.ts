/**
 * Hands batches to threads and brings back what became of them. Decides about threads, never about jobs: it tells which outcomes
 * can be read, which jobs came back unstarted and which batches ended, and the executor makes of it what the rules say.
 *
 * Called while a commit is put together (`capacity`, `collect`), and after it is durable (`send`): no job starts before its claim
 * is on disk.
 */
import type { Clock } from '../base/clock.js'
import { JUST_SENT_MS, OUTCOME_AREA_BYTES, SLOW_MS } from '../base/limits.js'
import { BatchControl } from '../codec/batch-control.js'
import type { BatchTask, DefinitionRef, ThreadToMain } from '../protocol/messages.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { BatchJob } from './batch.js'
import { Batch } from './batch.js'
import type { PoolThreadOptions } from './pool-thread.js'
import { gatherMs, Pace } from './pace.js'
import { ThreadSlot } from './thread-slot.js'

export interface DispatcherOptions {
  readonly clock: Clock
  readonly threads: number
  readonly maxStuckThreads: number
  readonly pool: PoolThreadOptions
  readonly recycle: { readonly afterJobs: number; readonly heapBytes: number }
  /** Threads tell what they hold: see `ThreadToMain`. */
  readonly tellMemory: boolean
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
  readonly scheduled: BatchTask['scheduled']
  /** Epoch ms by which jobs must begin, by index in the batch. */
  readonly deadlines: readonly { readonly index: number; readonly startBefore: number }[]
  readonly definitions: readonly DefinitionRef[]
  readonly queues: readonly { readonly id: number; readonly name: string }[]
  readonly announceStarts: boolean
}

/** What has become of a batch. */
export interface Collected {
  readonly batch: Batch
  readonly slot: ThreadSlot
  /** Jobs that came back unstarted. */
  readonly returned: readonly Slice[]
}

export class Dispatcher {
  /** Those that are to end when they have finished what they hold are among them until they are gone. */
  readonly slots: ThreadSlot[] = []
  readonly pace = new Pace()
  /** The executor is closing: what was claimed and not sent yet is not sent any more. */
  isClosing = false
  /** Which threads take batches. `one`: a single one, and only while no other holds any; `none`: memory is short. */
  admission: 'all' | 'one' | 'none' = 'all'
  readonly #options: DispatcherOptions
  readonly #events: DispatcherEvents
  readonly #spareControls: BatchControl[] = []
  #hasNews = false
  #isBusy = false
  readonly #inFlight = new Map<number, { batch: Batch; slot: ThreadSlot }>()
  /** Never given twice: what a slot that has ended held may be settled later. */
  #nextSlot = 0
  #stuckThreads = 0
  /** Those of them in whose place another one works. */
  #replacedThreads = 0

  constructor(options: DispatcherOptions, events: DispatcherEvents) {
    this.#options = options
    this.#events = events
    this.resize(options.threads)
  }

  /**
   * Sees to it that so many threads take batches. Missing ones start at once. Of surplus ones those with the least to do (or done) end when they
   * have finished what they hold; they are returned, for what they have not begun to be taken back.
   */
  resize(threads: number): ThreadSlot[] {
    const nowMs = this.#options.clock.monotonicMs()
    const staying = this.slots.filter((slot) => !slot.isRetiring && slot.mode !== 'closed')
    for (const slot of this.slots) if (staying.length < threads && slot.reprieve()) staying.push(slot)
    for (let count = staying.length; count < threads; count++) this.slots.push(this.#newSlot())
    staying.sort((left, right) => left.leftMs(nowMs) - right.leftMs(nowMs) || left.jobsDone - right.jobsDone)
    // Before all others those that native code holds for good, whatever they have left to do.
    staying.sort((left, right) => Number(right.isStuck) - Number(left.isStuck))
    const surplus = staying.slice(0, Math.max(0, staying.length - threads))
    for (const slot of surplus) slot.retire()
    return surplus
  }

  /** Threads that take batches; those that are to end do not count. */
  get threads(): number {
    return this.slots.reduce((sum, { isRetiring }) => sum + (isRetiring ? 0 : 1), 0)
  }

  #newSlot(): ThreadSlot {
    const { clock, pool, recycle, limitsOf, shortestLimitMs } = this.#options
    const lookMs = (batch: Batch): number => (this.#isBusy ? gatherMs(batch.jobMs) : SLOW_MS)
    return new ThreadSlot(
      this.#nextSlot++,
      { clock, pool, recycle, limitsOf, shortestLimitMs, lookMs },
      {
        news: () => this.#tell(),
        message: (slot, message) => this.#events.message(slot, message),
        stuck: (slot, batch) => this.#onStuck(slot, batch),
        unstuck: (wasReplaced) => {
          this.#stuckThreads--
          if (wasReplaced) this.#replacedThreads--
          this.#replaceStuck()
          this.#tell()
        },
        retired: (slot) => {
          this.slots.splice(this.slots.indexOf(slot), 1)
          this.#tell()
        },
        startFailed: (exitCode, error, pauseMs) => this.#events.startFailed(exitCode, error, pauseMs),
      },
    )
  }

  /** Says whether more work waits than the threads hold: outcomes are then looked for less often. */
  setBusy(isBusy: boolean): void {
    if (this.#isBusy === isBusy) return
    this.#isBusy = isBusy
    if (!isBusy) for (const slot of this.slots) slot.lookNow()
  }

  /** Says whether jobs wait for threads. */
  setAwaited(isAwaited: boolean): void {
    for (const slot of this.slots) slot.awaited(isAwaited)
  }

  /** Threads held by native code after they were told to end. */
  get stuckThreads(): number {
    return this.#stuckThreads
  }

  get usableThreads(): number {
    return Math.max(1, this.slots.filter(isUsable).length)
  }

  /** Batches claimed and not settled, those of stuck threads included. */
  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Jobs of batches whose outcomes have not been read. */
  get claimedJobs(): number {
    let jobs = 0
    for (const { batch } of this.#inFlight.values()) jobs += batch.limit - batch.collected
    return jobs
  }

  /** No thread holds a batch, but those that native code keeps beyond their end. */
  get isIdle(): boolean {
    return this.slots.every((slot) => slot.isStuck || slot.batches.length === 0)
  }

  /** Something has happened in a thread since the last `collect`. */
  get hasNews(): boolean {
    return this.#hasNews
  }

  /** Slots that take another batch, those with the least to do first. */
  capacity(nowMs: number): ThreadSlot[] {
    if (this.admission === 'none' || (this.admission === 'one' && !this.isIdle)) return []
    const takers = this.slots.filter((slot) => slot.takesMore(nowMs) && this.jobsLeft(slot) > 0)
    takers.sort((left, right) => left.leftMs(nowMs) - right.leftMs(nowMs))
    return this.admission === 'one' ? takers.slice(0, 1) : takers
  }

  /** Jobs that a slot's worker may still be given before it is replaced; `Infinity` when it is not replaced for their number. */
  jobsLeft(slot: ThreadSlot): number {
    const { afterJobs } = this.#options.recycle
    if (afterJobs === Infinity) return Infinity
    let left = afterJobs - slot.jobsDone
    for (const { batch, slot: holder } of this.#inFlight.values()) {
      const isWithWorker = batch.sentAt === 0 || slot.batches.includes(batch)
      if (holder === slot && batch.end === undefined && isWithWorker) left -= batch.limit
    }
    return left
  }

  /** Makes a batch, to be sent to `slot` when its claim is durable. */
  prepare(id: number, slices: readonly Slice[], estimateMs: number, slot: ThreadSlot): Batch {
    const control = this.#spareControls.pop() ?? BatchControl.allocate(OUTCOME_AREA_BYTES)
    const batch = new Batch(id, slices, estimateMs, control)
    batch.yieldsSeen = slot.yieldsSeen
    this.#inFlight.set(id, { batch, slot })
    return batch
  }

  /**
   * Sends a batch. False if the slot does not take it any more, or if jobs come back from there that were chosen before it; the batch then
   * ends at once with nothing done.
   */
  send(batch: Batch, parcel: Parcel): boolean {
    const held = this.#inFlight.get(batch.id)
    if (held === undefined) return false
    const { slot } = held
    if (this.isClosing || slot.mode !== 'open' || this.#hasLost(slot)) {
      batch.control.reset(batch.id, 0, 0)
      batch.end = { kind: 'returned', apart: undefined }
      this.#tell()
      return false
    }
    const { thread } = slot
    batch.control.reset(batch.id, batch.jobs, this.#options.clock.monotonicMs())
    batch.sentAt = this.#options.clock.now()
    const settings = thread.isIntroduced
      ? undefined
      : {
          port: thread.openPort(),
          storeMark: this.#options.storeMark,
          payloadBytes: this.#options.payloadBytes,
          measureHeap: this.#options.recycle.heapBytes !== Infinity,
          tellMemory: this.#options.tellMemory,
        }
    const task: BatchTask = {
      batchId: batch.id,
      entries: parcel.entries,
      control: batch.control.shared,
      externals: parcel.externals,
      scheduled: parcel.scheduled,
      deadlines: orUndefined(parcel.deadlines.map(({ index, startBefore }) => ({ index, afterMs: startBefore - batch.sentAt }))),
      definitions: orUndefined(parcel.definitions.filter(({ id }) => !thread.introduceDefinition(id))),
      queues: orUndefined(parcel.queues.filter(({ id }) => !thread.introduceQueue(id))),
      settings,
      announceStarts: parcel.announceStarts,
      yieldsSeen: batch.yieldsSeen,
      yieldAfterMs: SLOW_MS + 2 * batch.jobMs * batch.jobs,
    }
    slot.send(batch, task, [parcel.entries, ...(parcel.externals ?? []).map(({ bytes }) => bytes)])
    return true
  }

  /** Whether a slot has jobs that its thread can begin no more. None after `collect`: what is refused for them goes behind them then. */
  #hasLost(slot: ThreadSlot): boolean {
    for (const held of this.#inFlight.values()) {
      const isWithThread = slot.batches.includes(held.batch) && held.batch.hasUntaken
      if (held.slot === slot && !isWithThread && held.batch.hasUnbegun) return true
    }
    return false
  }

  /** Batches with outcomes to read or an end, and jobs that came back unstarted. Each is told once. */
  collect(): Collected[] {
    this.#hasNews = false
    const collected: Collected[] = []
    for (const { batch, slot } of this.#inFlight.values()) {
      if (batch.end !== undefined) {
        const returned = batch.range(batch.control.taken, batch.limit)
        batch.limit = Math.min(batch.limit, batch.control.taken)
        collected.push({ batch, slot, returned })
      } else if (batch.sentAt > 0 && !slot.batches.includes(batch) && (batch.hasUnbegun || batch.hasNews)) {
        // Native code holds its thread, and another one works in the place of that.
        collected.push({ batch, slot, returned: batch.steal() })
      }
    }
    const nowMs = this.#options.clock.monotonicMs()
    for (const slot of this.slots) {
      // Jobs that the thread gave back come before those that it has in reserve, and are put back together with them. And behind a
      // job that takes its time, or whose time is up, nobody has to wait.
      const back = slot.hasReturned(nowMs) ? slot.takeBack() : undefined
      slot.yieldsSeen = slot.yields
      for (const batch of slot.batches) {
        const returned = back?.get(batch) ?? []
        if (batch.end === undefined && (batch.hasNews || returned.length > 0)) collected.push({ batch, slot, returned })
      }
    }
    return collected
  }

  /**
   * Takes work back from those with the most of it so that `idle` threads can have some, when nothing else waits. `mayMove` tells
   * whether others could do any of a batch.
   */
  share(idle: number, mayMove: (batch: Batch) => boolean): Collected[] {
    const nowMs = this.#options.clock.monotonicMs()
    return this.slots
      .filter(({ batches }) => batches[0] !== undefined && nowMs - batches[0].control.baseMs >= JUST_SENT_MS)
      .filter((slot) => slot.mode === 'open' && slot.batches.some((batch) => batch.hasUntaken && mayMove(batch)))
      .sort((left, right) => right.leftMs(nowMs) - left.leftMs(nowMs))
      .slice(0, idle)
      .flatMap((slot) => this.takeBack(slot))
  }

  /** Takes back everything that a thread has not started. */
  takeBack(slot: ThreadSlot): Collected[] {
    return [...slot.takeBack()]
      .map(([batch, returned]) => ({ batch, slot, returned }))
      .filter(({ returned }) => returned.length > 0)
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
    }
    this.#hasNews = true
  }

  /** Every outcome of the batch has been settled: forget it. */
  settled(batch: Batch): void {
    this.#inFlight.delete(batch.id)
    // A thread that died may have left its task to another one, which still looks there.
    if (batch.end?.kind === 'returned') this.#spareControls.push(batch.control)
  }

  #tell(): void {
    this.#hasNews = true
    this.#events.news()
  }

  #onStuck(slot: ThreadSlot, batch: Batch | undefined): void {
    this.#stuckThreads++
    this.#events.stuck(slot, batch)
    this.#replaceStuck()
  }

  /** Replaces as many as may be at a time: also one that has waited until another one was gone. */
  #replaceStuck(): void {
    for (const slot of this.slots) {
      if (this.isClosing || this.#replacedThreads >= this.#options.maxStuckThreads) return
      if (slot.leaveBehind()) this.#replacedThreads++
    }
  }
}

/** Whether a thread can take work, now or when it has done what it holds: all but those that are to end, or that native code holds for good. */
export function isUsable({ isRetiring, isStuck }: ThreadSlot): boolean {
  return !isRetiring && !isStuck
}

function orUndefined<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}
