/** A batch being filled for one thread, by one queue after another. */
import { BATCH_BYTES, BATCH_JOBS, BATCH_JOBS_UNMEASURED } from '../base/limits.js'
import type { PageRef, Slice } from '../store/page-ref.js'
import type { RunTimes } from './run-times.js'

/** What may go into a batch. */
export interface Room {
  /** Epoch ms. */
  readonly now: number
  /** The lowest priority that may run there, turned round as in a page's key: 255 for all. */
  readonly lastRank: number
  /** Threads that a job of such a priority could count as there, if it were to begin now, and at most. */
  readonly threadsFor: (rank: number) => { readonly free: number; readonly all: number }
  /** Jobs that may go in, 1 or more. */
  readonly jobs: number
  /** Slots among which jobs of unknown run time are shared out. */
  readonly slots: number
  /** Thread time to fill, in ms, when the jobs take `jobMs` each. One job goes in at least. */
  readonly budgetMs: (jobMs: number) => number
}

/** Where a turn ends: in estimated thread time and in jobs of the batch. */
interface TurnEnd {
  readonly ms: number
  readonly jobs: number
}

const NO_END: TurnEnd = { ms: Infinity, jobs: Infinity }

export class Draft<Queue, Key> {
  /** In the order they are to run in; without jobs that are over. */
  readonly slices: Slice[] = []
  /** Estimated thread time of each queue's jobs, in ms; of a heavy job in all its threads. */
  readonly shares = new Map<Queue, number>()
  /** The same of each limit key's jobs. */
  readonly keys = new Map<Key, number>()
  /** Limit keys that no other slot may take jobs of from here on. */
  newKeys = 0
  jobs = 0
  estimateMs = 0
  /** Threads that its jobs count as. A heavier one than 1 is alone in its batch. */
  weight = 1
  /** Nothing more goes in. */
  isFull = false
  /** The queue whose turn it is has had it, or its limit key has. */
  turnIsOver = false
  readonly #runTimes: RunTimes
  readonly #room: Room
  readonly #jobsAtMost: number
  readonly #unmeasuredAtMost: number
  #budgetMs = -1
  #turn: TurnEnd = NO_END
  #keyTurn: TurnEnd = NO_END
  #endsMs = Infinity
  #endsJobs = Infinity
  #bytes = 0
  #unmeasured = 0

  constructor(runTimes: RunTimes, room: Room) {
    this.#runTimes = runTimes
    this.#room = room
    this.#jobsAtMost = Math.min(BATCH_JOBS, room.jobs)
    this.#unmeasuredAtMost = Math.max(1, Math.floor(BATCH_JOBS_UNMEASURED / room.slots))
  }

  get room(): Room {
    return this.#room
  }

  /** Begins a queue's turn, of as much run time and as many jobs. */
  beginTurn(turnMs: number, jobs: number): void {
    this.#turn = { ms: this.estimateMs + turnMs, jobs: this.jobs + jobs }
    this.endKeyTurn()
  }

  /** Begins the turn of a limit key within that of its queue. */
  beginKeyTurn(turnMs: number, jobs: number): void {
    this.#keyTurn = { ms: this.estimateMs + turnMs, jobs: this.jobs + jobs }
    this.#setEnds()
  }

  endKeyTurn(): void {
    this.#keyTurn = NO_END
    this.#setEnds()
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
      this.jobs >= this.#jobsAtMost ||
      this.#bytes >= BATCH_BYTES ||
      this.#unmeasured >= this.#unmeasuredAtMost
    this.turnIsOver = this.isFull || this.estimateMs >= this.#endsMs || this.jobs >= this.#endsJobs
  }

  /** Adds a job that counts as several threads, and is alone. */
  addHeavy(definitionId: number, weight: number): void {
    this.add(definitionId, 0)
    this.weight = weight
    this.isFull = true
    this.turnIsOver = true
  }

  /** Takes in the jobs from `from` up to `to`, which have been added. */
  end(page: PageRef, from: number, to: number, offset: number): void {
    if (to > from) this.slices.push({ page, from, to, offset })
  }

  #setEnds(): void {
    this.#endsMs = Math.min(this.#turn.ms, this.#keyTurn.ms)
    this.#endsJobs = Math.min(this.#turn.jobs, this.#keyTurn.jobs)
    this.turnIsOver = this.isFull || this.estimateMs >= this.#endsMs || this.jobs >= this.#endsJobs
  }
}
