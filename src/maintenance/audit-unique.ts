/**
 * Holds the records of unique keys against the jobs that name them. Part of the store audit.
 *
 * - A job that waits for its first run, or waits at all and holds its key until it is over, is the holder of the key that it names. One
 *   that a dead process had handed to a thread may have given it up; a finished one may have been outlived by its key's next holder.
 * - A holder is a job that names the key, or one that is over and whose time is not. Its record says what the job says; of a job that is
 *   gone nobody else knows the number, the queue and the rank, so that only their bounds are looked at: a queue that there is, and a
 *   number that was given out.
 * - A holder with a time has its record in the order of times, and there are no others.
 */
import { metaKey } from '../codec/keys.js'
import {
  type KeyHolder,
  readHolder,
  readUniqueExpiryKey,
  uniqueExpiryKey,
  uniqueHash,
  uniqueIndexKey,
  writeHolder,
} from '../codec/unique-entry.js'
import type { StoredUnique } from '../job/unique.js'
import type { Engine, Entry, WriteBatch } from '../store/engine.js'

/** A job that names a key. */
export interface KeyedJob {
  readonly seq: number
  readonly definitionId: number
  readonly queueId: number
  readonly rank: number
  readonly unique: StoredUnique
  readonly over: boolean
  /** A run of it has ended. */
  readonly hasRun: boolean
}

type Tell = (text: string, repair?: (batch: WriteBatch) => void) => void

export class UniqueAudit {
  readonly #engine: Engine
  readonly #keepsAll: boolean
  readonly #names = new Map<number, string>()
  readonly #jobs = new Map<string, KeyedJob[]>()
  /** With the bytes of its record, in which there may be more than a holder says. */
  readonly #holders = new Map<string, { readonly holder: KeyHolder; readonly stored: Buffer }>()
  readonly #expiries = new Map<string, number[]>()
  /** Records in the order of times that hold something. */
  readonly #filled: { readonly expiresAt: number; readonly hash: string; readonly bytes: number }[] = []
  /** Numbers of jobs that are handed to threads: from, and behind the last. */
  readonly #claimed: { readonly from: number; readonly to: number }[] = []

  /** @param keepsAll - nothing was ever pruned: a job that is over is not outlived by its key */
  constructor(engine: Engine, keepsAll: boolean) {
    this.#engine = engine
    this.#keepsAll = keepsAll
  }

  /** Takes note of a job that is there. */
  add(job: Omit<KeyedJob, 'unique'>, unique: StoredUnique | undefined): void {
    if (unique === undefined) return
    const hash = uniqueHash(this.#definitionName(job.definitionId), unique.key)
    this.#jobs.set(hash, [...(this.#jobs.get(hash) ?? []), { ...job, unique }])
  }

  claim(from: number, to: number): void {
    this.#claimed.push({ from, to })
  }

  readHolder({ key, value }: Entry): void {
    this.#holders.set(key.toString('latin1', 1), { holder: readHolder(value), stored: value })
  }

  readExpiry({ key, value }: Entry): void {
    const { expiresAt, hash } = readUniqueExpiryKey(key)
    if (value.length > 0) this.#filled.push({ expiresAt, hash, bytes: value.length })
    this.#expiries.set(hash, [...(this.#expiries.get(hash) ?? []), expiresAt])
  }

  /**
   * @param queues - the queues that the store knows
   * @param highest - raised to the numbers of holders whose jobs are gone: they were given out
   */
  check(queues: ReadonlySet<number>, highest: { seq: number }, tell: Tell): void {
    for (const [hash, { holder, stored }] of this.#holders) {
      if (!this.#checkHolder(hash, holder, stored, tell)) continue
      highest.seq = Math.max(highest.seq, holder.seq)
      if (!queues.has(holder.queueId)) tell(`index unique of job ${holder.seq} is of the unknown queue ${holder.queueId}`)
    }
    for (const [hash, jobs] of this.#jobs) for (const job of jobs) this.#checkJob(hash, job, tell)
    for (const { expiresAt, hash, bytes } of this.#filled) {
      const text = `index unique expiry ${expiresAt} holds ${bytes} bytes that say nothing`
      tell(text, (batch) => batch.put('index', uniqueExpiryKey(expiresAt, hash), Buffer.alloc(0)))
    }
    for (const [hash, expiries] of this.#expiries) {
      for (const expiresAt of expiries) {
        if (this.#holders.get(hash)?.holder.expiresAt === expiresAt) continue
        const text = `index unique expiry ${expiresAt} is stray: no key is held until then`
        tell(text, (batch) => batch.remove('index', uniqueExpiryKey(expiresAt, hash)))
      }
    }
  }

  /** Returns whether it is there by right, of a job that is gone. */
  #checkHolder(hash: string, holder: KeyHolder, stored: Buffer, tell: Tell): boolean {
    const { seq, expiresAt } = holder
    const job = this.#jobs.get(hash)?.find((each) => each.seq === seq)
    const waitsForTime = expiresAt !== 0 && holder.released
    const name = `index unique of job ${seq}`
    if (job === undefined ? !(waitsForTime && holder.over) : isReleased(job) && !waitsForTime) {
      const what = job === undefined ? 'no such job names its key' : 'the job has let go of its key'
      tell(`${name} is stray: ${what}`, (batch) => batch.remove('index', uniqueIndexKey(hash)))
      return false
    }
    if (expiresAt !== 0 && this.#expiries.get(hash)?.includes(expiresAt) !== true) {
      const text = `index unique expiry of job ${seq} is missing: nothing tells when its key is free`
      tell(text, (batch) => batch.put('index', uniqueExpiryKey(expiresAt, hash), Buffer.alloc(0)))
    }
    const expected = writeHolder(job === undefined ? holder : holderOf(job, expiresAt))
    const what = job === undefined ? 'something that no holder says' : 'something else than the job'
    if (!expected.equals(stored)) tell(`${name} says ${what}`, (batch) => batch.put('index', uniqueIndexKey(hash), expected))
    return job === undefined
  }

  /** Whether a job that must hold its key does. */
  #checkJob(hash: string, job: KeyedJob, tell: Tell): void {
    const { seq, unique, over } = job
    const mayHaveLost = over ? !this.#keepsAll : this.#claimed.some(({ from, to }) => seq >= from && seq < to)
    const holder = this.#holders.get(hash)?.holder
    if (mayHaveLost || isReleased(job) || holder?.seq === seq) return
    const text = `job ${seq} does not hold its unique key ${JSON.stringify(unique.key)}`
    // A holder that is astray goes first, and then nobody holds the key.
    if (holder !== undefined) tell(`${text}: job ${holder.seq} does`)
    else tell(text, (batch) => batch.put('index', uniqueIndexKey(hash), writeHolder(holderOf(job, 0))))
  }

  #definitionName(id: number): string {
    let name = this.#names.get(id)
    if (name === undefined) {
      name = this.#engine.get('meta', metaKey(`definition:${id}`))?.toString('utf8') ?? ''
      this.#names.set(id, name)
    }
    return name
  }
}

/** The job has left the states in which it holds its key. */
function isReleased({ unique, hasRun, over }: KeyedJob): boolean {
  return over ? unique.while !== 'kept' : unique.while === 'waiting' && hasRun
}

function holderOf(job: KeyedJob, expiresAt: number): KeyHolder {
  const { seq, queueId, rank, unique, over } = job
  return { seq, queueId, rank, while: unique.while, released: isReleased(job), over, expiresAt }
}
