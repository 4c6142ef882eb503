/** A batch being filled for one thread, by one queue after another. */
import { BATCH_BYTES, BATCH_JOBS, BATCH_JOBS_UNMEASURED } from '../base/limits.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { RunTimes } from './run-times.js'

/** What may go into a batch. */
export interface Room {
  /** Slots among which jobs of unknown run time are shared out. */
  readonly slots: number
  /** Thread time to fill, in ms, when the jobs take `jobMs` each. One job goes in at least. */
  readonly budgetMs: (jobMs: number) => number
}

export class Draft<Queue> {
  /** In the order they are to run in; without jobs that are over. */
  readonly slices: Slice[] = []
  /** Estimated thread time of each queue's jobs, in ms. */
  readonly shares = new Map<Queue, number>()
  jobs = 0
  estimateMs = 0
  /** Nothing more goes in. */
  isFull = false
  /** The queue whose turn it is has had it. */
  turnIsOver = false
  readonly #runTimes: RunTimes
  readonly #room: Room
  readonly #unmeasuredAtMost: number
  #budgetMs = -1
  #turnEndsMs = Infinity
  #bytes = 0
  #unmeasured = 0

  constructor(runTimes: RunTimes, room: Room) {
    this.#runTimes = runTimes
    this.#room = room
    this.#unmeasuredAtMost = Math.max(1, Math.floor(BATCH_JOBS_UNMEASURED / room.slots))
  }

  /** Begins a queue's turn, of as much run time. */
  beginTurn(turnMs: number): void {
    this.turnIsOver = false
    this.#turnEndsMs = this.estimateMs + turnMs
  }

  add(definitionId: number, bytes: number): void {
    const jobMs = this.#runTimes.estimateMs(definitionId)
    if (this.#budgetMs < 0) this.#budgetMs = this.#room.budgetMs(jobMs)
    this.jobs++
    this.#bytes += bytes
    this.estimateMs += jobMs
    if (!this.#runTimes.isMeasured(definitionId)) this.#unmeasured++
    this.isFull =
      this.estimateMs >= this.#budgetMs ||
      this.jobs >= BATCH_JOBS ||
      this.#bytes >= BATCH_BYTES ||
      this.#unmeasured >= this.#unmeasuredAtMost
    this.turnIsOver = this.isFull || this.estimateMs >= this.#turnEndsMs
  }

  /** Takes in the jobs from `from` up to `to`, which have been added. */
  end(page: PageRef, from: number, to: number, offset: number): void {
    if (to > from) this.slices.push({ page, from, to, offset })
  }
}
