/** The load of the soak: rounds of mixed jobs, each followed to its end and held against what was asked for. */
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import { openExecutorWith } from '../../../src/executor/open-executor.js'
import { isMillraceError, type Executor, type JobHandle } from '../../../src/index.js'
import { type LmdbEngine, openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createPrng, type Prng } from '../../support/prng.js'
import { endOf, hashOf, soakJob, type SoakInput } from '../../fixtures/torture/soak-job.js'
import { checkCopy } from './copy.js'

const QUEUES = ['default', 'bulk', 'urgent'] as const
/** Of a round: small enough that each ends within a second or two. */
const JOBS_A_ROUND = 60
/** What native Buffers of the largest payloads are cut from: random bytes are slow to make. */
const POOL_BYTES = 2 ** 20
/** Rounds between two in which a backup is made. */
const ROUNDS_A_COPY = 10

type End = 'completed' | 'discarded' | 'cancelled'

export interface LoadOptions {
  readonly seed: number
  readonly directory: string
  /** For planted faults. */
  readonly onJob?: (input: SoakInput) => void
  readonly retain?: number
  readonly onOpen?: (directory: string) => Promise<void>
}

export class Load {
  readonly violations: string[] = []
  readonly ended: Record<End, number> = { completed: 0, discarded: 0, cancelled: 0 }
  /** The longest wait of any job from its enqueueing, or when it was due, to its first start, since the last time it was asked. */
  #oldestWaitMs = 0
  readonly #prng: Prng
  readonly #pool: Buffer
  readonly #options: LoadOptions
  #executor: Executor | undefined
  #engine: LmdbEngine | undefined
  #keys = 0
  #rounds = 0
  #copies = 0
  readonly #due = new Map<string, number>()
  /** Acknowledged, and not over as far as anybody was told. */
  readonly #promised = new Set<string>()

  constructor(options: LoadOptions) {
    this.#options = options
    this.#prng = createPrng(options.seed)
    this.#pool = this.#prng.bytes(POOL_BYTES)
  }

  get executor(): Executor {
    if (this.#executor === undefined) throw new Error('the soak is closed')
    return this.#executor
  }

  get jobs(): number {
    return this.ended.completed + this.ended.discarded + this.ended.cancelled
  }

  /** Backups that were made, looked through and run to their end. */
  get copies(): number {
    return this.#copies
  }

  /** Readers of the store's file, as LMDB counts them. */
  get readers(): number {
    return this.#engine?.readers ?? 0
  }

  takeOldestWait(): number {
    const oldest = this.#oldestWaitMs
    this.#oldestWaitMs = 0
    return oldest
  }

  async open(): Promise<void> {
    const { directory, retain = 200, onOpen } = this.#options
    const path = join(directory, 'store')
    this.#engine = await openLmdbEngine(path, { durability: 'disk', clock: systemClock })
    this.#executor = await openExecutorWith(
      {
        path,
        jobs: [soakJob],
        threads: 2,
        queues: { default: {}, bulk: { concurrency: 1 }, urgent: {} },
        recycle: { afterJobs: 400 },
        abortGrace: 0,
        retain: { jobs: retain },
      },
      { engine: this.#engine },
    )
    await onOpen?.(path)
    this.#executor.on('started', ({ job, attempt, at }) => {
      const due = this.#due.get(job.id)
      if (due !== undefined && attempt === 1) this.#oldestWaitMs = Math.max(this.#oldestWaitMs, at - due)
      this.#due.delete(job.id)
    })
  }

  /** Closes in the middle of work or after it; what was stored is what ended. */
  async close(): Promise<void> {
    const { totals } = this.executor.stats()
    for (const [state, count] of Object.entries(this.ended)) {
      const stored = totals[state as End]
      if (stored !== count)
        this.violations.push(`round of seed ${this.#options.seed}: ${count} jobs ${state}, and the store says ${stored}`)
    }
    await this.executor.close({ grace: '10s' })
    this.#executor = undefined
    this.#due.clear()
  }

  /** Enqueues a round and follows it to its end. */
  async round(): Promise<void> {
    const followed: Promise<void>[] = []
    for (let left = JOBS_A_ROUND; left > 0; left--) followed.push(this.#one())
    if (this.#rounds++ % ROUNDS_A_COPY === 0) followed.push(this.#copy())
    await Promise.all(followed)
    if (this.#prng.below(4) === 0) await this.#many()
    await this.executor.drain()
    const counts = await this.executor.counts()
    const open = counts.available + counts.running + counts.scheduled + counts.retryable
    if (open > 0) this.violations.push(`after a drain ${open} jobs are not over`)
  }

  /** While the jobs of this round run. */
  async #copy(): Promise<void> {
    while (this.#promised.size === 0) await new Promise((resolve) => setImmediate(resolve))
    const path = join(this.#options.directory, `copy-${this.#copies++}`)
    this.violations.push(...(await checkCopy(this.executor, path, this.#promised)))
  }

  #input(): SoakInput {
    const dice = this.#prng.below(1000)
    const ends = dice < 30 ? 'fails once' : dice < 40 ? 'is fatal' : dice < 43 ? 'hangs once' : dice < 46 ? 'waits' : 'completes'
    const length = dice % 10 === 0 ? this.#prng.below(300_000) + 100 : this.#prng.below(4000) + 100
    const from = this.#prng.below(POOL_BYTES - length)
    const bytes = new Uint8Array(this.#pool.subarray(from, from + length))
    const input: SoakInput = { key: this.#keys++, ends, hash: hashOf(bytes), bytes }
    this.#options.onJob?.(input)
    return input
  }

  async #one(): Promise<void> {
    const input = this.#input()
    const delayMs = this.#prng.below(10) === 0 ? this.#prng.below(300) : 0
    const job = await this.executor.enqueue(soakJob, input, {
      queue: this.#prng.pick(QUEUES),
      priority: this.#prng.below(3) - 1,
      delay: delayMs,
      // Only those that never end on their own are cancelled; on any other the cancel may come too late.
      ...(input.ends === 'waits' && { timeout: Infinity }),
      // However slow the machine is, one of its later runs ends in time.
      ...(input.ends === 'hangs once' && { timeout: 500, maxRetries: Infinity }),
    })
    this.#promised.add(job.id)
    this.#due.set(job.id, Date.now() + delayMs)
    const cancelled = input.ends === 'waits' ? await this.executor.cancel(job.id, 'the soak is done with it') : false
    if (input.ends === 'waits' && !cancelled) this.violations.push(`job ${job.id} never ends, and its cancel came to nothing`)
    await this.#follow(job, input)
  }

  async #many(): Promise<void> {
    const inputs = Array.from({ length: 100 }, () => this.#input()).filter(
      ({ ends }) => ends === 'completes' || ends === 'is fatal',
    )
    const jobs = await this.executor.enqueueMany(soakJob, inputs)
    for (const { id } of jobs) this.#promised.add(id)
    await Promise.all(jobs.map((job, index) => this.#follow(job, inputs[index] as SoakInput)))
  }

  /** Waits for the end and holds it, output included, against what was told. */
  async #follow(job: JobHandle<{ hash: string; bytes: Uint8Array }>, input: SoakInput): Promise<void> {
    const { ends, key, bytes } = input
    const expected = endOf(input)
    let end: End
    try {
      const output = await job.result()
      end = 'completed'
      const isRight =
        output.bytes.length === bytes.length &&
        hashOf(output.bytes) === output.hash &&
        output.bytes[0] === ((bytes[0] ?? 0) ^ 0x5a)
      if (!isRight) this.violations.push(`job ${job.id} (key ${key}): its output is not what it returned`)
    } catch (error) {
      if (isMillraceError(error, 'MILLRACE_JOB_FAILED')) end = 'discarded'
      else if (isMillraceError(error, 'MILLRACE_JOB_CANCELLED')) end = 'cancelled'
      else throw error
    }
    this.#due.delete(job.id)
    this.#promised.delete(job.id)
    this.ended[end]++
    if (end !== expected) this.violations.push(`job ${job.id} (key ${key}, ${ends}): ${end} instead of ${expected}`)
  }
}
