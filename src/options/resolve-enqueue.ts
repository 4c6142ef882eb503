/**
 * Settles one job of an enqueue: where and when it waits, and what is stored with it. The option decides, then the definition's function
 * of the input, then its constant, then the default. Called by the intake and by schedules, for every job.
 */
import { MAX_INSTANT } from '../base/limits.js'
import { describeThrown, Problems } from '../base/problems.js'
import type { CompiledDefinition, SettingFunction } from '../job/define-job.js'
import { constant, effectiveSettings } from '../job/effective-settings.js'
import { merged, overridesOf, withLimit, type JobOverrides } from '../job/job-overrides.js'
import {
  checkTimeouts,
  DEFAULT_PRIORITY,
  DEFAULT_QUEUE,
  SETTING_RULES,
  type SettingName,
  type SettingValues,
} from '../job/job-settings.js'
import { checkAnsweredKey } from '../job/limit.js'
import { checkDebounce, checkUniqueKey, type CompiledUnique, type ResolvedUnique } from '../job/unique.js'
import type { CompiledEnqueueOptions } from './enqueue-options.js'

/** Where and when one job waits, and what is stored with it. */
export interface ResolvedEnqueue {
  readonly queue: string
  readonly priority: number
  /** Epoch ms, always in the future; `undefined`: available at once. */
  readonly runAt: number | undefined
  readonly overrides: JobOverrides | undefined
  readonly unique?: ResolvedUnique
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
