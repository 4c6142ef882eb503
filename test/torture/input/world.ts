/** The library as the rung calls it, so that a fault can be planted in between; and an open executor to try calls on. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as library from '../../../src/index.js'
import type { DoctorReport, Executor } from '../../../src/index.js'
import { exitOf, liveThreads } from '../../support/open.js'
import { echo, nothing } from '../../fixtures/executor/jobs.js'
import { checked } from '../../fixtures/torture/checked.js'
import { contextual } from './context-job.js'

export { checked, echo, nothing }

type AnyError = new (...args: unknown[]) => Error

/** Functions take anything: what the types forbid is what is tried. */
export interface Library {
  /** All that the package exports, by name. */
  readonly exports: Readonly<Record<string, unknown>>
  readonly openExecutor: (options: unknown) => Promise<Executor>
  readonly defineJob: (spec: unknown) => unknown
  readonly snooze: (...args: unknown[]) => unknown
  readonly cancel: (...args: unknown[]) => unknown
  readonly handlerOf: (...args: unknown[]) => unknown
  readonly doctor: (...args: unknown[]) => Promise<DoctorReport>
  readonly FatalError: AnyError
  readonly RetryError: AnyError
  readonly MillraceError: AnyError
  readonly InvalidInputError: AnyError
  readonly LockedError: AnyError
  readonly DuplicateJobError: AnyError
  readonly JobFailedError: AnyError
  /** The executor's methods; a planted fault replaces some. */
  readonly loosen: (executor: Executor) => LooseExecutor
}

type Loosely<Given> = (...args: unknown[]) => Given

export interface LooseQueue {
  readonly pause: Loosely<Promise<void>>
  readonly resume: Loosely<Promise<void>>
  readonly setConcurrency: Loosely<Promise<void>>
  readonly drain: Loosely<Promise<void>>
  readonly info: Loosely<Promise<unknown>>
  readonly purge: Loosely<Promise<unknown>>
}

interface LooseHandle {
  readonly id: string
  readonly result: Loosely<Promise<unknown>>
}

export interface LooseExecutor {
  readonly enqueue: Loosely<Promise<LooseHandle>>
  readonly enqueueMany: Loosely<Promise<LooseHandle[]>>
  readonly get: Loosely<Promise<unknown>>
  readonly job: Loosely<LooseHandle & { readonly cancel: Loosely<Promise<boolean>>; readonly info: Loosely<Promise<unknown>> }>
  readonly list: Loosely<AsyncGenerator<unknown>>
  readonly cancel: Loosely<Promise<boolean>>
  readonly schedule: Loosely<Promise<unknown>>
  readonly unschedule: Loosely<Promise<boolean>>
  readonly schedules: Loosely<Promise<unknown>>
  readonly backup: Loosely<Promise<unknown>>
  readonly stats: Loosely<unknown>
  readonly metrics: Loosely<string>
  readonly drain: Loosely<Promise<void>>
  readonly discard: Loosely<Promise<boolean>>
  readonly retry: Loosely<Promise<boolean>>
  readonly retryMany: Loosely<Promise<unknown>>
  readonly cancelMany: Loosely<Promise<unknown>>
  readonly discardMany: Loosely<Promise<unknown>>
  readonly setThreads: Loosely<Promise<void>>
  readonly queue: Loosely<LooseQueue>
  readonly on: Loosely<unknown>
  readonly off: Loosely<unknown>
  readonly close: Loosely<Promise<unknown>>
  readonly counts: Loosely<Promise<Record<string, number>>>
}

/** Its methods, each bound to it. */
export function loosen(executor: Executor): LooseExecutor {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(executor)).filter((name) => name !== 'constructor')
  const bound = (name: string): unknown => (Reflect.get(executor, name) as (...args: unknown[]) => unknown).bind(executor)
  return Object.fromEntries(methods.map((name) => [name, bound(name)])) as unknown as LooseExecutor
}

export const REAL: Library = { ...(library as unknown as Omit<Library, 'loosen' | 'exports'>), exports: { ...library }, loosen }

/** 256 KB: small enough that payloads beyond it cost nothing to make. */
export const PAYLOAD_BYTES = 256 * 1024

/** No measure of speed: a thread that lives on so long after `close` was left behind. */
const LEFT_BEHIND_MS = 30_000

export interface World {
  readonly library: Library
  readonly executor: LooseExecutor
  readonly opened: Executor
  readonly directory: string
  /** The id of a job that is over. */
  readonly id: string
}

/** Runs `use` with an executor of its own; gives what is left behind when it is closed. */
export async function inWorld(library: Library, use: (world: World) => Promise<void>): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-input-'))
  const before = new Set(liveThreads())
  try {
    const opened = await library.openExecutor({
      path: directory,
      jobs: [echo, nothing, checked, contextual],
      threads: 1,
      queues: { images: {}, default: {} },
      limits: { payloadBytes: PAYLOAD_BYTES },
      // Nothing that is counted before and after a call may leave between the two.
      retain: { jobs: Infinity, age: Infinity },
    })
    const executor = library.loosen(opened)
    const job = await executor.enqueue(echo, 'first')
    await job.result()
    await use({ library, executor, opened, directory, id: job.id })
    await opened.close({ grace: 0 })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  const ofNow = (): number[] => liveThreads().filter((thread) => !before.has(thread))
  // `close` waits half a second for a thread to end; one that has been told to, on a machine with much to do, may need longer.
  await Promise.race([Promise.all(ofNow().map(exitOf)), sleep(LEFT_BEHIND_MS, undefined, { ref: false })])
  const left = ofNow()
  return left.length === 0 ? [] : [`threads live on after close: ${left.join(', ')}`]
}

/** What may have been put on the prototypes that everybody shares. */
export function pollution(): string[] {
  const seen: string[] = []
  for (const [name, prototype] of [
    ['Object', Object.prototype],
    ['Array', Array.prototype],
    ['Function', Function.prototype],
  ] as const) {
    for (const key of Object.keys(prototype)) seen.push(`${name}.prototype.${key}`)
  }
  return seen
}

/** Jobs in the store, whatever became of them. */
export async function stored(executor: LooseExecutor): Promise<number> {
  return Object.values(await executor.counts()).reduce((sum, count) => sum + count, 0)
}
