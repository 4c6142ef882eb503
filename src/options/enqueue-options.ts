/**
 * What an enqueue may say about its job, and what is stored of it.
 *
 * Precedence: the enqueue option, then the definition's function of the input, then its constant, then the default. Only the first
 * two are stored with the job; a constant is read from the definition when the job runs, so that changing it reaches jobs that wait.
 */
import type { Duration } from '../base/duration.js'
import { MAX_INSTANT } from '../base/limits.js'
import { describeThrown, Problems, readFields, type Fields } from '../base/problems.js'
import { durationMs, instantMs } from '../base/rules.js'
import { DEFAULT_BACKOFF, type Backoff, type BackoffSource, type StoredBackoff } from '../job/backoff.js'
import type { CompiledDefinition, SettingFunction } from '../job/define-job.js'
import { checkAnsweredKey, checkLimit, storedLimit, type CompiledLimit, type Limit, type StoredLimit } from '../job/limit.js'
import type { ScheduledRun } from '../job/job-info.js'
import { checkDebounce, checkUnique, checkUniqueKey } from '../job/unique.js'
import type { CompiledUnique, ResolvedUnique, StoredUnique, UniqueOptions } from '../job/unique.js'
import {
  checkTimeouts,
  DEFAULT_MAX_RETRIES,
  DEFAULT_PRIORITY,
  DEFAULT_QUEUE,
  DEFAULT_TIMEOUT_MS,
  DEFAULT_WEIGHT,
  SETTING_NAMES,
  SETTING_RULES,
  type Deadline,
  type SettingName,
  type SettingValues,
  type StartBefore,
} from '../job/job-settings.js'

/** Options of `enqueue` and `enqueueMany`. They override the definition's and are stored with the job. */
export interface EnqueueOptions {
  /** The queue the job waits in; one of the executor's. */
  readonly queue?: string
  /** From -128 to 127; higher starts first within a queue. */
  readonly priority?: number
  /** Retries after failures: at most so many runs plus one. 0: one run. `Infinity`: no limit. */
  readonly maxRetries?: number
  /** The wait before each retry. Not `custom`: a function cannot be stored. */
  readonly backoff?: Exclude<Backoff, { type: 'custom' }>
  /** Hard limit of one run, above 0: the thread is terminated. `Infinity`: no limit. */
  readonly timeout?: Duration
  /** When `ctx.signal` is aborted, above 0 and shorter than `timeout`. `Infinity`: not before the run is stopped. */
  readonly softTimeout?: Duration
  /** How long the job waits before it becomes available; finite. 0: not at all. Not together with `runAt`. */
  readonly delay?: Duration
  /** When the job becomes available: a `Date` or epoch ms. In the past: at once. Not together with `delay`. */
  readonly runAt?: Date | number
  /** The key under which the job is limited together with others, and their limit. Instead of the definition's, as a whole. */
  readonly limit?: Limit
  /** How many threads the job counts as while it runs; more than there are count as all of them. From 1 to 1024. */
  readonly weight?: number
  /** That only one job of this definition and key is there at a time. The definition's counts as a whole when this is omitted. */
  readonly unique?: UniqueOptions
  /**
   * A job that has not begun its first run by then is discarded with `MILLRACE_EXPIRED`. A `Date` or epoch ms is that instant; a string
   * such as `'10m'` counts from the enqueue, of a delayed job from when it becomes available. `Infinity`: never.
   */
  readonly startBefore?: StartBefore
}

/** The settings stored with a job: those that came from the enqueue or from a function of the input. */
export interface JobOverrides extends StoredLimit {
  /** `Infinity` included. */
  readonly maxRetries?: number
  readonly backoff?: StoredBackoff
  /** `Infinity` included. */
  readonly timeoutMs?: number
  /** `Infinity`: none, although the definition has one. */
  readonly softTimeoutMs?: number
  readonly weight?: number
  /** The key that the job was enqueued with. Whether it still holds it, the unique index says. */
  readonly unique?: StoredUnique
  /** Epoch ms by which the first run must begin; `Infinity`: whenever it likes, whatever the definition says. */
  readonly startBefore?: number
  /** The same, in ms from when the job was enqueued, or became available if that was later. */
  readonly startBeforeMs?: number
  /** The job is a run of a schedule. */
  readonly schedule?: ScheduledRun
}

/** Checked {@link EnqueueOptions}, for any number of inputs. */
export interface CompiledEnqueueOptions {
  readonly queue: string | undefined
  readonly priority: number | undefined
  readonly delayMs: number | undefined
  /** Epoch ms. */
  readonly runAt: number | undefined
  /** Shared by all jobs enqueued with these options. */
  readonly overrides: JobOverrides | undefined
  readonly unique?: CompiledUnique
}

/** Where and when one job waits, and what is stored with it. */
export interface ResolvedEnqueue {
  readonly queue: string
  readonly priority: number
  /** Epoch ms, always in the future; `undefined`: available at once. */
  readonly runAt: number | undefined
  readonly overrides: JobOverrides | undefined
  readonly unique?: ResolvedUnique
}

const OPTION_FIELDS = [...SETTING_NAMES, 'delay', 'runAt', 'limit', 'unique'] as const

/**
 * Checks the options once, at the call.
 *
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, listing everything that is wrong.
 */
export function compileEnqueueOptions(options: unknown): CompiledEnqueueOptions | undefined {
  if (options === undefined) return undefined
  const problems = new Problems()
  const compiled = checkEnqueueFields(readFields(options, OPTION_FIELDS, '', problems), problems)
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'The enqueue options cannot be used')
  return compiled
}

/** The same for fields that were read already, some of which may not have been asked for. Adds what is wrong to `problems`. */
export function checkEnqueueFields(fields: Fields<(typeof OPTION_FIELDS)[number]>, problems: Problems): CompiledEnqueueOptions {
  const checked: { -readonly [Name in SettingName]?: SettingValues[Name] } = {}
  const check = <Name extends SettingName>(name: Name): void => {
    if (fields[name] === undefined) return
    const value = SETTING_RULES[name](fields[name], name, problems)
    if (value !== undefined) checked[name] = value
  }
  for (const name of SETTING_NAMES) check(name)
  const { queue, priority, backoff } = checked
  if (backoff?.type === 'custom')
    problems.add('backoff', 'a function cannot be stored with the job; put the custom backoff on the definition')
  if (checked.timeout !== undefined) checkTimeouts(checked.softTimeout, checked.timeout, problems)
  const delayMs = fields.delay === undefined ? undefined : durationMs(fields.delay, 'delay', problems, { zero: true })
  const runAt =
    fields.runAt === undefined ? undefined : instantMs(fields.runAt, 'runAt', problems, 'to wait for a span of time give delay')
  const limit = fields.limit === undefined ? undefined : checkLimit(fields.limit, problems, false)
  if (fields.delay !== undefined && fields.runAt !== undefined)
    problems.add('runAt', 'is given together with delay; give one of the two')
  const unique = fields.unique === undefined ? undefined : checkUnique(fields.unique, problems)
  if (unique !== undefined) checkDebounce(unique, delayMs, problems)
  const overrides = withLimit(overridesOf(checked, unique), limit)
  return Object.freeze({ queue, priority, delayMs, runAt, overrides, ...(unique && { unique }) })
}

type Checked = { readonly [Name in SettingName]?: SettingValues[Name] }

function overridesOf(
  { maxRetries, backoff, timeout, softTimeout, startBefore, weight }: Checked,
  unique?: CompiledUnique,
): JobOverrides | undefined {
  const given = [maxRetries, backoff, timeout, softTimeout, startBefore, weight, unique]
  if (given.every((value) => value === undefined)) return undefined
  return Object.freeze({
    ...(maxRetries !== undefined && { maxRetries }),
    ...(backoff !== undefined && { backoff: storedBackoff(backoff) }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...(softTimeout !== undefined && { softTimeoutMs: softTimeout }),
    ...(weight !== undefined && { weight }),
    ...(unique !== undefined && { unique: Object.freeze({ key: unique.key, while: unique.while }) }),
    ...(startBefore !== undefined &&
      ('at' in startBefore ? { startBefore: startBefore.at } : { startBeforeMs: startBefore.afterMs })),
  })
}

function withLimit(
  overrides: JobOverrides | undefined,
  limit: CompiledLimit | undefined,
  key = limit?.key,
): JobOverrides | undefined {
  if (limit === undefined || typeof key !== 'string') return overrides
  return Object.freeze({ ...overrides, ...storedLimit(limit, key) })
}

/** What the options give over what the definition asks for. A limit is taken as a whole. */
function merged(asked: JobOverrides | undefined, given: JobOverrides | undefined): JobOverrides | undefined {
  if (asked === undefined || given === undefined) return given ?? asked
  const { limitKey: _key, limitMax: _max, limitRate: _rate, ...rest } = asked
  return Object.freeze({ ...(given.limitKey === undefined ? asked : rest), ...given })
}

function storedBackoff(backoff: Backoff): StoredBackoff {
  return backoff.type === 'custom' ? { type: 'definition' } : backoff
}

/** What `resolveEnqueue` answers for a definition of constants without options, kept so that the common case costs one look-up. */
const plain = new WeakMap<CompiledDefinition, ResolvedEnqueue>()

/**
 * Settles one job's queue, priority, due instant and stored settings.
 *
 * @param input - Parsed, as the definition's functions of the input expect it.
 * @param now - Epoch ms.
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS` if a function of the input throws or returns something unusable.
 */
export function resolveEnqueue(
  definition: CompiledDefinition,
  input: unknown,
  options: CompiledEnqueueOptions | undefined,
  now: number,
): ResolvedEnqueue {
  if (definition.varies) return resolveVarying(definition, input, options, now)
  let resolved = plain.get(definition)
  if (resolved === undefined) {
    const { queue, priority, limit } = definition
    const overrides = withLimit(undefined, limit)
    resolved = Object.freeze({ queue: queue as string, priority: priority as number, runAt: undefined, overrides })
    plain.set(definition, resolved)
  }
  if (options === undefined) return resolved
  if (options.overrides !== undefined) checkTogether(definition, options.overrides)
  return {
    queue: options.queue ?? resolved.queue,
    priority: options.priority ?? resolved.priority,
    runAt: dueAt(options, now),
    overrides: merged(resolved.overrides, options.overrides),
    ...(options.unique && { unique: resolvedUnique(options.unique, options) }),
  }
}

function resolveVarying(
  definition: CompiledDefinition,
  input: unknown,
  options: CompiledEnqueueOptions | undefined,
  now: number,
): ResolvedEnqueue {
  const problems = new Problems()
  const given = options?.overrides
  const ask = <Name extends SettingName>(
    name: Name,
    source: SettingFunction | SettingValues[Name] | undefined,
    option: unknown,
  ): SettingValues[Name] | undefined =>
    option === undefined && typeof source === 'function' ? askFunction(name, source, input, problems) : undefined
  const queue = ask('queue', definition.queue, options?.queue)
  const priority = ask('priority', definition.priority, options?.priority)
  const maxRetries = ask('maxRetries', definition.maxRetries, given?.maxRetries)
  const backoff = ask('backoff', definition.backoff, given?.backoff)
  const timeout = ask('timeout', definition.timeoutMs, given?.timeoutMs)
  const softTimeout = ask('softTimeout', definition.softTimeoutMs, given?.softTimeoutMs)
  const weight = ask('weight', definition.weight, given?.weight)
  const limitKey = given?.limitKey === undefined ? askLimitKey(definition, input, problems) : undefined
  const unique = options?.unique ?? definedUnique(definition, input, options, problems)
  const startBefore = ask('startBefore', definition.startBefore, given?.startBefore ?? given?.startBeforeMs)
  throwIfAny(definition, problems)
  const settings = {
    ...(maxRetries !== undefined && { maxRetries }),
    ...(backoff !== undefined && { backoff }),
    ...(timeout !== undefined && { timeout }),
    ...(softTimeout !== undefined && { softTimeout }),
    ...(startBefore !== undefined && { startBefore }),
    ...(weight !== undefined && { weight }),
  }
  const asked = withLimit(overridesOf(settings, unique), limitKey === undefined ? undefined : definition.limit, limitKey)
  const overrides = merged(asked, given)
  if (overrides !== undefined) checkTogether(definition, overrides)
  return {
    queue: options?.queue ?? queue ?? constant(definition.queue, DEFAULT_QUEUE),
    priority: options?.priority ?? priority ?? constant(definition.priority, DEFAULT_PRIORITY),
    runAt: options === undefined ? undefined : dueAt(options, now),
    overrides,
    ...(unique && { unique: resolvedUnique(unique, options) }),
  }
}

function resolvedUnique(unique: CompiledUnique, options: CompiledEnqueueOptions | undefined): ResolvedUnique {
  return { ...unique, tellsWhen: options !== undefined && (options.delayMs !== undefined || options.runAt !== undefined) }
}

function definedUnique(
  { unique }: CompiledDefinition,
  input: unknown,
  options: CompiledEnqueueOptions | undefined,
  problems: Problems,
): CompiledUnique | undefined {
  if (unique === undefined) return undefined
  const field = typeof unique.key === 'function' ? "unique.key (the definition's function of the input)" : 'unique.key'
  try {
    const given = typeof unique.key === 'function' ? unique.key(input) : unique.key
    const key = checkUniqueKey(given, field, problems)
    if (key === undefined) return undefined
    const resolved = { ...unique, key }
    checkDebounce(resolved, options?.delayMs, problems)
    return resolved
  } catch (thrown) {
    problems.add(field, `threw ${describeThrown(thrown)}`)
    return undefined
  }
}

function askFunction<Name extends SettingName>(
  name: Name,
  source: SettingFunction,
  input: unknown,
  problems: Problems,
): SettingValues[Name] | undefined {
  const field = `${name} (the definition's function of the input)`
  try {
    return SETTING_RULES[name](source(input), field, problems)
  } catch (thrown) {
    problems.add(field, `threw ${describeThrown(thrown)}`)
    return undefined
  }
}

/** The key under which the definition limits the job, if it does. */
function askLimitKey({ limit }: CompiledDefinition, input: unknown, problems: Problems): string | undefined {
  if (typeof limit?.key !== 'function') return limit?.key
  const field = "limit.key (the definition's function of the input)"
  try {
    return checkAnsweredKey(limit.key(input), field, problems)
  } catch (thrown) {
    problems.add(field, `threw ${describeThrown(thrown)}`)
    return undefined
  }
}

/** The one check that needs both sides: a timeout from here may be shorter than a soft timeout from there. */
function checkTogether(definition: CompiledDefinition, overrides: JobOverrides): void {
  const { timeoutMs, softTimeoutMs } = effectiveSettings(definition, overrides)
  if (softTimeoutMs === undefined || softTimeoutMs < timeoutMs) return
  const problems = new Problems()
  checkTimeouts(softTimeoutMs, timeoutMs, problems)
  throwIfAny(definition, problems)
}

function throwIfAny(definition: CompiledDefinition, problems: Problems): void {
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', `A job of '${definition.name}' cannot be enqueued`)
}

function dueAt({ delayMs, runAt }: CompiledEnqueueOptions, now: number): number | undefined {
  const at = delayMs === undefined ? runAt : Math.min(Math.ceil(now + delayMs), MAX_INSTANT)
  return at === undefined || at <= now ? undefined : at
}

/** What holds for a job when it runs. */
export interface EffectiveSettings {
  /** `Infinity` included. */
  readonly maxRetries: number
  /** `Infinity` included. */
  readonly timeoutMs: number
  /** `undefined`: none. */
  readonly softTimeoutMs: number | undefined
  readonly backoff: BackoffSource
  /** By when the first run must begin; `undefined`: whenever it likes. */
  readonly startBefore: Deadline | undefined
  /** Threads it counts as. */
  readonly weight: number
}

/**
 * The stored settings over the definition's constants over the defaults. A definition that has become a function of the input since
 * the job was enqueued counts as unset, and so does one that is no longer registered.
 */
export function effectiveSettings(
  definition: CompiledDefinition | undefined,
  overrides: JobOverrides | undefined,
): EffectiveSettings {
  const softTimeoutMs = overrides?.softTimeoutMs ?? constant(definition?.softTimeoutMs, undefined)
  return {
    maxRetries: overrides?.maxRetries ?? constant(definition?.maxRetries, DEFAULT_MAX_RETRIES),
    timeoutMs: overrides?.timeoutMs ?? constant(definition?.timeoutMs, DEFAULT_TIMEOUT_MS),
    softTimeoutMs: softTimeoutMs === Infinity ? undefined : softTimeoutMs,
    backoff: effectiveBackoff(definition?.backoff, overrides?.backoff),
    startBefore: effectiveDeadline(definition, overrides),
    weight: overrides?.weight ?? constant(definition?.weight, DEFAULT_WEIGHT),
  }
}

function effectiveDeadline(
  definition: CompiledDefinition | undefined,
  overrides: JobOverrides | undefined,
): Deadline | undefined {
  if (overrides?.startBefore !== undefined) return overrides.startBefore === Infinity ? undefined : { at: overrides.startBefore }
  if (overrides?.startBeforeMs !== undefined) return { afterMs: overrides.startBeforeMs }
  return constant(definition?.startBefore, undefined)
}

/** Epoch ms by which the first run must begin; `undefined`: whenever it likes. */
export function startBeforeOf(
  { startBefore }: EffectiveSettings,
  { enqueuedAt, runAt }: { readonly enqueuedAt: number; readonly runAt: number },
): number | undefined {
  if (startBefore === undefined) return undefined
  return 'at' in startBefore ? startBefore.at : Math.min(Math.max(enqueuedAt, runAt) + startBefore.afterMs, MAX_INSTANT)
}

function effectiveBackoff(defined: BackoffSource | undefined, stored: StoredBackoff | undefined): BackoffSource {
  if (stored === undefined) return constant(defined, DEFAULT_BACKOFF)
  return stored.type === 'definition' ? (defined ?? DEFAULT_BACKOFF) : stored
}

function constant<Value, Fallback>(
  value: Value | ((input: unknown) => unknown) | undefined,
  fallback: Fallback,
): Value | Fallback {
  return value === undefined || typeof value === 'function' ? fallback : value
}
