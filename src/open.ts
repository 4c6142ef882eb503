/**
 * The way into an executor: opens it, and puts up the control socket of one on disk. Apart from what it opens, because every thread
 * imports this package for the sake of `defineJob` when it loads a job's module: the store, the pool and the rest would cost each of
 * them some 70 ms, again after every timeout.
 */
import type { ExecutorOptions } from './options/executor-options.js'
import type { Executor } from './executor/executor.js'
import { insideThread } from './executor/inside-thread.js'

/**
 * Opens a store, or makes one, and starts the threads. What a dead process had in flight is rescued before it resolves.
 *
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, `MILLRACE_INVALID_DEFINITION`, `MILLRACE_STORE_UNUSABLE`,
 * `MILLRACE_STORE_TOO_NEW`, `MILLRACE_STORE_CORRUPT`, `MILLRACE_OPEN_IN_THREAD`
 * @throws LockedError `MILLRACE_LOCKED` when another executor holds the directory
 */
export async function openExecutor(options: ExecutorOptions): Promise<Executor> {
  if (insideThread()) return await new Promise<never>(() => undefined)
  const { openExecutorWith } = await import('./executor/open-executor.js')
  return await openExecutorWith(options, {
    attend: async (executor, directory, queues) => {
      const { attendExecutor } = await import('./control-socket/attend-executor.js')
      return await attendExecutor(executor, directory, queues, options.jobs)
    },
  })
}
