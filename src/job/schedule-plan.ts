/**
 * What becomes of a schedule's planned instants, as pure functions. Nothing else in the library decides it.
 *
 * An instant is missed when later ones have come before it could be run: the process was away, the clock was set forward, or the last
 * run was not over. `misfire` says what becomes of the missed ones:
 *
 *   once  one run for all of them, which stands for the latest
 *   all   a run for each, oldest first; of more than `MISFIRE_RUNS` only for the latest
 *   skip  none. The latest one still runs if it is no older than `MISFIRE_GRACE_MS`
 *
 * Without `overlap`, runs that come due while the last one is not over wait for its end and are missed by then; with `skip` they are
 * left out at once.
 *
 * A clock that is set back does not run again what has run. But a schedule that would be silent for more than one planned instant is
 * planned anew, from the clock as it is now.
 */
import { MISFIRE_GRACE_MS, MISFIRE_RUNS } from '../base/limits.js'
import { latestUpTo, nextAfter, type Recurrence } from './recurrence.js'

/** What becomes of planned instants that were missed. */
export const MISFIRES = ['once', 'all', 'skip'] as const

export type Misfire = (typeof MISFIRES)[number]

export interface Planned {
  readonly rule: Recurrence
  readonly misfire: Misfire
  /** Epoch ms: the earliest planned instant that nothing was decided about. */
  readonly nextRunAt: number
}

export interface Plan {
  /** Planned instants that are to be run, oldest first. */
  readonly runs: readonly number[]
  /** The next one behind those that were decided about; `Infinity`: there is none. */
  readonly nextRunAt: number
  /** The first of those that are left out. */
  readonly skippedAt: number | undefined
}

/** Decides about every planned instant up to `now`; there is one at least. */
export function planDue({ rule, misfire, nextRunAt }: Planned, now: number): Plan {
  const following = nextAfter(rule, nextRunAt, nextRunAt)
  const isMissed = following <= now
  const due = isMissed ? latestUpTo(rule, nextRunAt, now, misfire === 'all' ? MISFIRE_RUNS : 1) : [nextRunAt]
  const last = due.at(-1) ?? nextRunAt
  const isTooLate = misfire === 'skip' && now - last > MISFIRE_GRACE_MS
  const runs = isTooLate ? [] : due
  return {
    runs,
    nextRunAt: isMissed ? nextAfter(rule, Math.max(last, now), nextRunAt) : following,
    skippedAt: runs[0] === nextRunAt ? undefined : nextRunAt,
  }
}

/** Leaves out every planned instant up to `now`. */
export function planWithout({ rule, nextRunAt }: Planned, now: number): Plan {
  return { runs: [], nextRunAt: nextAfter(rule, now, nextRunAt), skippedAt: nextRunAt }
}

/** The instant to be planned for after the clock was set back, or undefined when the old one may stay. */
export function planAnew({ rule, nextRunAt }: Planned, now: number): number | undefined {
  const next = nextAfter(rule, now, nextRunAt)
  return next < nextRunAt && nextAfter(rule, next, nextRunAt) < nextRunAt ? next : undefined
}
