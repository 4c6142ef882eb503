/** What the rates of a queue's limit keys allow. A key's log is read when the first of its jobs brings a rate. */
import type { CompiledRate } from '../job/limit.js'
import { rateName } from '../store/rates.js'
import type { LimitKey } from './limit-key.js'
import type { RateBook } from './rate-book.js'
import type { RateLog } from './rate-log.js'

export class KeyRates {
  readonly #book: RateBook

  constructor(book: RateBook) {
    this.#book = book
  }

  /** How many of the key's jobs may start now. */
  free(key: LimitKey, rate: CompiledRate, now: number): number {
    return this.#logOf(key).free(rate, now)
  }

  /** When one more may start, after `free` has given 0: epoch ms. */
  freeAt(key: LimitKey, rate: CompiledRate, now: number): number {
    return this.#logOf(key).freeAt(rate, now)
  }

  /** When one may start, in epoch ms; 0: at once. */
  mayStartAt(key: LimitKey, rate: CompiledRate, now: number): number {
    return this.#logOf(key).mayStartAt(rate, now)
  }

  count(key: LimitKey, rate: CompiledRate, starts: number, now: number): void {
    const log = this.#logOf(key)
    log.add(rate, starts, now)
    this.#book.changed(nameOf(key), log)
  }

  /** They did not come to be. */
  refund(key: LimitKey, starts: number): void {
    const log = this.#logOf(key)
    log.refund(starts)
    this.#book.changed(nameOf(key), log)
  }

  #logOf(key: LimitKey): RateLog {
    return (key.log ??= this.#book.log(nameOf(key)))
  }
}

function nameOf({ queueId, number }: LimitKey): string {
  return rateName(queueId, number)
}
