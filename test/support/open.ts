/**
 * An executor of the test's own, in a directory of its own. When the test ends the executor is closed, and the test fails if a
 * thread lives on or a timer keeps the process alive.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Worker } from 'node:worker_threads'
import type { EventName, Executor, ExecutorEvents, ExecutorOptions, JobDefinition } from '../../src/index.js'
import { systemClock, type Clock, type Timer } from '../../src/base/clock.js'
import { openExecutorWith, type Surroundings } from '../../src/executor/open-executor.js'

/** No measure of speed: a test that takes so long hangs. */
export const LIMITS = { timeout: 600_000 }

/** A thread as the process sees it, beside what the library says of it. Times are of `monotonicMs`. */
export interface ThreadLife {
  readonly threadId: number
  readonly bornMs: number
  exitMs: number | undefined
}

export const threadLives: ThreadLife[] = []
const exits = new Map<ThreadLife, () => void>()

process.on('worker', (worker: Worker) => {
  const life: ThreadLife = { threadId: worker.threadId, bornMs: monotonicMs(), exitMs: undefined }
  threadLives.push(life)
  worker.once('exit', () => {
    life.exitMs = monotonicMs()
    exits.get(life)?.()
  })
})

/** The same clock in every thread of the process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export function liveThreads(): number[] {
  return threadLives.filter((life) => life.exitMs === undefined).map(({ threadId }) => threadId)
}

export function lifeOf(threadId: number): ThreadLife {
  const life = threadLives.find((candidate) => candidate.threadId === threadId)
  assert(life !== undefined, `thread ${threadId} was never born`)
  return life
}

/** Resolves when the thread is gone. */
export async function exitOf(threadId: number): Promise<ThreadLife> {
  const life = lifeOf(threadId)
  if (life.exitMs === undefined) await new Promise<void>((resolve) => exits.set(life, resolve))
  return life
}

/** An event as it was told. Not for `log`, which has a name of its own. */
export type Told = { [Name in ToldName]: { readonly name: Name } & ExecutorEvents[Name] }[ToldName]
type ToldName = Exclude<EventName, 'log'>

export interface Opened {
  readonly executor: Executor
  /** The store's directory. */
  readonly directory: string
  /** What the listened-to events told, in order. */
  readonly told: readonly Told[]
  /** Resolves with the first event, past or future, that fits. */
  until<Name extends ToldName>(name: Name, fits?: (event: ExecutorEvents[Name]) => boolean): Promise<ExecutorEvents[Name]>
  /** Closes the executor and opens its store again. */
  reopen(options: Partial<ExecutorOptions>): Promise<Executor>
}

export interface Setup extends Partial<ExecutorOptions> {
  readonly jobs: readonly JobDefinition[]
  /** Events to listen to. */
  readonly listen?: readonly ToldName[]
  readonly surroundings?: Surroundings
}

export async function open(t: TestContext, setup: Setup): Promise<Opened> {
  const { listen = [], surroundings: given, ...options } = setup
  const clock = new WatchedClock(given?.clock ?? systemClock)
  const surroundings = { ...given, clock }
  const directory = options.path === undefined ? newDirectory(t) : String(options.path)
  const threadsBefore = new Set(liveThreads())
  const opened = { path: directory, threads: 1, ...options }
  let executor = await openExecutorWith(opened, surroundings)
  const waits = new Set<NodeJS.Timeout>()
  t.after(async () => {
    for (const alive of waits) clearInterval(alive)
    await executor.close({ grace: 0 })
    const leaked = liveThreads().filter((threadId) => !threadsBefore.has(threadId))
    assert.deepEqual(leaked, [], 'threads live on after close')
    assert.deepEqual(clock.keepingAlive, [], 'timers keep the process alive after close')
  })
  const told: Told[] = []
  const checks = new Set<() => void>()
  const tellAll = (of: Executor): void => {
    for (const name of listen) {
      of.on(name, (event: object) => {
        told.push({ name, ...event } as Told)
        for (const check of checks) check()
      })
    }
  }
  tellAll(executor)
  return {
    executor,
    directory,
    told,
    until: (name, fits = () => true) => {
      assert(listen.includes(name), `the test does not listen to ${name}`)
      return new Promise((resolve) => {
        // What is waited for may come from a thread that keeps no process alive.
        const alive = setInterval(() => undefined, 60_000)
        waits.add(alive)
        const check = (): void => {
          const found = told.find((event) => event.name === name && fits(event as never))
          if (found === undefined) return
          checks.delete(check)
          clearInterval(alive)
          resolve(found as never)
        }
        checks.add(check)
        check()
      })
    },
    reopen: async (changed) => {
      await executor.close({ grace: 0 })
      executor = await openExecutorWith({ ...opened, ...changed }, surroundings)
      tellAll(executor)
      return executor
    },
  }
}

/** Removed after everything that was registered for the end of the test later than this call. */
export function newDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  // A step behind the other hooks: they run in the order of registration.
  t.after(() => {
    t.after(() => rmSync(directory, { recursive: true, force: true }))
  })
  return directory
}

/** A module written by the test, for what no compiler would let through. */
export function writeModule(directory: string, name: string, source: string): URL {
  const file = join(directory, name)
  writeFileSync(file, source)
  return pathToFileURL(file)
}

/** Knows the executor's timers that are still to come and keep the process alive, by where they were made. */
class WatchedClock implements Clock {
  readonly #clock: Clock
  readonly #pending = new Map<object, { readonly madeAt: string; keepsAlive: boolean }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get keepingAlive(): string[] {
    return [...this.#pending.values()].filter(({ keepsAlive }) => keepsAlive).map(({ madeAt }) => madeAt)
  }

  now(): number {
    return this.#clock.now()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  after(delayMs: number, callback: () => void): Timer {
    const pending = { madeAt: `${delayMs} ms: ${new Error().stack?.split('\n')[2]?.trim() ?? ''}`, keepsAlive: false }
    const key = {}
    this.#pending.set(key, pending)
    const timer = this.#clock.after(delayMs, () => {
      this.#pending.delete(key)
      callback()
    })
    return {
      cancel: () => {
        this.#pending.delete(key)
        timer.cancel()
      },
      setRef: (keepsAlive) => {
        pending.keepsAlive = keepsAlive
        timer.setRef(keepsAlive)
      },
    }
  }
}

/** What the promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  try {
    await promise
  } catch (error) {
    return error as Error & { code?: string }
  }
  throw new assert.AssertionError({ message: 'the promise was fulfilled' })
}
