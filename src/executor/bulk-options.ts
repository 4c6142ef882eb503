/** The door of the calls that change many jobs: their filters and options, checked once, with everything that is wrong in one error. */
import type { Duration } from '../base/duration.js'
import { isMillraceError } from '../base/errors.js'
import { BULK_IDS } from '../base/limits.js'
import { describeThrown, Problems, readFields } from '../base/problems.js'
import { durationMs, wholeNumber } from '../base/rules.js'
import { parseJobId, type JobAddress } from '../job/job-id.js'
import { JOB_STATES, type JobState } from '../job/job-info.js'
import { compileStates } from './call-options.js'

/** Which jobs a call is for. They fit when they fit everything that is given. */
export interface JobFilter {
  /** One state or several. @defaultValue see the call */
  readonly state?: JobState | readonly JobState[]
  readonly queue?: string
  /** The definition's name. */
  readonly name?: string
  /** The jobs with these ids, at most 10,000. */
  readonly ids?: Iterable<string>
  /** Enqueued longer ago than this. */
  readonly olderThan?: Duration
  /** At most so many jobs; which ones is not said. @defaultValue `Infinity` */
  readonly limit?: number
}

/** A filter that restricts nothing is taken only when it says so: a slip must not empty the store. */
export interface BulkFilter extends JobFilter {
  /** Every job, in the states that the call is for. Instead of `queue`, `name`, `ids`, `olderThan` and `state`. */
  readonly all?: true
}

/** How far a call that changes many jobs has come, or what it has done. */
export interface BulkReport {
  /** Jobs that fitted. */
  readonly matched: number
  /** Of these, the ones that were changed. The others had ended or moved on before; with `dryRun` it is 0. */
  readonly changed: number
}

export interface BulkOptions {
  /** Nothing is changed: the report says how many jobs fit. @defaultValue false */
  readonly dryRun?: boolean
  /** Called after each step, when it is durable. What it throws ends the call. */
  readonly onProgress?: (soFar: BulkReport) => void
}

export interface CompiledFilter {
  readonly states: ReadonlySet<JobState>
  readonly queue: string | undefined
  readonly name: string | undefined
  readonly ids: readonly JobAddress[] | undefined
  readonly olderThanMs: number
  readonly limit: number
}

export interface CompiledBulkOptions {
  readonly dryRun: boolean
  readonly onProgress: ((soFar: BulkReport) => void) | undefined
}

/** What a call can be for. */
export interface BulkRule {
  readonly call: 'retryMany' | 'cancelMany' | 'discardMany' | 'purge'
  readonly states: readonly JobState[]
  /** The states without the filter's own word. With ids it is all of them. */
  readonly usual: readonly JobState[]
}

const RESTRICTIONS = ['state', 'queue', 'name', 'ids', 'olderThan'] as const

/** @throws MillraceError `MILLRACE_INVALID_OPTIONS`, `MILLRACE_INVALID_ID` */
export function compileBulkFilter(filter: unknown, { call, states, usual }: BulkRule, storeMark: number): CompiledFilter {
  const problems = new Problems()
  const known =
    call === 'purge' ? (['state', 'name', 'ids', 'olderThan', 'limit'] as const) : ([...RESTRICTIONS, 'limit', 'all'] as const)
  const fields: { readonly [Name in (typeof RESTRICTIONS)[number] | 'limit' | 'all']?: unknown } = readFields(
    filter,
    known,
    '',
    problems,
  )
  const { state, queue, name, ids, olderThan, limit, all } = fields
  if (all !== undefined && all !== true) problems.refuse('all', all, 'true', 'omit it')
  const given = RESTRICTIONS.filter((field) => fields[field] !== undefined)
  if (call !== 'purge' && problems.count === 0 && given.length === 0 && all === undefined)
    problems.add(
      '',
      `it restricts nothing, which would be every job; give one of ${RESTRICTIONS.join(', ')}, or all: true if you mean it`,
    )
  if (all === true && given.length > 0) problems.add('all', `is given together with ${given.join(', ')}; give one or the other`)
  const chosen = state === undefined ? undefined : compileStates(state, problems)
  for (const other of chosen ?? [])
    if (JOB_STATES.includes(other) && !states.includes(other))
      problems.add('state', `${call} does nothing with ${other} jobs; it is for ${states.join(', ')}`)
  if (queue !== undefined && typeof queue !== 'string') problems.refuse('queue', queue, 'the name of a queue')
  if (name !== undefined && typeof name !== 'string') problems.refuse('name', name, 'the name of a definition')
  const addresses = ids === undefined ? undefined : compileIds(ids, storeMark, problems)
  const olderThanMs = olderThan === undefined ? 0 : durationMs(olderThan, 'olderThan', problems, { zero: true })
  if (limit !== undefined) wholeNumber(limit, 'limit', problems, { min: 0, infinity: 'no limit' })
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', `The filter of ${call} cannot be used`)
  return {
    states: new Set(chosen ?? (addresses === undefined ? usual : states)),
    queue: queue as string | undefined,
    name: name as string | undefined,
    ids: addresses,
    olderThanMs: olderThanMs ?? 0,
    limit: (limit as number | undefined) ?? Infinity,
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  try {
    return typeof value === 'object' && value !== null && typeof Reflect.get(value, Symbol.iterator) === 'function'
  } catch {
    return false // A proxy that throws can be read as little as a number.
  }
}

/** Each once. */
function compileIds(ids: unknown, storeMark: number, problems: Problems): JobAddress[] {
  const wayOut = "give an array, such as ['…']"
  if (!isIterable(ids)) {
    problems.refuse('ids', ids, 'an iterable of job ids', wayOut)
    return []
  }
  const addresses = new Map<number, JobAddress>()
  try {
    for (const id of ids) {
      const address = parseJobId(id, storeMark)
      addresses.set(address.seq, address)
      if (addresses.size <= BULK_IDS) continue
      problems.add('ids', `more than ${BULK_IDS} ids are given; make several calls of them`)
      break
    }
  } catch (thrown) {
    if (isMillraceError(thrown)) problems.add('ids', thrown.message)
    else problems.add('ids', `reading it threw ${describeThrown(thrown)}; ${wayOut}`)
  }
  return [...addresses.values()]
}

/** @throws MillraceError `MILLRACE_INVALID_OPTIONS` */
export function compileBulkOptions(options: unknown, call: BulkRule['call']): CompiledBulkOptions {
  if (options === undefined) return { dryRun: false, onProgress: undefined }
  const problems = new Problems()
  const { dryRun, onProgress } = readFields(options, ['dryRun', 'onProgress'], '', problems)
  if (dryRun !== undefined && typeof dryRun !== 'boolean') problems.refuse('dryRun', dryRun, 'true or false')
  if (onProgress !== undefined && typeof onProgress !== 'function') problems.refuse('onProgress', onProgress, 'a function')
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', `The options of ${call} cannot be used`)
  return { dryRun: dryRun === true, onProgress: onProgress as CompiledBulkOptions['onProgress'] }
}
