/**
 * Works out the writes that put a store right, from what the audit says: in rounds, each over the store as the writes so far would
 * leave it, because one repair brings up the next (a job taken out of a page changes the counters). Writes nothing itself.
 */
import { type Engine, type Entry, type RangeOptions, type Table, WriteBatch } from '../store/engine.js'
import { type Audit, type AuditOptions, auditStore } from './store-audit.js'

export interface RepairPlan {
  /** To be committed at once. */
  readonly writes: WriteBatch
  /** What is wrong now and will not be any more. */
  readonly repaired: readonly string[]
  /** The store as it will be. */
  readonly after: Audit
}

/** Repairs that bring up repairs end after three or four rounds; one that goes on would never end. */
const MAX_ROUNDS = 8

export function planRepair(engine: Engine, options: AuditOptions): RepairPlan {
  const overlay = new Overlay(engine)
  const repaired = new Set<string>()
  let after = auditStore(overlay, options)
  for (let round = 0; round < MAX_ROUNDS && after.problems.some(({ repair }) => repair !== undefined); round++) {
    const batch = new WriteBatch()
    for (const { text, repair } of after.problems) {
      repair?.(batch)
      if (repair !== undefined) repaired.add(text)
    }
    overlay.apply(batch)
    after = auditStore(overlay, options)
  }
  for (const { text } of after.problems) repaired.delete(text)
  return { writes: overlay.writes(), repaired: [...repaired], after }
}

/** A store as it will be once some writes are committed. Keys in strings of one character a byte order as the bytes do. */
class Overlay implements Engine {
  readonly #engine: Engine
  readonly #changed = new Map<Table, Map<string, Buffer | undefined>>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  apply(batch: WriteBatch): void {
    for (const [index, table] of batch.tables.entries()) {
      const key = Buffer.from(batch.keys[index] ?? []).toString('latin1')
      const value = batch.values[index]
      const changed = this.#changed.get(table) ?? new Map<string, Buffer | undefined>()
      this.#changed.set(table, changed)
      changed.set(key, value && Buffer.from(value))
    }
  }

  writes(): WriteBatch {
    const batch = new WriteBatch()
    for (const [table, changed] of this.#changed) {
      for (const [name, value] of changed) {
        const key = Buffer.from(name, 'latin1')
        if (value === undefined) batch.remove(table, key)
        else batch.put(table, key, value)
      }
    }
    return batch
  }

  get(table: Table, key: Uint8Array): Buffer | undefined {
    const changed = this.#changed.get(table)
    const name = Buffer.from(key).toString('latin1')
    return changed?.has(name) === true ? changed.get(name) : this.#engine.get(table, key)
  }

  /** Forwards only, which is how the audit reads. */
  range(table: Table, options: RangeOptions): Entry[] {
    const changed = this.#changed.get(table)
    if (changed === undefined) return this.#engine.range(table, options)
    const start = options.start && Buffer.from(options.start)
    const end = options.end && Buffer.from(options.end)
    const added: Entry[] = []
    for (const [name, value] of changed) {
      const key = Buffer.from(name, 'latin1')
      const isWithin = (start === undefined || key.compare(start) >= 0) && (end === undefined || key.compare(end) < 0)
      if (isWithin && value !== undefined) added.push({ key, value })
    }
    // As many more as may fall out.
    const stored = this.#engine.range(table, { ...options, limit: options.limit + changed.size })
    const kept = stored.filter(({ key }) => !changed.has(key.toString('latin1')))
    return [...kept, ...added].sort((a, b) => a.key.compare(b.key)).slice(0, options.limit)
  }

  commit(): Promise<void> {
    return Promise.reject(new Error('an overlay is not written to'))
  }

  stats(): ReturnType<Engine['stats']> {
    return this.#engine.stats()
  }

  async close(): Promise<void> {}
}
