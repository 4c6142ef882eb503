/**
 * An executor over LMDB for one storm: it counts commits, turns and the threads that are born and end, keeps every job with what is to
 * become of it, and judges all of that when the executor is closed. A storm in which nothing moves any more is broken off: it hangs.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { systemClock } from '../../../src/base/clock.js'
import { PHASE_LOADING } from '../../../src/codec/batch-control.js'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import { openExecutorWith } from '../../../src/executor/open-executor.js'
import type { Executor, ExecutorOptions, JobDefinition, JobInfo } from '../../../src/index.js'
import type { Engine } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { native, sole } from '../../fixtures/torture/victims.js'
import { threadLives } from '../../support/open.js'
import { hangs, SILENCE_MS } from '../../support/silence.js'
import { checkStore } from '../../support/store-check.js'

/** What a job is to end as. */
export interface Fate {
  readonly state: 'completed' | 'cancelled' | 'discarded'
  /** Every attempt, such as `1 timedOut`. */
  readonly attempts: readonly string[]
  /** Of the last attempt. */
  readonly code?: string
  readonly output?: unknown
}

/** What the executor of an arena has done so far. */
interface Deeds {
  commits: number
  /** Commits under way. */
  committing: number
  /** Threads that were gone while one was. */
  goneInCommit: number
}

let loadingEnds = 0
let looks = 0

/** Threads of this process that have ended while they loaded a handler's module. */
export function endedWhileLoading(): number {
  return loadingEnds
}

const { collect } = Dispatcher.prototype
Dispatcher.prototype.collect = function counted(this: Dispatcher) {
  looks++
  const all = collect.call(this)
  for (const { batch } of all) {
    const { control, end } = batch
    if (end?.kind === 'died' && control.taken > control.finished && control.phase === PHASE_LOADING) loadingEnds++
  }
  return all
}

/** Jobs whose threads may outlast their termination. */
const NATIVE: ReadonlySet<string> = new Set([native.name, sole.name])
/** So many violations tell enough: the storm is broken off. */
const ENOUGH = 10

export class Arena {
  readonly executor: Executor
  readonly violations: string[] = []
  readonly #directory: string
  readonly #deeds: Deeds
  readonly #fates = new Map<string, Fate>()
  readonly #livesBefore = threadLives.length
  readonly #looksBefore = looks
  /** Threads there were at once. */
  mostThreads = 0
  readonly #onWorker = (worker: Worker): void => {
    this.mostThreads = Math.max(this.mostThreads, this.threadsAlive)
    worker.once('exit', () => (this.#deeds.goneInCommit += this.#deeds.committing > 0 ? 1 : 0))
  }
  #silence: NodeJS.Timeout | undefined
  #hangs = false
  #breakOff: () => void = () => undefined
  /** Resolves when the storm is to be broken off. */
  readonly brokenOff = new Promise<void>((resolve) => (this.#breakOff = resolve))

  private constructor(executor: Executor, directory: string, deeds: Deeds) {
    this.executor = executor
    this.#deeds = deeds
    this.#directory = directory
    process.on('worker', this.#onWorker)
    this.#listenFor(this.#movement)
    executor.on('error', ({ error }) => this.blame(`the executor told an error: ${error.message}`))
    // Nobody closes it, and no handler is innocent of its own end: whoever is interrupted pays for another.
    executor.on('stuck', ({ job }) => {
      if (job !== undefined && !NATIVE.has(job.name)) this.blame(`JavaScript was not stopped: ${job.name} ${job.id}`)
    })
    executor.on('interrupted', ({ job }) => this.blame(`an innocent was interrupted: ${job.name} ${job.id}`))
  }

  static async open(options: Partial<ExecutorOptions> & { readonly jobs: readonly JobDefinition[] }): Promise<Arena> {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-torture-'))
    const engine = await openLmdbEngine(directory, { durability: 'disk', clock: systemClock })
    const deeds: Deeds = { commits: 0, committing: 0, goneInCommit: 0 }
    const counting: Engine = {
      get: (table, key) => engine.get(table, key),
      range: (table, given) => engine.range(table, given),
      commit: async (batch) => {
        deeds.commits++
        deeds.committing++
        try {
          await engine.commit(batch)
        } finally {
          deeds.committing--
        }
      },
      stats: () => engine.stats(),
      close: () => engine.close(),
    }
    const executor = await openExecutorWith(
      { path: directory, threads: 2, abortGrace: 0, queues: { good: {}, bad: {} }, retain: { jobs: Infinity }, ...options },
      { engine: counting },
    )
    return new Arena(executor, directory, deeds)
  }

  get commits(): number {
    return this.#deeds.commits
  }

  /** Threads that were gone while a commit was under way. */
  get goneInCommit(): number {
    return this.#deeds.goneInCommit
  }

  /** How often the main thread has looked what its threads have to tell. */
  get looks(): number {
    return looks - this.#looksBefore
  }

  blame(violation: string): void {
    if (this.violations.length < ENOUGH) this.violations.push(violation)
    if (this.violations.length >= ENOUGH) this.#breakOff()
  }

  /** A job that was enqueued, and what is to become of it. */
  expect(id: string, fate: Fate): void {
    this.#fates.set(id, fate)
  }

  /** Resolves when everything is over, or when the storm is broken off. */
  async drained(): Promise<void> {
    await Promise.race([this.executor.drain(), this.brokenOff])
  }

  get threadsEnded(): number {
    return threadLives.slice(this.#livesBefore).filter(({ exitMs }) => exitMs !== undefined).length
  }

  get threadsBorn(): number {
    return threadLives.length - this.#livesBefore
  }

  get threadsAlive(): number {
    return this.threadsBorn - this.threadsEnded
  }

  /** What changes as long as anything goes on. */
  get #movement(): string {
    return `${this.commits} ${this.threadsBorn} ${this.threadsEnded}`
  }

  #listenFor(before: string): void {
    this.#silence = setTimeout(() => {
      void hangs(() => this.#movement !== before).then((isSilent) => {
        if (!isSilent) return this.#listenFor(this.#movement)
        this.#hangs = true
        this.violations.push(`it hangs: ${JSON.stringify(this.executor.stats())}`)
        this.#breakOff()
      })
    }, SILENCE_MS).unref()
  }

  /** Compares what became of each job with its fate. */
  async judge(): Promise<void> {
    if (this.violations.length >= ENOUGH) return
    let seen = 0
    for await (const info of this.executor.list()) {
      seen++
      const fate = this.#fates.get(info.id)
      if (fate === undefined) this.blame(`a job that nobody enqueued: ${info.name} ${info.id}`)
      else for (const wrong of compare(info, fate)) this.blame(`${info.name} ${info.id}: ${wrong}`)
    }
    if (seen !== this.#fates.size) this.blame(`${seen} jobs are stored, ${this.#fates.size} were enqueued`)
  }

  /** Closes the executor, looks through the store, and removes it. */
  async close(): Promise<void> {
    if (!this.#hangs) await this.executor.close({ grace: 0 })
    clearTimeout(this.#silence)
    process.off('worker', this.#onWorker)
    if (this.#hangs) return
    if (this.threadsAlive > 0) this.blame(`leak: ${this.threadsAlive} threads live on after close`)
    const engine = await openLmdbEngine(this.#directory, { durability: 'process', clock: systemClock })
    for (const problem of checkStore(engine, { keepsAll: true })) this.blame(`store: ${problem}`)
    await engine.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function compare(info: JobInfo, fate: Fate): string[] {
  const attempts = info.attempts.map(({ attempt, outcome }) => `${attempt} ${outcome}`)
  const last = info.attempts.at(-1)?.error?.code
  return [
    ...(info.state === fate.state ? [] : [`is ${info.state}, not ${fate.state}`]),
    ...(attempts.join() === fate.attempts.join()
      ? []
      : [`its attempts are ${attempts.join()}, not ${fate.attempts.join()}; ${JSON.stringify(info.attempts)}`]),
    ...(fate.code === undefined || last === fate.code ? [] : [`its error is ${last ?? 'none'}, not ${fate.code}`]),
    ...(fate.output === undefined || info.output === fate.output
      ? []
      : [`its output is ${String(info.output)}, not ${String(fate.output)}`]),
  ]
}

/** The fate of a job that does as it should. */
export function completes(output: unknown): Fate {
  return { state: 'completed', attempts: ['1 completed'], output }
}

/** The fate of a job that ends so in every attempt. */
export function discards(outcome: 'failed' | 'timedOut', retries: number, code: string): Fate {
  return {
    state: 'discarded',
    attempts: Array.from({ length: retries + 1 }, (_, index) => `${index + 1} ${outcome}`),
    code,
  }
}
