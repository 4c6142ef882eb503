/**
 * Which job holds which unique key. Owns the index's records of keys and when they go: in the very commit in which their job leaves
 * the states in which it holds them, or their time is over, whichever comes last.
 *
 * A job that no longer holds its key (a newer one took it, because the job runs and cannot be changed any more) is left in peace: each
 * record names its job, and only that job takes it away.
 *
 * The answers are those of the commit under way: what it has changed already counts. Called within turns, and at recovery.
 */
import { EXPIRE_KEYS } from '../base/limits.js'
import {
  type KeyHolder,
  readHolder,
  readUniqueExpiryKey,
  uniqueExpiryKey,
  uniqueExpiryStart,
  uniqueIndexKey,
  writeHolder,
} from '../codec/unique-entry.js'
import { INDEX_UNIQUE_EXPIRY } from '../codec/keys.js'
import type { Engine, WriteBatch } from './engine.js'

const NOTHING = Buffer.alloc(0)

export class UniqueIndex {
  readonly #engine: Engine
  /** What the commit under way makes of them; undefined: nobody holds the key any more. */
  readonly #changed = new Map<string, KeyHolder | undefined>()
  #nextExpiryAt: number
  #expiryIsStale = false

  constructor(engine: Engine) {
    this.#engine = engine
    this.#nextExpiryAt = this.#readNextExpiry()
  }

  /** When the next time of a key is over, in epoch ms; `Infinity` for never. */
  get nextExpiryAt(): number {
    return this.#nextExpiryAt
  }

  /** Who holds a key. Its time may be over and the record not gone yet. */
  find(hash: string): KeyHolder | undefined {
    if (this.#changed.has(hash)) return this.#changed.get(hash)
    const stored = this.#engine.get('index', uniqueIndexKey(hash))
    return stored === undefined ? undefined : readHolder(stored)
  }

  /** The job holds the key from now on, whoever held it before. */
  take(batch: WriteBatch, hash: string, holder: KeyHolder): void {
    const before = this.find(hash)
    if (before !== undefined && before.expiresAt !== holder.expiresAt) this.#removeExpiry(batch, hash, before)
    batch.put('index', uniqueIndexKey(hash), writeHolder(holder))
    if (holder.expiresAt !== 0 && holder.expiresAt !== before?.expiresAt) {
      batch.put('index', uniqueExpiryKey(holder.expiresAt, hash), NOTHING)
      this.#nextExpiryAt = Math.min(this.#nextExpiryAt, holder.expiresAt)
    }
    this.#changed.set(hash, holder)
  }

  /** A run of the job has ended and it lives on. False when it has nothing more to do with the key. */
  runEnded(batch: WriteBatch, hash: string, seq: number, now: number): boolean {
    const holder = this.#heldBy(hash, seq)
    if (holder === undefined) return false
    if (holder.while !== 'waiting') return true
    return this.#release(batch, hash, holder, now)
  }

  /** The job is over. False when its record need not name the key. @param isKept - it joins the finished jobs */
  over(batch: WriteBatch, hash: string, seq: number, isKept: boolean, now: number): boolean {
    const holder = this.#heldBy(hash, seq)
    if (holder === undefined) return false
    if (holder.while === 'kept' && isKept) {
      this.take(batch, hash, { ...holder, over: true })
      return true
    }
    this.#release(batch, hash, { ...holder, over: true }, now)
    return false
  }

  /** The record of a finished job has left the store. */
  pruned(batch: WriteBatch, hash: string, seq: number, now: number): void {
    const holder = this.#heldBy(hash, seq)
    if (holder !== undefined) this.#release(batch, hash, holder, now)
  }

  /** Removes what only time held and whose time is over, in bounded number. */
  expire(batch: WriteBatch, now: number): void {
    if (this.#nextExpiryAt > now) return
    const end = uniqueExpiryStart(Math.floor(now) + 1)
    const expired = this.#engine.range('index', { start: uniqueExpiryStart(0), end, limit: EXPIRE_KEYS })
    for (const { key } of expired) {
      const { expiresAt, hash } = readUniqueExpiryKey(key)
      const holder = this.find(hash)
      // Another one since: this record says nothing any more.
      if (holder?.expiresAt !== expiresAt) batch.remove('index', key)
      else if (holder.released) this.#remove(batch, hash, holder)
      else this.take(batch, hash, { ...holder, expiresAt: 0 })
    }
    if (expired.length > 0) this.#expiryIsStale = true
  }

  /** The commit under way has become durable. */
  committed(): void {
    this.#changed.clear()
    if (this.#expiryIsStale) this.#nextExpiryAt = this.#readNextExpiry()
    this.#expiryIsStale = false
  }

  #heldBy(hash: string, seq: number): KeyHolder | undefined {
    const holder = this.find(hash)
    return holder?.seq === seq ? holder : undefined
  }

  /** The job's state holds the key no longer. True if its time still does. */
  #release(batch: WriteBatch, hash: string, holder: KeyHolder, now: number): boolean {
    if (holder.expiresAt <= now) {
      this.#remove(batch, hash, holder)
      return false
    }
    this.take(batch, hash, { ...holder, released: true })
    return true
  }

  #remove(batch: WriteBatch, hash: string, holder: KeyHolder): void {
    batch.remove('index', uniqueIndexKey(hash))
    this.#removeExpiry(batch, hash, holder)
    this.#changed.set(hash, undefined)
  }

  #removeExpiry(batch: WriteBatch, hash: string, { expiresAt }: KeyHolder): void {
    if (expiresAt === 0) return
    batch.remove('index', uniqueExpiryKey(expiresAt, hash))
    if (expiresAt <= this.#nextExpiryAt) this.#expiryIsStale = true
  }

  #readNextExpiry(): number {
    const [first] = this.#engine.range('index', {
      start: uniqueExpiryStart(0),
      end: Buffer.of(INDEX_UNIQUE_EXPIRY + 1),
      limit: 1,
    })
    return first === undefined ? Infinity : readUniqueExpiryKey(first.key).expiresAt
  }
}
