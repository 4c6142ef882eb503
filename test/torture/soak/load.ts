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
const PRIORITIES = [-1, 0, 1] as const
/** A queue and a priority. */
export type Lane = `${(typeof QUEUES)[number]} ${(typeof PRIORITIES)[number]}`
export const LANES: readonly Lane[] = QUEUES.flatMap((queue) => PRIORITIES.map((priority): Lane => `${queue} ${priority}`))
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
  /** Told of every step, by where it leads; and of every job that ended. */
  readonly onStep: (stage?: string) => void
  readonly onViolation: (violation: string) => void
  /** For planted faults. */
  readonly onJob?: (input: SoakInput) => void
  readonly retain?: number
}

export class Load {
  readonly ended: Record<End, number> = { completed: 0, discarded: 0, cancelled: 0 }
  /** From a job's enqueueing, or when it was due, to its first start, since they were asked for the last time. */
  readonly #longestWaitsMs = new Map<Lane, number>()
  readonly #prng: Prng
  readonly #pool: Buffer
  readonly #options: LoadOptions
  #executor: Executor | undefined
  #engine: LmdbEngine | undefined
  #keys = 0
  #rounds = 0
  #copies = 0
  readonly #due = new Map<string, { readonly lane: Lane; readonly at: number }>()
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

  /** The store's directory. */
  get path(): string {
    return join(this.#options.directory, 'store')
  }

  takeLongestWaits(): Record<`waitMs ${Lane}`, number> {
    const waits = Object.fromEntries(LANES.map((lane) => [`waitMs ${lane}`, this.#longestWaitsMs.get(lane) ?? 0]))
    this.#longestWaitsMs.clear()
    return waits as Record<`waitMs ${Lane}`, number>
  }

  async open(): Promise<void> {
    const { retain = 200, onStep } = this.#options
    const { path } = this
    onStep('opening')
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
    this.#executor.on('started', ({ job, attempt, at }) => {
      const due = this.#due.get(job.id)
      if (due !== undefined && attempt === 1) {
        this.#longestWaitsMs.set(due.lane, Math.max(this.#longestWaitsMs.get(due.lane) ?? 0, at - due.at))
      }
      this.#due.delete(job.id)
    })
  }

  /** Closes in the middle of work or after it; what was stored is what ended. */
  async close(): Promise<void> {
    const { totals } = this.executor.stats()
    for (const [state, count] of Object.entries(this.ended)) {
      const stored = totals[state as End]
      if (stored !== count)
        this.#options.onViolation(`round of seed ${this.#options.seed}: ${count} jobs ${state}, and the store says ${stored}`)
    }
    this.#options.onStep(`close after round ${this.#rounds}`)
    await this.executor.close({ grace: '10s' })
    this.#executor = undefined
    this.#due.clear()
  }

  /** Enqueues a round and follows it to its end. */
  async round(): Promise<void> {
    const followed: Promise<void>[] = []
    const round = ++this.#rounds
    const { onStep } = this.#options
    onStep(`round ${round}`)
    for (let left = JOBS_A_ROUND; left > 0; left--) followed.push(this.#one())
    if (round % ROUNDS_A_COPY === 1) followed.push(this.#copy())
    await Promise.all(followed)
    if (this.#prng.below(4) === 0) await this.#many()
    onStep(`drain of round ${round}`)
    await this.executor.drain()
    const counts = await this.executor.counts()
    const open = counts.available + counts.running + counts.scheduled + counts.retryable
    if (open > 0) this.#options.onViolation(`after a drain ${open} jobs are not over`)
  }

  /** While the jobs of this round run. */
  async #copy(): Promise<void> {
    while (this.#promised.size === 0) await new Promise((resolve) => setImmediate(resolve))
    const path = join(this.#options.directory, `copy-${this.#copies++}`)
    const { onStep, onViolation } = this.#options
    for (const problem of await checkCopy(this.executor, path, this.#promised, onStep)) onViolation(problem)
    onStep(`round ${this.#rounds}`)
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
    const queue = this.#prng.pick(QUEUES)
    const priority = this.#prng.pick(PRIORITIES)
    const job = await this.executor.enqueue(soakJob, input, {
      queue,
      priority,
      delay: delayMs,
      // Only those that never end on their own are cancelled; on any other the cancel may come too late.
      ...(input.ends === 'waits' && { timeout: Infinity }),
      // However slow the machine is, one of its later runs ends in time.
      ...(input.ends === 'hangs once' && { timeout: 500, maxRetries: Infinity }),
    })
    this.#promised.add(job.id)
    this.#due.set(job.id, { lane: `${queue} ${priority}`, at: Date.now() + delayMs })
    const cancelled = input.ends === 'waits' ? await this.executor.cancel(job.id, 'the soak is done with it') : false
    if (input.ends === 'waits' && !cancelled)
      this.#options.onViolation(`job ${job.id} never ends, and its cancel came to nothing`)
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
      if (!isRight) this.#options.onViolation(`job ${job.id} (key ${key}): its output is not what it returned`)
    } catch (error) {
      if (isMillraceError(error, 'MILLRACE_JOB_FAILED')) end = 'discarded'
      else if (isMillraceError(error, 'MILLRACE_JOB_CANCELLED')) end = 'cancelled'
      else throw error
    }
    this.#due.delete(job.id)
    this.#promised.delete(job.id)
    this.ended[end]++
    this.#options.onStep()
    if (end !== expected) this.#options.onViolation(`job ${job.id} (key ${key}, ${ends}): ${end} instead of ${expected}`)
  }
}
