/** The door for what the executor's smaller calls are given: checks it once, and lists everything that is wrong. */
import type { Duration } from '../base/duration.js'
import { DEFAULT_CLOSE_GRACE_MS, MAX_THREADS } from '../base/limits.js'
import { describeThrown, describeValue, isArray, nearestName, Problems, readFields } from '../base/problems.js'
import { durationMs, wholeNumber } from '../base/rules.js'
import { JOB_STATES, type JobState } from '../job/job-info.js'
import { EVENT_NAMES } from './events.js'
import type { ListFilter } from './inspect.js'

export interface CloseOptions {
  /** How long running jobs may go on before their signals are aborted; finite. 0: not at all. @defaultValue `'25s'` */
  readonly grace?: Duration
}

const INVALID = 'MILLRACE_INVALID_OPTIONS'

/** The grace in ms. */
export function compileClose(options: unknown): number {
  const problems = new Problems()
  const { grace } = readFields(options, ['grace'], '', problems)
  const graceMs = grace === undefined ? DEFAULT_CLOSE_GRACE_MS : durationMs(grace, 'grace', problems, { zero: true })
  problems.throwIfAny(INVALID, 'The options of close cannot be used')
  return graceMs ?? DEFAULT_CLOSE_GRACE_MS
}

/** A copy: what the caller changes while the list is read does not matter. */
export function compileFilter(filter: unknown): ListFilter {
  const problems = new Problems()
  const { state, queue, name, limit } = readFields(filter, ['state', 'queue', 'name', 'limit'], '', problems)
  const states = state === undefined ? undefined : compileStates(state, problems)
  if (queue !== undefined && typeof queue !== 'string') problems.refuse('queue', queue, 'the name of a queue')
  if (name !== undefined && typeof name !== 'string') problems.refuse('name', name, 'the name of a definition')
  if (limit !== undefined) wholeNumber(limit, 'limit', problems, { min: 0, infinity: 'no limit' })
  problems.throwIfAny(INVALID, 'The filter of list cannot be used')
  return {
    ...(states !== undefined && { state: states }),
    ...(queue !== undefined && { queue: queue as string }),
    ...(name !== undefined && { name: name as string }),
    ...(limit !== undefined && { limit: limit as number }),
  }
}

export function compileStates(state: unknown, problems: Problems): JobState[] {
  let given: unknown[]
  try {
    given = isArray(state) ? Array.from(state) : [state]
  } catch (thrown) {
    problems.add('state', `reading it threw ${describeThrown(thrown)}`)
    return []
  }
  for (const name of given) {
    if ((JOB_STATES as readonly unknown[]).includes(name)) continue
    const nearest = typeof name === 'string' ? nearestName(name, JOB_STATES) : undefined
    problems.refuse('state', name, `a state: ${JOB_STATES.join(', ')}`, nearest && `did you mean '${nearest}'?`)
  }
  return given as JobState[]
}

export function checkReason(method: 'cancel' | 'discard', reason: unknown): void {
  if (reason === undefined || typeof reason === 'string') return
  const problems = new Problems()
  problems.refuse('reason', reason, 'a string', 'omit it or say why')
  problems.throwIfAny(INVALID, `${method}() cannot be used like this`)
}

export function checkThreads(threads: unknown): void {
  const problems = new Problems()
  wholeNumber(threads, 'threads', problems, { min: 1, max: MAX_THREADS })
  problems.throwIfAny(INVALID, 'setThreads() cannot be used like this')
}

export function checkListener(method: 'on' | 'off', name: unknown, listener: unknown): void {
  const problems = new Problems()
  if (!(EVENT_NAMES as readonly unknown[]).includes(name)) {
    const nearest = typeof name === 'string' ? nearestName(name, EVENT_NAMES) : undefined
    problems.refuse('name', name, `an event: ${EVENT_NAMES.join(', ')}`, nearest && `did you mean '${nearest}'?`)
  }
  if (typeof listener !== 'function') problems.refuse('listener', listener, 'a function')
  problems.throwIfAny(INVALID, `${method}() cannot be used like this`)
}

/** The inputs of `enqueueMany`. A string is one too, and never meant. */
export function checkIterable(inputs: unknown): void {
  const problems = new Problems()
  try {
    const iterator: unknown = (inputs as { [Symbol.iterator]?: unknown } | null | undefined)?.[Symbol.iterator]
    if (typeof iterator === 'function' && typeof inputs === 'object') return
  } catch {
    // A proxy that throws can be read as little as a number.
  }
  problems.add('inputs', `enqueueMany takes an iterable of inputs, such as an array; got ${describeValue(inputs)}`)
  problems.throwIfAny(INVALID, 'Nothing was enqueued')
}
