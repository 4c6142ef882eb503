/** What users are shown of a schedule. Types only. */
import type { Misfire } from './schedule-plan.js'

/** A schedule as it stands in the store. Instants are planned ones, in epoch ms. */
export interface ScheduleInfo<Input = unknown> {
  readonly name: string
  /** Present with `timezone`, or else `every` is. */
  readonly cron?: string
  /** The time zone of `cron`. */
  readonly timezone?: string
  /** In ms. */
  readonly every?: number
  /** The name of the job's definition. */
  readonly definition: string
  /** Where its runs wait. */
  readonly queue: string
  /** What each run is enqueued with, before the schema's transformations. */
  readonly input: Input
  readonly overlap: boolean
  readonly misfire: Misfire
  /** The planned instant of the latest run; absent before the first. When its job was enqueued, and began, is in the job's own record. */
  readonly lastRunAt?: number
  /** The job of the latest run. */
  readonly lastJobId?: string
  /** The earliest planned instant that has not been run or left out. In the past while `waitsFor` says what for. Absent: none is to come. */
  readonly nextRunAt?: number
  /**
   * Why a run that is due is not enqueued: the job of the last run is not over and `overlap` is false, or this executor does not have
   * the definition or the queue.
   */
  readonly waitsFor?: 'lastRun' | 'definition' | 'queue'
  /** Of the planned instants that `misfire` left out last, the first. Absent when none ever was. */
  readonly skippedAt?: number
}
