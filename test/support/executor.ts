/** An executor of the test's own: over LMDB in a directory of its own, or in memory; closed and removed when the test ends. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.js'
import { isMillraceError, type MillraceError, type MillraceErrorCode } from '../../src/base/errors.js'
import type { EventName, ExecutorEvents } from '../../src/executor/events.js'
import type { Executor } from '../../src/executor/executor.js'
import { openExecutorWith, type Surroundings } from '../../src/executor/open-executor.js'
import type { JobCounts } from '../../src/executor/stats.js'
import { JOB_STATES, type JobInfo } from '../../src/job/job-info.js'
import type { ExecutorOptions } from '../../src/options/executor-options.js'
import type { Engine } from '../../src/store/engine.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { FakeClock } from './fake-clock.js'
import { tempDirectory } from './temp-directory.js'

export type StoreKind = 'lmdb' | 'memory'

/** What holds for every store is tested on each. */
export const STORES: readonly StoreKind[] = ['lmdb', 'memory']

export interface SetupOptions extends Partial<ExecutorOptions>, Surroundings {
  readonly store?: StoreKind
}

export interface Setup {
  readonly executor: Executor
  readonly directory: string
  /** Opens the same store again, after the executor before was closed. What is given wins over what `setup` was given. */
  reopen(options?: SetupOptions): Promise<Executor>
  /** The store's bytes, to look at when no executor has it open. */
  engine(): Promise<Engine>
}

/** Two threads and no grace at the end, unless told otherwise. */
export async function setup(t: TestContext, options: SetupOptions): Promise<Setup> {
  const { store = 'lmdb', engine: given } = options
  const directory = store === 'lmdb' && given === undefined ? await tempDirectory(t) : ':memory:'
  const kept = given ?? (store === 'memory' ? lasting(createMemoryEngine()) : undefined)
  const open = async (more: SetupOptions): Promise<Executor> => {
    const { store: _store, clock, random, rssBytes, engine = kept, ...rest } = { ...options, ...more }
    const executor = await openExecutorWith(
      { path: directory, jobs: [], threads: 2, ...rest },
      {
        ...(clock !== undefined && { clock }),
        ...(random !== undefined && { random }),
        ...(engine !== undefined && { engine }),
        ...(rssBytes !== undefined && { rssBytes }),
      },
    )
    t.after(async () => {
      if (clock instanceof FakeClock) clock.runFreely()
      await executor.close({ grace: 0 })
    })
    return executor
  }
  return {
    executor: await open({}),
    directory,
    reopen: (more = {}) => open(more),
    engine: async () => {
      if (kept !== undefined) return kept
      const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
      t.after(() => engine.close())
      return engine
    },
  }
}

/** An engine that outlives the executors that close it. */
export function lasting(engine: Engine): Engine {
  return {
    get: (table, key) => engine.get(table, key),
    range: (table, options) => engine.range(table, options),
    commit: (batch) => engine.commit(batch),
    stats: () => engine.stats(),
    close: async () => undefined,
  }
}

/** A store in memory whose process dies: after `crash` nothing more is written, and the bytes stay as they were. */
export function mortal(): { engine: Engine; remains: Engine; crash(): void } {
  const remains = lasting(createMemoryEngine())
  let isDead = false
  const engine: Engine = {
    ...remains,
    commit: async (batch) => {
      if (isDead) throw new Error('the process is dead')
      await remains.commit(batch)
    },
  }
  return {
    engine,
    remains,
    crash() {
      isDead = true
    },
  }
}

/** A store in memory whose commits can be held up. */
export function slow(): { engine: Engine; hold(): void; release(): void; readonly held: Promise<void> } {
  const inner = lasting(createMemoryEngine())
  let isHolding = false
  let release: () => void = () => undefined
  let onHeld: () => void = () => undefined
  let held: Promise<void> = Promise.resolve()
  const engine: Engine = {
    ...inner,
    commit: async (batch) => {
      if (isHolding) {
        const released = new Promise<void>((resolve) => {
          release = resolve
        })
        onHeld()
        await released
      }
      await inner.commit(batch)
    },
  }
  return {
    engine,
    hold() {
      isHolding = true
      held = new Promise((resolve) => {
        onHeld = resolve
      })
    },
    release() {
      isHolding = false
      release()
    },
    /** Resolves when a commit has come and waits. */
    get held() {
      return held
    },
  }
}

/** The next event of a type, or the first one that fits. */
export function nextEvent<Name extends EventName>(
  executor: Executor,
  name: Name,
  fits: (event: ExecutorEvents[Name]) => boolean = () => true,
): Promise<ExecutorEvents[Name]> {
  return new Promise((resolve) => {
    const listener = (event: ExecutorEvents[Name]): void => {
      if (!fits(event)) return
      executor.off(name, listener)
      resolve(event)
    }
    executor.on(name, listener)
  })
}

/** Resolves when a job is in a state. */
export async function inState(executor: Executor, id: string, state: JobInfo['state']): Promise<void> {
  while ((await executor.get(id))?.state !== state);
}

/** Everything that `list` gives. */
export async function listed(executor: Executor, filter?: Parameters<Executor['list']>[0]): Promise<JobInfo[]> {
  const infos: JobInfo[] = []
  for await (const info of executor.list(filter)) infos.push(info)
  return infos
}

/** What `counts` must say, counted anew. */
function recount(infos: readonly JobInfo[]): JobCounts {
  const counts = Object.fromEntries(JOB_STATES.map((state) => [state, 0])) as Record<(typeof JOB_STATES)[number], number>
  for (const { state } of infos) counts[state]++
  return counts
}

/** Asserts that `counts`, `list` and `get` say the same of a store in which nothing happens. */
export async function assertConsistent(executor: Executor, label = ''): Promise<void> {
  let counts = await executor.counts()
  let infos = await listed(executor)
  // A batch may be handed over, or taken back, while the list is read: what is compared must be of one moment.
  for (let now = await executor.counts(); !isDeepStrictEqual(now, counts); now = await executor.counts()) {
    counts = now
    infos = await listed(executor)
  }
  assert.deepEqual(counts, recount(infos), label)
  assert.equal(new Set(infos.map(({ id }) => id)).size, infos.length, `${label}: a job is listed twice`)
  const { threads, queues } = executor.stats()
  for (const [name, { running, atWork, heldAhead }] of Object.entries(queues))
    assert.ok(
      atWork + heldAhead <= running && atWork <= threads.length,
      `${label}: ${name} tells of ${atWork} and ${heldAhead} of ${running}`,
    )
  const found = await Promise.all(infos.map(({ id }) => executor.get(id)))
  for (const [index, info] of infos.entries()) assert.deepEqual(found[index], info, label)
}

/** A checker for `assert.rejects`: a MillraceError of this code, whose message fits. */
export function withCode(code: MillraceErrorCode, message?: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(isMillraceError(error), `not a MillraceError: ${String(error)}`)
    assert.equal(error.code, code, error.message)
    if (message !== undefined) assert.match(error.message, message)
    return true
  }
}

/** The error a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise
  } catch (error) {
    return error as MillraceError
  }
  assert.fail('the promise resolved')
}
