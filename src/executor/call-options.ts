/** The door for what the executor's smaller calls are given: checks it once, and lists everything that is wrong. */
import type { Duration } from '../base/duration.js'
import { DEFAULT_CLOSE_GRACE_MS, MAX_THREADS } from '../base/limits.js'
import { describeThrown, describeValue, isArray, Problems, readFields } from '../base/problems.js'
import { durationMs, knownName, wholeNumber } from '../base/rules.js'
import { JOB_STATES, type JobState } from '../job/job-info.js'
import { EVENT_NAMES } from './events.js'
import type { CompiledFilter } from './inspect.js'

export interface CloseOptions {
  /** How long running jobs may go on before their signals are aborted; finite. 0: not at all. @defaultValue `'25s'` */
  readonly grace?: Duration
}

const INVALID = 'MILLRACE_INVALID_OPTIONS'

/** The grace in ms. */
export function compileClose(options: unknown): number {
  const problems = new Problems()
  const { grace = DEFAULT_CLOSE_GRACE_MS } = readFields(options, ['grace'], '', problems)
  const graceMs = durationMs(grace, 'grace', problems, { zero: true })
  problems.throwIfAny(INVALID, 'The options of close cannot be used')
  return graceMs ?? DEFAULT_CLOSE_GRACE_MS
}

export function compileFilter(filter: unknown): CompiledFilter {
  const problems = new Problems()
  const fields = readFields(filter, ['state', 'queue', 'name', 'limit', 'payloads'], '', problems)
  const { state = JOB_STATES, limit = Infinity, payloads = true } = fields
  const states = compileStates(state, problems)
  const queue = optionalText(fields.queue, 'queue', 'the name of a queue', problems)
  const name = optionalText(fields.name, 'name', 'the name of a definition', problems)
  const most = wholeNumber(limit, 'limit', problems, { min: 0, infinity: 'no limit' })
  if (typeof payloads !== 'boolean') problems.refuse('payloads', payloads, 'true or false')
  problems.throwIfAny(INVALID, 'The filter of list cannot be used')
  return { states, queue, name, limit: most ?? 0, payloads: payloads === true }
}

/** One state or several. */
export function compileStates(state: unknown, problems: Problems): ReadonlySet<JobState> {
  const states = new Set<JobState>()
  try {
    for (const given of isArray(state) ? state : [state]) {
      const known = knownName(given, 'state', problems, JOB_STATES, 'a state')
      if (known !== undefined) states.add(known)
    }
  } catch (thrown) {
    problems.add('state', `reading it threw ${describeThrown(thrown)}`)
  }
  return states
}

function optionalText(value: unknown, field: string, expected: string, problems: Problems): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  problems.refuse(field, value, expected)
  return undefined
}

export function checkReason(method: 'cancel' | 'discard', reason: unknown): void {
  const problems = new Problems()
  optionalText(reason, 'reason', 'a string; omit it or say why', problems)
  problems.throwIfAny(INVALID, `${method}() cannot be used like this`)
}

/** @param reserved - threads that are kept for what is important, of which one more is needed */
export function checkThreads(threads: unknown, reserved: number): void {
  const problems = new Problems()
  const checked = wholeNumber(threads, 'threads', problems, { min: 1, max: MAX_THREADS })
  if (checked !== undefined && checked <= reserved) {
    const wayOut = `${reserved} are reserved (the executor's option reserve), and one at least must be left for other jobs: give ${reserved + 1} or more`
    problems.add('threads', `${checked} is not enough; ${wayOut}`)
  }
  problems.throwIfAny(INVALID, 'setThreads() cannot be used like this')
}

export function checkListener(method: 'on' | 'off', name: unknown, listener: unknown): void {
  const problems = new Problems()
  knownName(name, 'name', problems, EVENT_NAMES, 'an event')
  if (typeof listener !== 'function') problems.refuse('listener', listener, 'a function')
  problems.throwIfAny(INVALID, `${method}() cannot be used like this`)
}

/** The inputs of `enqueueMany`. A string is iterable too, and never meant. */
export function checkIterable(inputs: unknown): void {
  if (isIterable(inputs)) return
  const problems = new Problems()
  problems.add('inputs', `enqueueMany takes an iterable of inputs, such as an array; got ${describeValue(inputs)}`)
  problems.throwIfAny(INVALID, 'Nothing was enqueued')
}

function isIterable(value: unknown): boolean {
  try {
    return typeof value === 'object' && typeof (value as Partial<Iterable<unknown>> | null)?.[Symbol.iterator] === 'function'
  } catch {
    return false // A proxy that throws can be read as little as a number.
  }
}
