/**
 * The logs of all rates in use, and their records in the store. A log changes as jobs are claimed or come back unstarted, and is
 * written in the commit that does it. A record that has run out is removed when its log is written next, or by a sweep that goes with
 * the writes, so that keys that are used once leave nothing behind.
 */
import { RATE_SWEEP } from '../base/limits.js'
import type { Engine, WriteBatch } from '../store/engine.js'
import { putRate, readRate, readRates, removeRate } from '../store/rates.js'
import { RateLog } from './rate-log.js'

export class RateBook {
  readonly #engine: Engine
  /** Changed since the last commit was put together. */
  readonly #changed = new Map<string, RateLog>()
  /** Part of the commit under way: what the store says of them is behind. */
  readonly #written = new Map<string, RateLog>()
  #sweptTo = ''

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** The log of a rate. Whoever asks keeps it as long as it is in use. */
  log(name: string): RateLog {
    const known = this.#changed.get(name) ?? this.#written.get(name)
    if (known !== undefined) return known
    const stored = readRate(this.#engine, name)
    return stored === undefined ? new RateLog() : RateLog.of(stored)
  }

  changed(name: string, log: RateLog): void {
    this.#changed.set(name, log)
  }

  /** Adds what has changed to the commit under way. */
  write(batch: WriteBatch, now: number): void {
    if (this.#changed.size === 0) return
    for (const [name, log] of this.#changed) {
      if (log.until > now) putRate(batch, name, log.record())
      else removeRate(batch, name)
      this.#written.set(name, log)
    }
    const found = readRates(this.#engine, this.#sweptTo, RATE_SWEEP * this.#changed.size)
    this.#sweptTo = found.at(-1)?.name ?? ''
    for (const { name, rate } of found) {
      const last = rate.moments.at(-1)?.[0] ?? 0
      if (last + rate.spanMs <= now && !this.#written.has(name)) removeRate(batch, name)
    }
    this.#changed.clear()
  }

  /** The commit under way has become durable. */
  committed(): void {
    if (this.#written.size > 0) this.#written.clear()
  }
}
