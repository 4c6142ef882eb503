/**
 * What an enqueue may say about its job, checked once at the call, for any number of inputs. It decides before the definition does
 * (`resolve-enqueue`), and is stored with the job; a constant of the definition is read when the job runs, so that changing it reaches
 * jobs that wait.
 */
import type { Duration } from '../base/duration.js'
import { Problems, readFields, type Fields } from '../base/problems.js'
import { durationMs, instantMs } from '../base/rules.js'
import type { Backoff } from '../job/backoff.js'
import { overridesOf, withLimit, type JobOverrides } from '../job/job-overrides.js'
import {
  checkTimeouts,
  SETTING_NAMES,
  SETTING_RULES,
  type SettingName,
  type SettingValues,
  type StartBefore,
} from '../job/job-settings.js'
import { checkLimit, type Limit } from '../job/limit.js'
import { checkDebounce, checkUnique, type CompiledUnique, type UniqueOptions } from '../job/unique.js'

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
