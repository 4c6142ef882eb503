/**
 * Opens a store for an operator, when no executor has it: to list what is in it, to cancel, retry, pause. Nothing of it runs.
 *
 * It is an executor without definitions and threads, so that whatever is read and changed is read and changed by the same code as in a
 * running one. The directory is locked meanwhile.
 */
import { resolve } from 'node:path'
import { systemClock } from '../base/clock.js'
import { compileExecutorOptions } from '../options/executor-options.js'
import { acquireDirectoryLock } from '../store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { requireStore } from '../store/lmdb/store-directory.js'
import { Names } from '../store/names.js'
import type { Executor } from './executor.js'
import { assemble, type Inspection } from './open-executor.js'

/**
 * @throws LockedError `MILLRACE_LOCKED` when an executor has the directory
 * @throws MillraceError `MILLRACE_STORE_UNUSABLE` also when there is no store in it, `MILLRACE_STORE_TOO_NEW`, `MILLRACE_STORE_CORRUPT`
 */
export async function openForInspection(
  path: string,
  inspection: Inspection,
): Promise<{ executor: Executor; queues: readonly string[] }> {
  const directory = resolve(path)
  requireStore(directory)
  const lock = await acquireDirectoryLock(directory)
  try {
    const engine = await openLmdbEngine(directory, { durability: 'disk', clock: systemClock })
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
    try {
      const executor = await assemble({ ...options, threads: 0 }, engine, directory, () => lock.release(), {}, inspection)
      return { executor, queues: [...options.queues.keys()] }
    } catch (error) {
      await engine.close()
      throw error
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
