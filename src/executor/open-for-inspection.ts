/**
 * Opens a store for an operator, when no executor has it: to list what is in it, to cancel, retry, pause. Nothing of it runs.
 *
 * It is an executor without definitions and threads, so that whatever is read and changed is read and changed by the same code as in a
 * running one.
 */
import { resolve } from 'node:path'
import { systemClock } from '../base/clock.js'
import { compileExecutorOptions } from '../options/executor-options.js'
import type { Engine } from '../store/engine.js'
import { acquireDirectoryLock, requireUnlocked } from '../store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { checkFile, requireStore } from '../store/lmdb/store-directory.js'
import { Names } from '../store/names.js'
import type { Executor } from './executor.js'
import { assemble, type Inspection } from './open-executor.js'

/**
 * To look takes nothing and writes nothing: a program may open the store meanwhile, and what is seen is how it stood before.
 *
 * @throws LockedError `MILLRACE_LOCKED` when an executor has the directory
 * @throws MillraceError `MILLRACE_STORE_UNUSABLE` also when there is no store in it, `MILLRACE_STORE_TOO_NEW`, `MILLRACE_STORE_CORRUPT`
 */
export async function openForInspection(
  path: string,
  inspection: Inspection,
): Promise<{ executor: Executor; queues: readonly string[] }> {
  const directory = resolve(path)
  requireStore(directory)
  return inspection === 'look' ? await openToLook(directory) : await openToChange(directory)
}

async function openToLook(directory: string): ReturnType<typeof openForInspection> {
  requireUnlocked(directory)
  try {
    checkFile(directory)
  } catch (error) {
    // It may be somebody's who has opened it since, and writes into it.
    requireUnlocked(directory)
    throw error
  }
  const engine = await openLmdbEngine(directory, { durability: 'disk', clock: systemClock, readOnly: true })
  return await inspect(directory, engine, 'look', () => undefined)
}

async function openToChange(directory: string): ReturnType<typeof openForInspection> {
  const lock = await acquireDirectoryLock(directory)
  try {
    const engine = await openLmdbEngine(directory, { durability: 'disk', clock: systemClock, isHeld: () => lock.isHeld() })
    return await inspect(directory, engine, 'change', () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

async function inspect(
  directory: string,
  engine: Engine,
  inspection: Inspection,
  release: () => void,
): ReturnType<typeof openForInspection> {
  try {
    const names = new Names('queue')
    names.load(engine)
    // What its own executor keeps, it decides: nothing is pruned, and nothing quarantined.
    const options = compileExecutorOptions(
      {
        path: directory,
        jobs: [],
        queues: Object.fromEntries(names.all.flatMap((name) => (name === undefined ? [] : [[name, {}]]))),
        retain: { jobs: Infinity, age: Infinity },
        maxCrashes: Infinity,
      },
      { threads: 1 },
    )
    const { executor, begin } = await assemble({ ...options, threads: 0 }, engine, directory, release, {}, inspection)
    begin()
    return { executor, queues: [...options.queues.keys()] }
  } catch (error) {
    await engine.close()
    throw error
  }
}
