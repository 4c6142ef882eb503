/** What `schedule` may be given: documented for users, checked once at the call. */
import { SCHEDULE_NAME_BYTES } from '../base/limits.js'
import { Problems, readFields } from '../base/problems.js'
import { printableName } from '../base/rules.js'
import { SETTING_NAMES, type StartBefore } from '../job/job-settings.js'
import { checkScheduleRule, type Recurrence } from '../job/recurrence.js'
import { MISFIRES, type Misfire } from '../job/schedule-plan.js'
import { checkEnqueueFields, type CompiledEnqueueOptions, type EnqueueOptions } from './enqueue-options.js'

/** Options of `schedule`: those of `enqueue`, for each run, and what becomes of runs that come at a bad time. */
export interface ScheduleOptions extends Omit<EnqueueOptions, 'delay' | 'runAt' | 'unique' | 'startBefore'> {
  /** A span of time such as `'10m'`, from when a run is enqueued. A run that has not begun by then is discarded. `Infinity`: never. */
  readonly startBefore?: Exclude<StartBefore, Date | number> | typeof Infinity
  /** Whether a run is enqueued while the job of the last one is not over. If not, it waits for the end of that. @defaultValue false */
  readonly overlap?: boolean
  /**
   * What becomes of planned instants that were missed: the process was away, the clock was set forward, or the last run was not over.
   * `'once'`: one run for all of them. `'all'`: a run for each, at most the latest 100. `'skip'`: none, but one that is no older than a
   * minute. @defaultValue `'once'`
   */
  readonly misfire?: Misfire
}

/** Checked arguments of `schedule`. */
export interface CompiledSchedule {
  readonly name: string
  readonly rule: Recurrence
  readonly overlap: boolean
  readonly misfire: Misfire
  readonly enqueue: CompiledEnqueueOptions
}

const OPTION_FIELDS = [...SETTING_NAMES, 'limit', 'overlap', 'misfire'] as const

/**
 * Checks everything but the definition and its input.
 *
 * @param systemZone - asks for the time zone of a cron pattern that is given none
 * @param now - Epoch ms
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, listing everything that is wrong
 */
export function compileSchedule(
  name: unknown,
  rule: unknown,
  options: unknown,
  systemZone: () => string,
  now: number,
): CompiledSchedule {
  const problems = new Problems()
  const checkedName = printableName(name, 'name', problems, SCHEDULE_NAME_BYTES)
  const checkedRule = checkScheduleRule(rule, systemZone, now, problems)
  const { overlap, misfire, ...rest } = options === undefined ? {} : readFields(options, OPTION_FIELDS, 'options', problems)
  if (overlap !== undefined && typeof overlap !== 'boolean') problems.refuse('options.overlap', overlap, 'true or false')
  if (misfire !== undefined && !MISFIRES.includes(misfire as Misfire))
    problems.refuse('options.misfire', misfire, "'once', 'all' or 'skip'")
  const enqueue = checkEnqueueFields(rest, problems)
  const at = enqueue.overrides?.startBefore
  if (at !== undefined && at !== Infinity) refuseInstant('options.startBefore', problems)
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'The schedule cannot be made')
  return {
    name: checkedName as string,
    rule: checkedRule as Recurrence,
    overlap: overlap === true,
    misfire: (misfire as Misfire | undefined) ?? 'once',
    enqueue,
  }
}

/** An instant would be the same for every run. */
export function refuseInstant(field: string, problems: Problems): void {
  problems.add(field, "an instant is behind all runs but the first ones; give a span of time such as '10m', or Infinity")
}

/** The name of a schedule. @throws MillraceError `MILLRACE_INVALID_OPTIONS` */
export function checkScheduleName(name: unknown): string {
  const problems = new Problems()
  const checked = printableName(name, 'name', problems, SCHEDULE_NAME_BYTES)
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'unschedule() cannot be used like this')
  return checked as string
}
