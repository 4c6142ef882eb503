/**
 * When a schedule's runs are planned: the rule as users write it, as it is stored, and the instants that follow from it. Pure; cron
 * patterns are parsed and computed by `croner`, which is asked about instants only and never starts a timer.
 *
 * Daylight saving, by croner's rules with `fixedTimeRule: 'no-wildcard'`: a pattern whose second, minute and hour are without `*` and
 * step names times of the day. One that a clock change skips is planned for the first instant behind the gap, one that occurs twice
 * for the first of the two. Other patterns are intervals: nothing is planned in a gap, and the repeated hour has its own instants.
 */
import { Cron } from 'croner'
import type { Duration } from '../base/duration.js'
import { CRON_CHARACTERS, EVERY_MIN_MS, MAX_INSTANT } from '../base/limits.js'
import { describeThrown, readFields, type Problems } from '../base/problems.js'
import { durationMs } from '../base/rules.js'

/** At which instants a schedule runs: at those of a cron pattern, or every so often. */
export type ScheduleRule =
  | {
      /**
       * Five fields (minute, hour, day of month, month, day of week), six with the second in front, seven with the year behind; or
       * `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
       */
      readonly cron: string
      /** An IANA name such as `'Europe/Berlin'`. @defaultValue the system's time zone when `schedule` is called; stored by its name */
      readonly timezone?: string
      readonly every?: undefined
    }
  | {
      /** At least a second, by the clock: the first run comes that long after the call, and later ones do not drift. */
      readonly every: Duration
      readonly cron?: undefined
      readonly timezone?: undefined
    }

/** A rule as it is stored. */
export type Recurrence = { readonly cron: string; readonly timezone: string } | { readonly everyMs: number }

export function isSameRecurrence(left: Recurrence, right: Recurrence): boolean {
  if ('everyMs' in left) return 'everyMs' in right && left.everyMs === right.everyMs
  return 'cron' in right && left.cron === right.cron && left.timezone === right.timezone
}

/**
 * An untrusted rule, checked. Adds problems and returns undefined if it cannot be used.
 * @param systemZone - asks for the time zone of a pattern that comes without one
 * @param now - Epoch ms: a pattern without any instant behind it is refused
 */
export function checkScheduleRule(
  rule: unknown,
  systemZone: () => string,
  now: number,
  problems: Problems,
): Recurrence | undefined {
  const before = problems.count
  const { cron, timezone, every } = readFields(rule, ['cron', 'timezone', 'every'], 'rule', problems)
  if (problems.count > before) return undefined
  if ((cron === undefined) === (every === undefined)) {
    problems.add('rule', "give either cron, such as { cron: '0 3 * * *' }, or every, such as { every: '1h' }")
    return undefined
  }
  if (every !== undefined) return checkEvery(every, timezone, problems)
  const zone = timezone === undefined ? systemZone() : checkZone(timezone, problems)
  const pattern = checkPattern(cron, problems)
  if (zone === undefined || pattern === undefined) return undefined
  try {
    const recurrence = { cron: pattern, timezone: zone }
    if (nextAfter(recurrence, now, now) < Infinity) return recurrence
    problems.add('rule.cron', `'${pattern}' never comes: there is no instant that fits it any more`)
  } catch (thrown) {
    problems.add(
      'rule.cron',
      `'${pattern}' is no cron pattern: ${describeThrown(thrown).replace(/^\w+Error: (CronPattern: )?/, '')}`,
    )
  }
  return undefined
}

function checkEvery(every: unknown, timezone: unknown, problems: Problems): Recurrence | undefined {
  if (timezone !== undefined) problems.add('rule.timezone', 'is given together with every, which knows no time zones; omit it')
  const everyMs = durationMs(every, 'rule.every', problems, { zero: false })
  if (everyMs === undefined) return undefined
  if (everyMs >= EVERY_MIN_MS && everyMs <= MAX_INSTANT) return { everyMs: Math.round(everyMs) }
  const bound = everyMs < EVERY_MIN_MS ? 'shorter than a second' : 'longer than any date'
  problems.refuse('rule.every', every, `a usable period: it is ${bound}`)
  return undefined
}

function checkZone(timezone: unknown, problems: Problems): string | undefined {
  if (typeof timezone === 'string') {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: timezone }).format(0) === '' ? undefined : timezone
    } catch {
      // Refused below.
    }
  }
  problems.refuse('rule.timezone', timezone, "the name of a time zone, such as 'Europe/Berlin' or 'UTC'")
  return undefined
}

const PATTERN =
  "a cron pattern: a string of five fields such as '0 3 * * *', of six with seconds, of seven with years, or '@daily'"

function checkPattern(cron: unknown, problems: Problems): string | undefined {
  if (typeof cron !== 'string') {
    problems.refuse('rule.cron', cron, PATTERN)
    return undefined
  }
  const pattern = cron.trim()
  // Croner also takes a date, which is an instant and no rule.
  const fields = pattern.split(/\s+/).length
  if (pattern.length <= CRON_CHARACTERS && (pattern.startsWith('@') || (fields >= 5 && fields <= 7))) return pattern
  problems.refuse('rule.cron', cron, PATTERN, 'for a single instant enqueue with runAt')
  return undefined
}

function cronOf({ cron, timezone }: { readonly cron: string; readonly timezone: string }): Cron {
  return new Cron(cron, { timezone, paused: true, fixedTimeRule: 'no-wildcard' })
}

/**
 * The first planned instant behind `after`; `Infinity` when there is none any more.
 * @param planned - a planned instant: those of `every` lie whole periods away from it
 */
export function nextAfter(rule: Recurrence, after: number, planned: number): number {
  if ('everyMs' in rule) {
    const { everyMs } = rule
    return Math.min(planned + (Math.floor((after - planned) / everyMs) + 1) * everyMs, MAX_INSTANT)
  }
  return cronOf(rule).nextRun(new Date(after))?.getTime() ?? Infinity
}

/** The latest planned instants from `planned`, which is one, up to `now`; oldest first, at most `count` and at least one. */
export function latestUpTo(rule: Recurrence, planned: number, now: number, count: number): number[] {
  if ('everyMs' in rule) {
    const { everyMs } = rule
    const last = Math.floor((now - planned) / everyMs)
    const first = Math.max(0, last - count + 1)
    return Array.from({ length: last - first + 1 }, (_, index) => planned + (first + index) * everyMs)
  }
  const before = cronOf(rule).previousRuns(count, new Date(now + 1))
  const instants = before.map((date) => date.getTime()).filter((at) => at >= planned && at <= now)
  // The rules of a time zone may have changed since the instant was planned.
  return instants.length === 0 ? [planned] : instants.sort((left, right) => left - right)
}
