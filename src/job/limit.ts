/**
 * The limit under which a job runs with others of its key: how many of them at a time, and how many may begin in a span of time.
 *
 * A job counts against the numbers that it brings itself; jobs of one key may bring different ones. Keys are those of one queue.
 */
import type { Duration } from '../base/duration.js'
import { MAX_RATE_MS } from '../base/limits.js'
import { type Problems, readFields } from '../base/problems.js'
import { durationMs, printableName, wholeNumber } from '../base/rules.js'

/** So many runs may begin in any span of that length. */
export interface Rate {
  /** Runs that begin, 1 or more; retries count too. */
  readonly max: number
  /** The span, above 0 and at most 366 days. */
  readonly per: Duration
}

/** How jobs of one key are limited together. `Key`: what may stand for it. */
export interface Limit<Key = string> {
  /** Whose limit it is, such as a tenant's name; 1 to 200 bytes, no control characters. Keys of different queues have nothing in common. */
  readonly key: Key
  /** Jobs of the key that run at a time, 1 or more. `Infinity`: no bound; keys share the threads of their queue fairly all the same. */
  readonly max: number
  /** How many of them may begin in a span of time. Omitted: no bound. */
  readonly rate?: Rate
}

export interface CompiledRate {
  readonly max: number
  readonly perMs: number
}

export interface CompiledLimit {
  readonly key: string | ((input: unknown) => unknown)
  readonly max: number
  readonly rate: CompiledRate | undefined
}

/** What is stored of it with a job. */
export interface StoredLimit {
  readonly limitKey?: string
  /** `Infinity` included. */
  readonly limitMax?: number
  readonly limitRate?: CompiledRate
}

/** Checks a limit. `takesFunction`: the key may be a function of the input. */
export function checkLimit(value: unknown, problems: Problems, takesFunction: boolean): CompiledLimit | undefined {
  const before = problems.count
  const { key, max, rate } = readFields(value, ['key', 'max', 'rate'], 'limit', problems)
  const isFunction = typeof key === 'function' && takesFunction
  const name = isFunction ? (key as CompiledLimit['key']) : printableName(key, 'limit.key', problems)
  const most = wholeNumber(max, 'limit.max', problems, { min: 1, infinity: 'no bound' })
  const compiledRate = rate === undefined ? undefined : checkRate(rate, 'limit.rate', problems)
  if (problems.count > before || name === undefined || most === undefined) return undefined
  return Object.freeze({ key: name, max: most, rate: compiledRate })
}

export function checkRate(value: unknown, field: string, problems: Problems): CompiledRate | undefined {
  const { max, per } = readFields(value, ['max', 'per'], field, problems)
  const most = wholeNumber(max, `${field}.max`, problems, { min: 1 })
  const perMs = durationMs(per, `${field}.per`, problems, { zero: false })
  if (perMs !== undefined && perMs > MAX_RATE_MS) problems.refuse(`${field}.per`, per, 'a span of at most 366 days')
  return most === undefined || perMs === undefined ? undefined : Object.freeze({ max: most, perMs })
}

/** What a function of the input may answer: a key, or undefined for a job without a limit. */
export function checkAnsweredKey(value: unknown, field: string, problems: Problems): string | undefined {
  return value === undefined ? undefined : printableName(value, field, problems)
}

export function storedLimit({ max, rate }: CompiledLimit, key: string): StoredLimit {
  return { limitKey: key, limitMax: max, ...(rate !== undefined && { limitRate: rate }) }
}
