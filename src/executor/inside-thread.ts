import { MillraceError } from '../base/errors.js'

/**
 * Whether this is one of an executor's threads, loading a module that is itself a program. The call of `openExecutor` then never
 * settles: what the thread came for, the definitions above the call, is there already. A handler that opens an executor is refused.
 */
export function insideThread(): boolean {
  const hooks = (globalThis as Record<symbol, unknown>)[Symbol.for('millrace.thread')] as { openCalled(): boolean } | undefined
  if (hooks === undefined) return false
  if (hooks.openCalled()) return true
  throw new MillraceError(
    'MILLRACE_OPEN_IN_THREAD',
    'openExecutor was called in a job thread. A handler cannot open an executor; enqueue from the main thread, for instance when the job has completed.',
  )
}
