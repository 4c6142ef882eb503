/** The settings of a job: their defaults and their rules, the same for a definition, its functions of the input, and an enqueue. */
import { formatDuration, parseDuration, type DurationUnit } from '../base/duration.js'
import { MAX_THREADS, PRIORITY_MAX, PRIORITY_MIN } from '../base/limits.js'
import type { Problems } from '../base/problems.js'
import { instantMs, printableName, durationMs, wholeNumber } from '../base/rules.js'
import { checkBackoff, type Backoff } from './backoff.js'

/** Where jobs wait that name no queue. */
export const DEFAULT_QUEUE = 'default'
/** In the middle: a job may be put before or behind the rest. */
export const DEFAULT_PRIORITY = 0
/** So at most 6 runs. The crate's default. */
export const DEFAULT_MAX_RETRIES = 5
/** Hard limit of one run. The crate's default. */
export const DEFAULT_TIMEOUT_MS = 15_000
/** A job takes one thread. */
export const DEFAULT_WEIGHT = 1

/** By when a job must begin: a `Date` or epoch ms is that instant, a string such as `'10m'` a span of time. `Infinity`: no matter when. */
export type StartBefore = Date | number | `${number}${DurationUnit}` | `${number} ${DurationUnit}`

/** The same, checked: an instant in epoch ms, or so long after the job could first begin. */
export type Deadline = { readonly at: number } | { readonly afterMs: number }

/** Each checked setting, with durations in ms. */
export interface SettingValues {
  queue: string
  priority: number
  maxRetries: number
  backoff: Backoff
  timeout: number
  softTimeout: number
  startBefore: Deadline
  weight: number
}

export type SettingName = keyof SettingValues

type Rule<Value> = (value: unknown, field: string, problems: Problems) => Value | undefined

/** Turns an untrusted value into a usable one, or adds a problem and returns undefined. */
export const SETTING_RULES: { readonly [Name in SettingName]: Rule<SettingValues[Name]> } = {
  queue: printableName,
  priority: (value, field, problems) => wholeNumber(value, field, problems, { min: PRIORITY_MIN, max: PRIORITY_MAX }),
  maxRetries: (value, field, problems) => wholeNumber(value, field, problems, { min: 0, infinity: 'no limit' }),
  backoff: checkBackoff,
  timeout: (value, field, problems) => durationMs(value, field, problems, { zero: false, infinity: 'no limit' }),
  softTimeout: (value, field, problems) => durationMs(value, field, problems, { zero: false, infinity: 'none' }),
  weight: (value, field, problems) => wholeNumber(value, field, problems, { min: 1, max: MAX_THREADS }),
  startBefore: checkStartBefore,
}

/** Before the year 2000: nobody means such an instant, but many a number of ms. */
const EARLIEST_DEADLINE = 946_684_800_000

function checkStartBefore(value: unknown, field: string, problems: Problems): Deadline | undefined {
  if (value === Infinity) return { at: Infinity }
  if (typeof value === 'string') {
    const afterMs = parseDuration(value)
    if (afterMs !== undefined && afterMs > 0) return { afterMs }
    problems.refuse(field, value, "a span of time above 0, such as '10m'", 'for an instant give a Date or epoch ms')
    return undefined
  }
  const at = instantMs(value, field, problems, "for a span of time give a string such as '10m'")
  if (at === undefined || at >= EARLIEST_DEADLINE) return at === undefined ? undefined : { at }
  problems.refuse(field, value, 'an instant after the year 2000', "for a span of time give a string such as '10m'")
  return undefined
}

export const SETTING_NAMES = Object.keys(SETTING_RULES) as readonly SettingName[]

/** A soft timeout that is no shorter than the hard one would never be seen. `Infinity` is none. */
export function checkTimeouts(softTimeoutMs: number | undefined, timeoutMs: number, problems: Problems): void {
  if (softTimeoutMs === undefined || softTimeoutMs === Infinity || softTimeoutMs < timeoutMs) return
  const compared = `${formatDuration(softTimeoutMs)} is not shorter than the timeout, ${formatDuration(timeoutMs)}`
  problems.add('softTimeout', `${compared}; shorten it, raise the timeout, or give Infinity for no soft timeout`)
}
