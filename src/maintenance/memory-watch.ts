/**
 * Keeps the process's memory in sight: decides when no more jobs are to be claimed, and which thread is to be replaced.
 *
 *   open     memory is below the limit; every thread takes jobs
 *   paused   it went above; no thread takes any, what runs goes on. While something runs, or a thread is being replaced, memory may
 *            still fall
 *   slowed   nothing runs any more, nothing is left to be replaced, and it is still above: the host itself is large, or the limit too
 *            low. One thread takes a batch at a time, so that there is no standstill. Never back to `paused`: the next step is `open`
 *
 * A pause always ends, because it waits only for what ends by itself: running jobs, and a thread's replacement.
 *
 * Above the limit the thread that holds the most is replaced, one at a time, when it has finished what it has: its memory, the
 * Buffers in its state included, goes back to the system with it.
 */
import type { Clock, Timer } from '../base/clock.js'
import { MEMORY_LOOK_MS, MEMORY_RESUME_LOOKS, MEMORY_RESUME_SHARE, MEMORY_THREAD_BYTES } from '../base/limits.js'

export type MemoryMode = 'open' | 'paused' | 'slowed'

/** What happened: claims paused, slowed or resumed, or a thread is being replaced. */
export type MemoryAction = 'paused' | 'slowed' | 'resumed' | 'recycling'

/** A thread that takes jobs. */
export interface MemoryThread {
  readonly threadId: number
  /** JavaScript heap and what hangs on it outside, such as Buffers, as of its latest batch. */
  readonly heldBytes: number
  recycle(): void
}

export interface MemoryWatchOptions {
  readonly clock: Clock
  readonly limitBytes: number
  /** The resident set of the process. */
  readonly rssBytes: () => number
  readonly threads: () => readonly MemoryThread[]
  /** A thread is being replaced, and native code does not keep it. */
  readonly isRecycling: () => boolean
  /** No thread holds a job, but those that native code keeps. */
  readonly isIdle: () => boolean
  /** Called after every change of `mode`, and when a thread is told to go. */
  readonly onChange: (action: MemoryAction, rssBytes: number, threadId: number | undefined) => void
}

export class MemoryWatch {
  readonly #options: MemoryWatchOptions
  #mode: MemoryMode = 'open'
  #timer: Timer | undefined
  #looksBelow = 0
  #isStopped = false

  constructor(options: MemoryWatchOptions) {
    this.#options = options
    this.#lookLater()
  }

  get mode(): MemoryMode {
    return this.#mode
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(MEMORY_LOOK_MS, () => {
      this.#look()
      // Whoever is told of it may close the executor.
      if (!this.#isStopped) this.#lookLater()
    })
    // While nothing is claimed, nothing else keeps the process alive for the jobs that wait.
    this.#timer.setRef(this.#mode === 'paused')
  }

  #look(): void {
    const { limitBytes, isIdle, isRecycling, rssBytes: read } = this.#options
    const rssBytes = read()
    if (rssBytes <= limitBytes) {
      this.#looksBelow++
      if (this.#mode === 'open') return
      if (rssBytes <= limitBytes * MEMORY_RESUME_SHARE || this.#looksBelow >= MEMORY_RESUME_LOOKS)
        this.#become('open', 'resumed', rssBytes)
      return
    }
    this.#looksBelow = 0
    if (this.#mode === 'open') this.#become('paused', 'paused', rssBytes)
    const goes = isRecycling() || this.#recycleFattest(rssBytes)
    if (this.#mode === 'paused' && !goes && isIdle()) this.#become('slowed', 'slowed', rssBytes)
  }

  #become(mode: MemoryMode, action: MemoryAction, rssBytes: number): void {
    this.#mode = mode
    this.#options.onChange(action, rssBytes, undefined)
  }

  /** True if there was one worth it. */
  #recycleFattest(rssBytes: number): boolean {
    let fattest: MemoryThread | undefined
    for (const thread of this.#options.threads()) {
      if (thread.heldBytes >= MEMORY_THREAD_BYTES && thread.heldBytes > (fattest?.heldBytes ?? 0)) fattest = thread
    }
    if (fattest === undefined) return false
    fattest.recycle()
    this.#options.onChange('recycling', rssBytes, fattest.threadId)
    return true
  }
}
