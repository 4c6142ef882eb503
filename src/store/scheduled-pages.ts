/** The table `scheduled`: pages of jobs that are delayed or wait to be retried, in due order. Called through the job store. */
import { INDEX_GROUP, INDEX_SOLO, indexKey, readScheduledKey, scheduledKey } from '../codec/keys.js'
import { writeLocation } from '../codec/location.js'
import { readScheduled, type ScheduledPage, writeScheduled } from '../codec/scheduled-record.js'
import type { Engine, WriteBatch } from './engine.js'
import type { PageRef } from './page-ref.js'

export class ScheduledPages {
  readonly #engine: Engine
  /** Pages that the commit under way changes, by key. */
  readonly #changing = new Map<string, PageRef>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Stores a page under the instant at which it becomes due. The lane it will go to travels in front of its bytes. */
  put(batch: WriteBatch, runAt: number, queueId: number, rank: number, page: Buffer, firstSeq: number, solo: boolean): void {
    const key = scheduledKey(runAt, firstSeq, solo)
    batch.put('scheduled', key, writeScheduled(queueId, rank, page))
    batch.put('index', indexKey(solo ? INDEX_SOLO : INDEX_GROUP, firstSeq), writeLocation('scheduled', key))
  }

  /** What is due at `now`, in due order. */
  readDue(now: number, limit: number): ScheduledPage[] {
    return this.#engine
      .range('scheduled', { end: scheduledKey(now + 1, 0, false), limit })
      .map(({ key, value }) => readScheduled(key, value))
  }

  read(after: Buffer | undefined, limit: number): ScheduledPage[] {
    const start = after === undefined ? {} : { start: Buffer.concat([after, Buffer.of(0)]) }
    return this.#engine.range('scheduled', { ...start, limit }).map(({ key, value }) => readScheduled(key, value))
  }

  readAt(key: Buffer): ScheduledPage | undefined {
    const value = this.#engine.get('scheduled', key)
    return value === undefined ? undefined : readScheduled(key, value)
  }

  /** The earliest instant at which something becomes due; Infinity when nothing waits. */
  nextDueAt(): number {
    const [first] = this.#engine.range('scheduled', { limit: 1 })
    return first === undefined ? Infinity : readScheduledKey(first.key).runAt
  }

  /** Makes `changed` answer this page, which stands in for a record, until `committed`. */
  changing(key: Buffer, page: PageRef): void {
    this.#changing.set(key.toString('latin1'), page)
  }

  /** The page that stands in for a record and that the commit under way changes, if it does. */
  changed(key: Buffer): PageRef | undefined {
    return this.#changing.size === 0 ? undefined : this.#changing.get(key.toString('latin1'))
  }

  /** The commit under way has become durable. */
  committed(): void {
    this.#changing.clear()
  }
}
