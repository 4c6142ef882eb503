/**
 * A place for one thread: the batches it holds, their clocks, and the ways a thread ends.
 *
 * Modes, changed only by `#become`:
 *   open         takes batches
 *   terminating  its worker is being ended for one job's sake, or has failed; takes none until the exit
 *   recycling    finishes what it holds, then its worker is replaced, or ended with the slot; takes none
 *   waiting      its worker died at once several times; takes none until a pause is over
 *   closed       for good
 */
import { assert } from '../base/assert.js'
import type { Timer } from '../base/clock.js'
import { BATCHES_PER_THREAD, BATCHES_SENT, STUCK_AFTER_MS, TEARDOWN_MS } from '../base/limits.js'
import type { BatchResult, BatchTask } from '../protocol/messages.js'
import type { Slice } from '../store/page-ref.js'
import type { BatchWatchOptions } from './batch-watch.js'
import { BatchWatch } from './batch-watch.js'
import type { Batch, TerminationCause } from './batch.js'
import type { PoolThreadOptions } from './pool-thread.js'
import { PoolThread } from './pool-thread.js'
import type { SlotEvents } from './slot-events.js'
import { endBatches, type Termination } from './termination.js'
import { WorkerStarts } from './worker-starts.js'

type Mode = 'open' | 'terminating' | 'recycling' | 'waiting' | 'closed'

export interface SlotOptions extends BatchWatchOptions {
  readonly pool: PoolThreadOptions
  readonly recycle: { readonly afterJobs: number; readonly heapBytes: number }
}

export class ThreadSlot {
  readonly index: number
  /** The running batch first. */
  batches: Batch[] = []
  /** How often the present worker has given a batch back before its end, as far as it has told. */
  yields = 0
  /** The same as of the latest look at what has come back. */
  yieldsSeen = 0
  /** Jobs the present worker has finished. */
  jobsDone = 0
  readonly #options: SlotOptions
  readonly #events: SlotEvents<ThreadSlot>
  #thread: PoolThread
  #mode: Mode = 'open'
  #termination: Termination | undefined
  readonly #watch: BatchWatch
  /** What is waited for beside batches: teardowns, or the end of a pause. */
  #wait: Timer | undefined
  #stuck: Timer | undefined
  readonly #starts: WorkerStarts
  #isAwaited = false
  /** The present worker does not end, and is not replaced. */
  #isStuck = false
  /** Its unstarted jobs are out of the worker's reach, and not taken back yet. */
  #isCornered = false
  /** No worker follows the present one. */
  #isRetiring = false
  #closed: Promise<void> | undefined
  #tornDown: (() => void) | undefined
  #onExit: (() => void)[] = []

  constructor(index: number, options: SlotOptions, events: SlotEvents<ThreadSlot>) {
    this.index = index
    this.#options = options
    this.#events = events
    this.#starts = new WorkerStarts(options.clock)
    this.#thread = this.#startThread()
    this.#watch = new BatchWatch(options, {
      batches: () => this.batches,
      timedOut: (batch, running) => this.terminate('timeout', batch, running),
      warn: (batch, running) => this.abort(batch, running, 'The soft timeout has passed.'),
      news: () => events.news(this),
    })
  }

  get mode(): Mode {
    return this.#mode
  }

  /** Whether it ends when it has finished what it holds. */
  get isRetiring(): boolean {
    return this.#isRetiring
  }

  get threadId(): number {
    return this.#thread.threadId
  }

  get thread(): PoolThread {
    return this.#thread
  }

  send(batch: Batch, task: BatchTask, transfer: ArrayBuffer[]): void {
    assert(this.#mode === 'open', `a batch was sent to a thread that is ${this.#mode}`)
    const ports = task.settings === undefined ? [] : [task.settings.port]
    this.batches.push(batch)
    const thread = this.#thread
    thread.send(task, [...transfer, ...ports]).then(
      (result) => this.#returned(batch, result),
      (error: unknown) => {
        // The task never reached the worker. Treat it like a worker that died, so that every path back is the same one.
        batch.end = { kind: 'died', cause: undefined, target: undefined, exitCode: -1, error: error as Error }
        this.#drop(batch)
        this.#events.news(this)
      },
    )
    if (this.batches.length === 1) this.#watch.begin(batch)
    // Since this batch was chosen the running job may have become slow, and been looked at for the last time.
    else if (this.isSlow(this.#options.clock.monotonicMs())) this.#watch.look()
  }

  /** Whether it takes another batch. Nothing new waits behind a job that takes its time. */
  takesMore(nowMs: number): boolean {
    if (this.#mode !== 'open' || this.batches.length >= BATCHES_SENT) return false
    return this.batchesWithWork < BATCHES_PER_THREAD && !this.isSlow(nowMs)
  }

  /** Batches that it still has something to do for. */
  get batchesWithWork(): number {
    return this.batches.reduce((count, { hasWork }) => count + (hasWork ? 1 : 0), 0)
  }

  /** Whether native code holds the worker beyond its end, and no other works in its place. */
  get isStuck(): boolean {
    return this.#isStuck
  }

  /** Whether nothing is left for it to do. */
  get isIdle(): boolean {
    return this.batchesWithWork === 0
  }

  /** What one of the jobs it was given last is expected to take, in ms. */
  get jobMs(): number {
    return this.batches.at(-1)?.jobMs ?? 0
  }

  /** Whether jobs have come back, or are to be taken back at once. */
  hasReturned(nowMs: number): boolean {
    if (this.#isCornered || this.yields > this.yieldsSeen) return true
    return this.isSlow(nowMs) && this.batches.some((batch) => batch.hasUntaken)
  }

  /** What it has to do, in estimated ms. */
  leftMs(nowMs: number): number {
    return this.batches.reduce((left, batch) => left + batch.leftMs(nowMs), 0)
  }

  /** Whether the running job takes much longer than was expected of it. */
  isSlow(nowMs: number): boolean {
    return this.batches[0]?.isSlow(nowMs) === true
  }

  /** Outcomes that lie in the running batch are waited for. */
  lookNow(): void {
    if (this.#mode !== 'terminating') this.#watch.look()
  }

  /** Takes back what has not been started, the last batch first: the worker cannot skip to a later one. */
  takeBack(): Map<Batch, Slice[]> {
    this.#isCornered = false
    return new Map(this.batches.toReversed().map((batch) => [batch, batch.steal()]))
  }

  /** Whether jobs wait for threads: then the process does not end during a pause between starts. */
  awaited(isAwaited: boolean): void {
    this.#isAwaited = isAwaited
    if (this.#mode === 'waiting') this.#wait?.setRef(isAwaited)
  }

  /** Aborts the signal of the job the thread is at. */
  abort(batch: Batch, index: number, reason: string): void {
    this.#thread.post({ type: 'abort', batchId: batch.id, index, reason })
  }

  /**
   * Ends the worker for a job's sake, if the job is still running; or for everybody's when no target is given. False when the job has
   * ended, or native code goes on with it in a worker that was replaced, and the present worker goes on.
   */
  terminate(cause: TerminationCause, batch?: Batch, target?: number): boolean {
    if (this.#isEnding) return true
    if (batch !== undefined && !this.batches.includes(batch)) return false
    if (batch !== undefined && target !== undefined && !this.#corner(batch, target)) return false
    this.#endWorker({ cause, batch, target })
    return true
  }

  get #isEnding(): boolean {
    return this.#mode === 'terminating' || this.#mode === 'closed' || this.#mode === 'waiting'
  }

  /** @param termination - undefined when nobody asked for it */
  #endWorker(termination: Termination | undefined): void {
    this.#become('terminating')
    this.#watch.stop()
    this.#termination = termination
    // A pool that is given up starts no worker in the place of this one.
    void (this.#isRetiring ? this.#thread.destroy() : this.#thread.terminate())
    this.#stuck = this.#options.clock.after(STUCK_AFTER_MS, () => this.#tooLong())
    this.#stuck.setRef(true)
  }

  /**
   * Sees to it that the worker begins no other job, and tells whether it is still at this one. Without that, the job might end at this
   * very moment, and the one behind it would be begun only to be interrupted.
   */
  #corner(batch: Batch, target: number): boolean {
    for (const held of this.batches.toReversed()) held.control.steal()
    this.#isCornered = true
    this.#events.news(this)
    return batch.running === target
  }

  /** Replaces the worker once it has finished what it holds. */
  recycle(): void {
    if (this.#mode !== 'open') return
    this.#become('recycling')
    this.#recycleWhenIdle()
  }

  /** Ends the slot once its worker has finished what it holds: in an orderly way, with teardowns. `retired` tells when it is gone. */
  retire(): void {
    if (this.#mode === 'closed') return
    this.#isRetiring = true
    if (this.#mode === 'waiting') this.#end()
    else this.recycle()
  }

  /** Takes `retire` back. False when it is too late. */
  reprieve(): boolean {
    if (!this.#isRetiring || this.#mode === 'closed' || this.#mode === 'terminating') return false
    this.#isRetiring = false
    if (this.#mode === 'recycling' && this.batches.length > 0) this.#become('open')
    return true
  }

  /** Runs the teardowns of an idle worker. Resolves when they are done or the worker is gone. */
  tearDown(): Promise<void> {
    if (!this.#thread.isIntroduced) return Promise.resolve()
    return new Promise((resolve) => {
      this.#tornDown = resolve
      this.#onExit.push(resolve)
      this.#thread.post({ type: 'tearDown' })
    })
  }

  /** Ends the slot for good. Resolves when its worker is gone. Calling it again gives the same promise. */
  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#become('closed')
      this.#watch.stop()
      this.#wait?.cancel()
      this.#stuck?.cancel()
      this.#closed = this.#thread.destroy()
    }
    return this.#closed
  }

  #end(): void {
    void this.close().then(() => this.#events.retired(this))
  }

  #become(mode: Mode): void {
    assert(this.#mode !== 'closed', 'a closed thread slot stays closed')
    this.#mode = mode
  }

  #startThread(): PoolThread {
    this.#starts.begin()
    this.jobsDone = 0
    this.yields = 0
    const thread: PoolThread = new PoolThread(this.#options.pool, {
      message: (message) => {
        if (message.type === 'tornDown') this.#tornDown?.()
        else this.#events.message(this, message)
      },
      dying: () => {
        if (thread === this.#thread && !this.#isEnding) this.#endWorker(undefined)
      },
      exit: (exitCode, error) => {
        if (thread === this.#thread) this.#exited(exitCode, error)
      },
    })
    return thread
  }

  #returned(batch: Batch, result: BatchResult): void {
    if (!this.batches.includes(batch)) return
    this.#starts.succeeded()
    if (result.leftRunning) {
      // The batch ends with the worker: until then its last job may still be running.
      this.terminate('recycle')
      return
    }
    this.yields = result.yields
    batch.end = { kind: 'returned', apart: result.apart }
    this.jobsDone += batch.control.finished
    this.#drop(batch)
    const { afterJobs, heapBytes } = this.#options.recycle
    if (this.#mode === 'open' && (result.retire || this.jobsDone >= afterJobs || result.heapBytes > heapBytes))
      this.#become('recycling')
    this.#recycleWhenIdle()
    this.#events.news(this)
  }

  #drop(batch: Batch): void {
    this.batches = this.batches.filter((held) => held !== batch)
    const [next] = this.batches
    if (next !== undefined) this.#watch.begin(next)
    else this.#watch.stop()
  }

  #recycleWhenIdle(): void {
    if (this.#mode !== 'recycling' || this.batches.length > 0) return
    const end = (): void => {
      if (this.#mode !== 'recycling') return
      this.#wait?.cancel()
      if (this.#isRetiring) this.#end()
      else this.terminate('recycle')
    }
    this.#wait = this.#options.clock.after(TEARDOWN_MS, end)
    this.#wait.setRef(true)
    void this.tearDown().then(end)
  }

  #exited(exitCode: number, error: Error | undefined): void {
    const termination = this.#termination
    if (this.#isStuck) {
      this.#isStuck = false
      this.#events.unstuck(false)
    }
    this.#watch.stop()
    this.#wait?.cancel()
    this.#stuck?.cancel()
    const ended = this.batches
    this.batches = []
    this.#isCornered = false
    endBatches(ended, termination, exitCode, error)
    for (const resolve of this.#onExit.splice(0)) resolve()
    const failedToStart = termination === undefined && this.#starts.hasFailed(ended)
    this.jobsDone = 0
    this.yields = 0
    this.#termination = undefined
    if (this.#mode !== 'closed') {
      if (this.#isRetiring) this.#end()
      else if (failedToStart) this.#pause(exitCode, error)
      else this.#startAgain()
    }
    this.#events.news(this)
  }

  #pause(exitCode: number, error: Error | undefined): void {
    const pauseMs = this.#starts.nextPauseMs()
    if (pauseMs === 0) return this.#startAgain()
    this.#become('waiting')
    this.#events.startFailed(exitCode, error, pauseMs)
    this.#wait = this.#options.clock.after(pauseMs, () => {
      if (this.#mode !== 'waiting') return
      this.#startAgain()
      this.#events.news(this)
    })
    this.#wait.setRef(this.#isAwaited)
  }

  #startAgain(): void {
    this.#become('open')
    this.#starts.begin()
    this.#thread.start()
  }

  /** The worker was told to end and has not: native code holds it. */
  #tooLong(): void {
    if (this.#mode !== 'terminating') return
    this.#isStuck = true
    this.#events.stuck(this, this.#termination?.batch)
    // Who waited for this thread goes on without it.
    this.#events.news(this)
  }

  /** Leaves a stuck worker behind and starts another one in its place; `unstuck` tells of its end. False if there is none to replace. */
  leaveBehind(): boolean {
    if (!this.#isStuck || this.#mode !== 'terminating' || this.#isRetiring) return false
    const left = this.#thread
    const batches = this.batches
    const termination = this.#termination
    this.batches = []
    this.#isStuck = false
    this.#isCornered = false
    this.#termination = undefined
    const gone = left.destroy()
    this.#become('open')
    this.#thread = this.#startThread()
    void gone.then(() => {
      endBatches(batches, termination, 1, left.error)
      this.#events.unstuck(true)
    })
    return true
  }
}
