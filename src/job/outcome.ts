/**
 * What a handler may say besides returning a value or throwing: `return snooze('5m')`, `return cancel('why')`,
 * `throw new FatalError(…)`, `throw new RetryError(…, { after })`.
 *
 * All four carry brands of the global symbol registry: a handler may have imported another copy of the package than
 * the thread that runs it. The two errors are the user's, so they are no `MillraceError`s.
 */
import type { Duration } from '../base/duration.js'
import { describeValue, Problems, readFields } from '../base/problems.js'
import { durationMs } from '../base/rules.js'

const SNOOZE = Symbol.for('millrace.snooze')
const CANCEL = Symbol.for('millrace.cancel')
const FATAL = Symbol.for('millrace.fatal-error')
const RETRY = Symbol.for('millrace.retry-error')

/** "Not now": see {@link snooze}. */
export interface Snooze {
  readonly [SNOOZE]: true
  /** How long the job waits, in ms. */
  readonly afterMs: number
  readonly reason?: string
}

/** "Not any more": see {@link cancel}. */
export interface Cancel {
  readonly [CANCEL]: true
  readonly reason?: string
}

/**
 * Returned by a handler to be run again after `duration`. No failure: it uses up no retry, and `ctx.attempt` is the same again.
 *
 * @param duration - Finite; 0 means at once, behind the jobs that wait already.
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS` if `duration` is no duration or `reason` no string.
 */
export function snooze(duration: Duration, reason?: string): Snooze {
  const problems = new Problems()
  const afterMs = durationMs(duration, 'duration', problems, { zero: true }) ?? 0
  checkReason(reason, problems)
  if (problems.count > 0 && (duration as unknown) === Infinity)
    problems.add('duration', "return cancel('why') to end the job for good")
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'snooze() cannot be used like this')
  return Object.freeze({ [SNOOZE]: true as const, afterMs, ...(reason !== undefined && { reason }) })
}

/**
 * Returned by a handler to end its job as `cancelled`: no output, no failure, no further attempt.
 *
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS` if `reason` is no string.
 */
export function cancel(reason?: string): Cancel {
  const problems = new Problems()
  checkReason(reason, problems)
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'cancel() cannot be used like this')
  return Object.freeze({ [CANCEL]: true as const, ...(reason !== undefined && { reason }) })
}

function checkReason(reason: unknown, problems: Problems): void {
  if (reason !== undefined && typeof reason !== 'string')
    problems.add('reason', `${describeValue(reason)} is not a string; omit it or say why`)
}

/** Thrown by a handler when another attempt would be useless: the job is `discarded` at once, whatever retries are left. */
export class FatalError extends Error {
  static {
    this.prototype.name = 'FatalError'
    Object.defineProperty(this.prototype, FATAL, { value: true })
  }

  declare readonly [FATAL]: true

  /** @param options - `cause`: what led to it. Never throws, whatever it is given: the error would not be the one that was meant. */
  constructor(message?: string, options?: { readonly cause?: unknown }) {
    const { cause } = typeof options === 'object' && options !== null ? readFields(options, ['cause'], '', new Problems()) : {}
    super(textOf(message), cause === undefined ? undefined : { cause })
  }
}

/** What handlers throw is rarely checked: an error instead of its message, a value of another kind. */
function textOf(message: unknown): string | undefined {
  if (message === undefined) return undefined
  try {
    return String(message)
  } catch {
    return describeValue(message)
  }
}

/** Thrown by a handler to fail the attempt and choose the wait itself, for example from a `Retry-After` header. Uses up a retry. */
export class RetryError extends Error {
  static {
    this.prototype.name = 'RetryError'
    Object.defineProperty(this.prototype, RETRY, { value: true })
  }

  declare readonly [RETRY]: true
  /** The wait in ms that beats the job's backoff; `undefined`: the backoff decides. */
  readonly afterMs: number | undefined

  /**
   * @param options - `after`: the wait before the next attempt, finite; 0 means at once. `cause`: what led to it.
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS` if `after` is no duration.
   */
  constructor(message?: string, options: { readonly after?: Duration; readonly cause?: unknown } = {}) {
    const problems = new Problems()
    const { after, cause } = readFields(options, ['after', 'cause'], '', problems)
    super(textOf(message), cause === undefined ? undefined : { cause })
    this.afterMs = after === undefined ? undefined : durationMs(after, 'after', problems, { zero: true })
    problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'new RetryError() cannot be used like this')
  }
}

function hasBrand(value: unknown, brand: symbol): boolean {
  try {
    return typeof value === 'object' && value !== null && Reflect.get(value, brand) === true
  } catch {
    return false // A proxy that throws is the user's own value.
  }
}

/** Whether `value` came from {@link snooze}, of any copy of the package. */
export function isSnooze(value: unknown): value is Snooze {
  return hasBrand(value, SNOOZE)
}

/** Whether `value` came from {@link cancel}, of any copy of the package. */
export function isCancel(value: unknown): value is Cancel {
  return hasBrand(value, CANCEL)
}

/** Whether `error` is a {@link FatalError}, of any copy of the package. */
export function isFatalError(error: unknown): error is FatalError {
  return hasBrand(error, FATAL)
}

/** Whether `error` is a {@link RetryError}, of any copy of the package. */
export function isRetryError(error: unknown): error is RetryError {
  return hasBrand(error, RETRY)
}
