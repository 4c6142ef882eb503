/**
 * The jobs to be run alone, oldest first: they were in flight beside others when a process died. None of them is in a lane.
 *
 * A job leaves the line when it is handed to a thread, and comes back when no thread has begun it: until it has begun, nobody knows more of
 * it than before. Those of paused queues wait apart, and so do those whose rates do not let them begin yet: others run meanwhile.
 */
import { readPageKey } from '../codec/keys.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'
import { readSuspects, type Suspect } from '../store/suspects.js'

/** Records read from the store at a time. */
const STEP = 1000

interface RestingSuspect {
  readonly suspect: Suspect
  /** Epoch ms. */
  readonly freeAt: number
}

export interface SuspectLineOptions {
  readonly store: JobStore
  readonly isPaused: (queueId: number) => boolean
}

export class SuspectLine {
  readonly #options: SuspectLineOptions
  #waiting: Suspect[] = []
  /** Those of paused queues, which nobody waits for. */
  #paused: Suspect[] = []
  #resting: RestingSuspect[] = []

  /** Finds those that the store knows of. */
  constructor(options: SuspectLineOptions) {
    this.#options = options
    let after = -1
    for (;;) {
      const found = readSuspects(options.store.engine, after, STEP)
      this.#waiting.push(...found)
      const last = found.at(-1)
      if (last === undefined || found.length < STEP) break
      after = last.seq
    }
    this.sort()
  }

  /** All of them. */
  get size(): number {
    return this.#waiting.length + this.#paused.length + this.#resting.length
  }

  /** Whether one waits that may run now. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** Whether one waits that may run now, or when its rate lets it. */
  get hasWork(): boolean {
    return this.isWaiting || this.#resting.length > 0
  }

  /** When a rate lets the next of those begin that rest, in epoch ms; `Infinity` when none does. */
  get freeAt(): number {
    return this.#resting.reduce((least, { freeAt }) => Math.min(least, freeAt), Infinity)
  }

  /** Whether a job of the queue is in the line, and the queue is not paused. */
  hasOf(queueId: number): boolean {
    return this.#firstOf(queueId) !== undefined
  }

  /** From when the first of a queue's could run, in epoch ms. */
  readyAt(queueId: number): number | undefined {
    const first = this.#firstOf(queueId)
    const header = first === undefined ? undefined : this.#options.store.readPage(first.key)?.header
    return header === undefined ? undefined : Math.max(header.enqueuedAt, header.runAt)
  }

  /** Which queues are paused has changed, or what rates allow: each is judged anew. */
  sort(): void {
    const isPaused = ({ key }: Suspect): boolean => this.#options.isPaused(readPageKey(key).queueId)
    const all = [...this.#waiting, ...this.#paused, ...this.#resting.map(({ suspect }) => suspect)]
    all.sort((left, right) => left.seq - right.seq)
    this.#resting = []
    this.#waiting = all.filter((suspect) => !isPaused(suspect))
    this.#paused = all.filter(isPaused)
  }

  /** Takes the first that may run now out of the line. */
  next(now: number, mayStartAt: (page: PageRef) => number, canRun: (page: PageRef) => boolean): PageRef | undefined {
    for (;;) {
      const suspect = this.#waiting.shift()
      if (suspect === undefined) return undefined
      const page = this.#options.store.readPage(suspect.key)
      // Over meanwhile, or of a definition that is not here: it stays what it is, for whoever can run it.
      if (page === undefined || page.isOver || !canRun(page)) continue
      const freeAt = mayStartAt(page)
      if (freeAt <= now) return page
      this.#resting.push({ suspect, freeAt })
    }
  }

  /** No thread has begun the job that was taken out last. */
  comesBack(page: PageRef): void {
    this.#waiting.push({ seq: page.header.firstSeq, key: page.key })
    this.sort()
  }

  /** The job is over, or another one by now. */
  leaves(page: PageRef): void {
    const isOther = ({ seq }: Suspect): boolean => seq !== page.header.firstSeq
    this.#waiting = this.#waiting.filter(isOther)
    this.#paused = this.#paused.filter(isOther)
    this.#resting = this.#resting.filter(({ suspect }) => isOther(suspect))
  }

  #firstOf(queueId: number): Suspect | undefined {
    const isOf = ({ key }: Suspect): boolean => readPageKey(key).queueId === queueId
    return this.#waiting.find(isOf) ?? this.#resting.find(({ suspect }) => isOf(suspect))?.suspect
  }
}
