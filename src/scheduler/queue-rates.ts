/** What the rates of queues have let start. A queue without a rate has no log, and nothing is counted. */
import { rateName } from '../store/rates.js'
import type { RateBook } from './rate-book.js'
import type { ReadyQueue } from './ready-queue.js'

export class QueueRates {
  readonly #book: RateBook

  constructor(book: RateBook) {
    this.#book = book
  }

  /** Reads what was started of a queue that is new here. */
  meet(queue: ReadyQueue): void {
    if (queue.rate !== undefined) queue.log = this.#book.log(nameOf(queue))
  }

  count(queue: ReadyQueue, starts: number, now: number): void {
    const { rate, log } = queue
    if (rate === undefined || log === undefined) return
    log.add(rate, starts, now)
    this.#book.changed(nameOf(queue), log)
  }

  /** So many starts did not come to be. */
  refund(queue: ReadyQueue, starts: number): void {
    const { log } = queue
    if (log === undefined) return
    log.refund(starts)
    queue.freeAt = 0
    this.#book.changed(nameOf(queue), log)
  }
}

function nameOf({ id }: ReadyQueue): string {
  return rateName(id, 0)
}
