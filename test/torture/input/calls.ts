/** Every argument of every public call: how it is called with a value in that place, and which values it may take. */
import { both } from './accepted.js'
import { callOf, readable, type Call } from './call.js'
import { enqueueCalls, scheduleCalls } from './calls-enqueue.js'
import { EXECUTOR_CALLS } from './calls-executor.js'
import { libraryCalls } from './calls-library.js'
import { CLOSE_CALLS, openCalls } from './calls-open.js'
import { CONTEXT_PLACES } from './context-job.js'

/** Those of an executor that stays open, and of the library. */
export const CALLS: readonly Call[] = [
  ...libraryCalls(),
  ...scheduleCalls(),
  ...enqueueCalls(),
  ...EXECUTOR_CALLS,
  ...openCalls(),
].map((call) => ({ ...call, takes: both(readable(call.takes)) }))

/** The names of all that are tried, those included that end an executor and those of a handler. */
export const TRIED: ReadonlySet<string> = new Set([
  ...[...CALLS, ...CLOSE_CALLS].map(callOf),
  ...Object.keys(CONTEXT_PLACES).map((name) => callOf({ name })),
])
