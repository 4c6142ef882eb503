/**
 * How long a failed job waits for its next attempt. `fixed` and `exponential` are the formulas of the Rust crate
 * `background-jobs` (its `Backoff::Linear(n)` and `Backoff::Exponential(base)`), here with a cap and jitter.
 *
 * delay = min(formula(retry), max) × (1 − jitter × random), clamped to 0 … `MAX_INSTANT`, in whole ms.
 * The cap comes before the jitter: capped delays are spread too, and none exceeds `max`.
 */
import { parseDuration, type Duration } from '../base/duration.js'
import type { ErrorRecord } from '../base/errors.js'
import { MAX_INSTANT } from '../base/limits.js'
import { describeThrown, describeValue, Problems, readFields } from '../base/problems.js'
import type { Random } from '../base/random.js'
import { durationMs } from '../base/rules.js'

/** What every kind of backoff may add. */
export interface BackoffShaping {
  /** The longest delay, before jitter. @defaultValue `Infinity`, no cap */
  readonly max?: Duration
  /**
   * How far a delay is shortened at random, from 0 to 1: it is multiplied by a factor between `1 - jitter` and 1, so that
   * jobs that failed together do not all come back together. @defaultValue 0, no jitter
   */
  readonly jitter?: number
}

/** The same delay before every retry. The crate's `Linear(n)`. */
export interface FixedBackoff extends BackoffShaping {
  readonly type: 'fixed'
  readonly delay: Duration
}

/** `step × retry`: with `'10s'` 10, 20, 30 s … */
export interface LinearBackoff extends BackoffShaping {
  readonly type: 'linear'
  readonly step: Duration
}

/** `base ** retry` seconds: 2, 4, 8, 16, 32 s … by default. The crate's `Exponential(base)`. */
export interface ExponentialBackoff extends BackoffShaping {
  readonly type: 'exponential'
  /** Above 0. @defaultValue 2 */
  readonly base?: number
}

/** A function of the failure. If it throws or returns no duration, the job waits by the default backoff instead. */
export interface CustomBackoff extends BackoffShaping {
  readonly type: 'custom'
  readonly delay: (failure: BackoffFailure) => Duration
}

/** The wait between a failed attempt and the next one. */
export type Backoff = FixedBackoff | LinearBackoff | ExponentialBackoff | CustomBackoff

/** What a custom backoff is told. */
export interface BackoffFailure {
  /** The number of the coming retry: 1 after the first failed attempt. */
  readonly retry: number
  /** What ended the attempt. */
  readonly error: ErrorRecord
  /** The job's input. */
  readonly input: unknown
}

/** A backoff as it is stored with a job. `definition`: a function, so the definition is asked again when the job fails. */
export type StoredBackoff = FixedBackoff | LinearBackoff | ExponentialBackoff | { readonly type: 'definition' }

/** Where a delay comes from: a backoff, or a definition's function of the input that returns one. */
export type BackoffSource = Backoff | ((input: unknown) => unknown)

/** A delay, and why it is the default's if the user's own function could not be used. */
export interface BackoffDelay {
  /** Whole ms, from 0 to `MAX_INSTANT`. */
  readonly delayMs: number
  readonly problem?: string
}

/** 2, 4, 8, 16, 32 s … */
export const DEFAULT_BACKOFF: ExponentialBackoff & { readonly base: number } = Object.freeze({ type: 'exponential', base: 2 })

/** The delay before `failure.retry`. Never throws: what a user's function does wrong comes back as `problem`. */
export function backoffDelayMs(source: BackoffSource, failure: BackoffFailure, random: Random): BackoffDelay {
  const chosen = typeof source === 'function' ? askSource(source, failure.input) : source
  const formula = typeof chosen === 'string' ? chosen : formulaMs(chosen, failure)
  if (typeof formula === 'number') return { delayMs: shape(formula, chosen as Backoff, random) }
  return { delayMs: shape(formulaMs(DEFAULT_BACKOFF, failure) as number, DEFAULT_BACKOFF, random), problem: formula }
}

/** The backoff, or what was wrong with the function. */
function askSource(source: (input: unknown) => unknown, input: unknown): Backoff | string {
  try {
    const problems = new Problems()
    const backoff = checkBackoff(source(input), 'backoff', problems)
    return backoff ?? 'the backoff function of the input returned no usable backoff; waiting by the default one'
  } catch (thrown) {
    return `the backoff function of the input threw ${describeThrown(thrown)}; waiting by the default backoff`
  }
}

/** The formula alone, or what was wrong with a custom one. May be `Infinity`; shaped afterwards. */
function formulaMs(backoff: Backoff, failure: BackoffFailure): number | string {
  switch (backoff.type) {
    case 'fixed':
      return parseDuration(backoff.delay) ?? 0
    case 'linear':
      return (parseDuration(backoff.step) ?? 0) * failure.retry
    case 'exponential':
      return (backoff.base ?? DEFAULT_BACKOFF.base) ** failure.retry * 1000
    case 'custom':
      return askCustom(backoff, failure)
  }
}

function askCustom(backoff: CustomBackoff, failure: BackoffFailure): number | string {
  try {
    const returned: unknown = backoff.delay(failure)
    return (
      parseDuration(returned) ?? `the custom backoff returned ${describeValue(returned)}, no duration; waiting by the default one`
    )
  } catch (thrown) {
    return `the custom backoff threw ${describeThrown(thrown)}; waiting by the default one`
  }
}

function shape(formula: number, { max, jitter = 0 }: BackoffShaping, random: Random): number {
  const capMs = max === undefined ? Infinity : (parseDuration(max) ?? Infinity)
  // The instant's limit comes before the jitter, which would make NaN of Infinity × 0.
  return Math.round(Math.min(formula, capMs, MAX_INSTANT) * (1 - jitter * random.next()))
}

const FIELDS = ['type', 'max', 'jitter'] as const
const TYPES =
  "a backoff: { type: 'fixed', delay }, { type: 'linear', step }, { type: 'exponential', base? } or { type: 'custom', delay }"

/** An untrusted backoff, checked and normalised to ms. Adds problems and returns undefined if it cannot be used. */
export function checkBackoff(value: unknown, field: string, problems: Problems): Backoff | undefined {
  const before = problems.count
  if (typeof value !== 'object' || value === null) {
    problems.refuse(field, value, TYPES)
    return undefined
  }
  const { type } = readFields(value, [...FIELDS, 'delay', 'step', 'base'], field, problems)
  if (problems.count > before) return undefined
  const backoff = checkType(type, value, field, problems)
  return problems.count > before ? undefined : backoff
}

function checkType(type: unknown, value: object, field: string, problems: Problems): Backoff | undefined {
  switch (type) {
    case 'fixed': {
      const fields = readFields(value, [...FIELDS, 'delay'], field, problems)
      const delay = durationMs(fields.delay, `${field}.delay`, problems, { zero: true })
      return Object.freeze({ type, delay: delay ?? 0, ...checkShaping(fields, field, problems) })
    }
    case 'linear': {
      const fields = readFields(value, [...FIELDS, 'step'], field, problems)
      const step = durationMs(fields.step, `${field}.step`, problems, { zero: true })
      return Object.freeze({ type, step: step ?? 0, ...checkShaping(fields, field, problems) })
    }
    case 'exponential': {
      const fields = readFields(value, [...FIELDS, 'base'], field, problems)
      const base = fields.base === undefined ? DEFAULT_BACKOFF.base : fields.base
      const fits = typeof base === 'number' && base > 0 && base < Infinity
      if (!fits) problems.refuse(`${field}.base`, base, 'a finite number above 0')
      return Object.freeze({ type, base: fits ? base : DEFAULT_BACKOFF.base, ...checkShaping(fields, field, problems) })
    }
    case 'custom': {
      const fields = readFields(value, [...FIELDS, 'delay'], field, problems)
      if (typeof fields.delay !== 'function')
        problems.refuse(`${field}.delay`, fields.delay, 'a function of the failure that returns a duration')
      const delay = fields.delay as CustomBackoff['delay']
      return Object.freeze({ type, delay, ...checkShaping(fields, field, problems) })
    }
    default:
      problems.refuse(`${field}.type`, type, TYPES)
      return undefined
  }
}

function checkShaping(fields: { max?: unknown; jitter?: unknown }, field: string, problems: Problems): BackoffShaping {
  const { max, jitter } = fields
  const maxMs = max === undefined ? undefined : durationMs(max, `${field}.max`, problems, { zero: true, infinity: 'no cap' })
  const usable = typeof jitter === 'number' && jitter >= 0 && jitter <= 1
  if (jitter !== undefined && !usable) problems.refuse(`${field}.jitter`, jitter, 'a number from 0 to 1')
  return {
    ...(maxMs !== undefined && maxMs !== Infinity && { max: maxMs }),
    ...(usable && jitter > 0 && { jitter }),
  }
}
