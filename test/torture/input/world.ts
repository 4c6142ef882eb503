/** The library as the rung calls it, so that a fault can be planted in between; and an open executor to try calls on. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as library from '../../../src/index.js'
import type { Executor } from '../../../src/index.js'
import { exitOf, liveThreads } from '../../support/open.js'
import { echo, nothing } from '../../fixtures/executor/jobs.js'
import { checked } from '../../fixtures/torture/checked.js'

export { checked, echo, nothing }

/** Functions take anything: what the types forbid is what is tried. */
export interface Library {
  readonly openExecutor: (options: unknown) => Promise<Executor>
  readonly defineJob: (spec: unknown) => unknown
  readonly snooze: (...args: unknown[]) => unknown
  readonly cancel: (...args: unknown[]) => unknown
  readonly FatalError: new (...args: unknown[]) => Error
  readonly RetryError: new (...args: unknown[]) => Error
  /** The executor's methods; a planted fault replaces some. */
  readonly loosen: (executor: Executor) => LooseExecutor
}

export interface LooseQueue {
  readonly pause: (...args: unknown[]) => Promise<void>
  readonly resume: () => Promise<void>
  readonly setConcurrency: (...args: unknown[]) => Promise<void>
  readonly purge: (...args: unknown[]) => Promise<unknown>
}

export interface LooseExecutor {
  readonly enqueue: (...args: unknown[]) => Promise<{ readonly id: string; result(): Promise<unknown> }>
  readonly enqueueMany: (...args: unknown[]) => Promise<{ readonly id: string; result(): Promise<unknown> }[]>
  readonly get: (...args: unknown[]) => Promise<unknown>
  readonly job: (...args: unknown[]) => { cancel(reason?: unknown): Promise<boolean> }
  readonly list: (...args: unknown[]) => AsyncGenerator<unknown>
  readonly cancel: (...args: unknown[]) => Promise<boolean>
  readonly schedule: (...args: unknown[]) => Promise<unknown>
  readonly unschedule: (...args: unknown[]) => Promise<boolean>
  readonly discard: (...args: unknown[]) => Promise<boolean>
  readonly retry: (...args: unknown[]) => Promise<boolean>
  readonly retryMany: (...args: unknown[]) => Promise<unknown>
  readonly cancelMany: (...args: unknown[]) => Promise<unknown>
  readonly discardMany: (...args: unknown[]) => Promise<unknown>
  readonly setThreads: (...args: unknown[]) => Promise<void>
  readonly queue: (...args: unknown[]) => LooseQueue
  readonly on: (...args: unknown[]) => unknown
  readonly off: (...args: unknown[]) => unknown
  readonly close: (...args: unknown[]) => Promise<unknown>
  readonly counts: () => Promise<Record<string, number>>
}

export function loosen(executor: Executor): LooseExecutor {
  const bound = (name: string): unknown => (Reflect.get(executor, name) as (...args: unknown[]) => unknown).bind(executor)
  const names = ['enqueue', 'enqueueMany', 'get', 'job', 'list', 'cancel', 'discard', 'retry', 'queue', 'setThreads']
  names.push('retryMany', 'cancelMany', 'discardMany', 'schedule', 'unschedule', 'on', 'off', 'close', 'counts')
  return Object.fromEntries(names.map((name) => [name, bound(name)])) as unknown as LooseExecutor
}

export const REAL: Library = { ...(library as unknown as Omit<Library, 'loosen'>), loosen }

/** 256 KB: small enough that payloads beyond it cost nothing to make. */
export const PAYLOAD_BYTES = 256 * 1024

/** No measure of speed: a thread that lives on so long after `close` was left behind. */
const LEFT_BEHIND_MS = 30_000

export interface World {
  readonly library: Library
  readonly executor: LooseExecutor
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
      jobs: [echo, nothing, checked],
      threads: 1,
      queues: { images: {}, default: {} },
      limits: { payloadBytes: PAYLOAD_BYTES },
      // Nothing that is counted before and after a call may leave between the two.
      retain: { jobs: Infinity, age: Infinity },
    })
    const executor = library.loosen(opened)
    const job = await executor.enqueue(echo, 'first')
    await job.result()
    await use({ library, executor, directory, id: job.id })
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
