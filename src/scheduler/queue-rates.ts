/** What the rates of queues have let start. A queue without a rate has no log, and nothing is counted. */
import { rateName } from '../store/rates.js'
import { CountedStarts, type Span } from './counted-starts.js'
import type { RateBook } from './rate-book.js'
import type { ReadyQueue } from './ready-queue.js'

export class QueueRates {
  readonly #book: RateBook
  readonly #counted = new CountedStarts()

  constructor(book: RateBook) {
    this.#book = book
  }

  /** Reads what was started of a queue that is new here. */
  meet(queue: ReadyQueue): void {
    if (queue.rate !== undefined) queue.log = this.#book.log(nameOf(queue))
  }

  /** Jobs are handed out. */
  count(queue: ReadyQueue, jobs: readonly Span[], now: number): void {
    const { rate, log } = queue
    if (rate === undefined || log === undefined) return
    log.add(rate, this.#counted.note(jobs, now), now)
    this.#book.changed(nameOf(queue), log)
  }

  /** They come back unstarted. */
  refund(queue: ReadyQueue, jobs: readonly Span[]): void {
    const { log } = queue
    if (log === undefined) return
    for (const [at, starts] of this.#counted.takeBack(jobs)) log.refund(starts, at)
    queue.freeAt = 0
    this.#book.changed(nameOf(queue), log)
  }
}

function nameOf({ id }: ReadyQueue): string {
  return rateName(id, 0)
}
