/** What the rates of a queue's limit keys allow. A key's log is read when the first of its jobs brings a rate. */
import type { CompiledRate } from '../job/limit.js'
import { rateName } from '../store/rates.js'
import { CountedStarts, type Span } from './counted-starts.js'
import type { LimitKey } from './limit-key.js'
import type { RateBook } from './rate-book.js'
import type { RateLog } from './rate-log.js'

export class KeyRates {
  readonly #book: RateBook
  readonly #counted = new CountedStarts()

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

  /** Jobs are handed out. */
  count(key: LimitKey, rate: CompiledRate, jobs: readonly Span[], now: number): void {
    const log = this.#logOf(key)
    log.add(rate, this.#counted.note(jobs, now), now)
    this.#book.changed(nameOf(key), log)
  }

  /** They come back unstarted. */
  refund(key: LimitKey, jobs: readonly Span[]): void {
    const log = this.#logOf(key)
    for (const [at, starts] of this.#counted.takeBack(jobs)) log.refund(starts, at)
    this.#book.changed(nameOf(key), log)
  }

  #logOf(key: LimitKey): RateLog {
    return (key.log ??= this.#book.log(nameOf(key)))
  }
}

function nameOf({ queueId, number }: LimitKey): string {
  return rateName(queueId, number)
}
