/**
 * The schedules of a store, in memory: which of them are due, and what each one waits for. Changed only within a turn. What a turn
 * decides about planned instants and what it enqueues for them is one commit: `due` decides, the caller enqueues and says `ran`,
 * `write` stores.
 *
 * A schedule can be due and yet have to wait: for the end of its last run's job, or for an executor that has its definition and
 * its queue. Such ones do not count for `nextAt`, so that nobody spins on them.
 */
import { SCHEDULE_RUNS } from '../base/limits.js'
import { storableOverrides } from '../codec/job-facts.js'
import type { ScheduleRecord, ScheduleSettings } from '../codec/schedule-record.js'
import type { JobAddress } from '../job/job-id.js'
import { isSameRecurrence, nextAfter } from '../job/recurrence.js'
import { planAnew, planDue, planWithout, type Plan } from '../job/schedule-plan.js'
import type { WriteBatch } from '../store/engine.js'
import { putSchedule, removeSchedule } from '../store/schedule-records.js'

export class Schedule {
  record: ScheduleRecord
  /** Its definition and its queue are here. */
  canRun: boolean
  /** Planned instants that were found to be run, and go in later turns: a turn enqueues few, and without overlap one goes at a time. */
  backlog: number[] = []
  /** The planned instant behind the backlog. */
  thenAt = Infinity
  /** Whether its last run's job is over; undefined when nobody has looked since the store was opened. */
  lastIsOver: boolean | undefined
  /** A run is due and waits until the last one's job is over. */
  isHeld = false

  constructor(record: ScheduleRecord, canRun: boolean) {
    this.record = record
    this.canRun = canRun
  }

  /** When something is to be done about it by itself. */
  get wakeAt(): number {
    return this.canRun && !this.isHeld ? this.record.nextRunAt : Infinity
  }
}

/** A run that is to be enqueued. */
export interface DueRun {
  readonly schedule: Schedule
  readonly plannedAt: number
}

export class Schedules {
  readonly #canRun: (settings: ScheduleSettings) => boolean
  /** The one that was worked on longest ago comes first. */
  readonly #byName = new Map<string, Schedule>()
  /** Those whose records the commit under way stores. */
  readonly #changed = new Set<Schedule>()
  /** Those that were planned when the clock showed more than it does. */
  readonly #toPlanAnew = new Set<Schedule>()
  /** No clock that shows less was looked at since this was. */
  #seenAt = -Infinity
  #nextAt: number | undefined

  /** @param canRun - whether an executor like this one has the definition and the queue */
  constructor(records: Iterable<ScheduleRecord>, canRun: (settings: ScheduleSettings) => boolean) {
    this.#canRun = canRun
    for (const record of records) {
      this.#byName.set(record.name, new Schedule(record, canRun(record)))
      this.#seenAt = Math.max(this.#seenAt, record.seenAt)
    }
  }

  get size(): number {
    return this.#byName.size
  }

  get all(): Iterable<Schedule> {
    return this.#byName.values()
  }

  find(name: string): Schedule | undefined {
    return this.#byName.get(name)
  }

  /** The earliest instant at which there is something to do; `-Infinity`: now. */
  get nextAt(): number {
    if (this.#toPlanAnew.size > 0) return -Infinity
    if (this.#nextAt === undefined) {
      this.#nextAt = Infinity
      for (const { wakeAt } of this.#byName.values()) this.#nextAt = Math.min(this.#nextAt, wakeAt)
    }
    return this.#nextAt
  }

  /** Notices that the clock was set back. To be told the time now and then, also when nothing is due. Returns whether it was. */
  look(now: number): boolean {
    const wasSetBack = now < this.#seenAt
    if (wasSetBack) for (const each of this.#byName.values()) if (each.record.seenAt > now) this.#toPlanAnew.add(each)
    this.#seenAt = now
    return wasSetBack
  }

  /**
   * Decides about what is due, for a bounded number of runs. To be called at the beginning of a turn, before anything has changed.
   * @param isOver - whether a job is over, as of the last commit
   */
  due(now: number, isOver: (job: JobAddress) => boolean): DueRun[] {
    this.look(now)
    this.#planAnew(now)
    if (this.nextAt > now) return []
    const due: Schedule[] = []
    for (const schedule of this.#byName.values()) {
      if (schedule.wakeAt <= now) due.push(schedule)
      if (due.length === SCHEDULE_RUNS) break
    }
    const runs: DueRun[] = []
    let work = 0
    for (const schedule of due) {
      if (work >= SCHEDULE_RUNS) break
      // Whoever was worked on goes to the end.
      this.#byName.delete(schedule.record.name)
      this.#byName.set(schedule.record.name, schedule)
      work += this.#decide(schedule, now, SCHEDULE_RUNS - work, isOver, runs)
    }
    this.#nextAt = undefined
    return runs
  }

  /** A run was enqueued as this job. */
  ran({ schedule, plannedAt }: DueRun, last: JobAddress): void {
    schedule.record = { ...schedule.record, lastRunAt: plannedAt, last }
    schedule.lastIsOver = false
  }

  /** A job of a schedule is over. */
  over(name: string, seq: number): void {
    const schedule = this.#byName.get(name)
    if (schedule?.record.last?.seq !== seq) return
    schedule.lastIsOver = true
    if (!schedule.isHeld) return
    schedule.isHeld = false
    this.#nextAt = undefined
  }

  /** A job of a schedule is there again, for somebody has brought it back: the next run waits for it as it did before. */
  revived(name: string, seq: number): void {
    const schedule = this.#byName.get(name)
    if (schedule?.record.last?.seq === seq) schedule.lastIsOver = false
  }

  /** Makes a schedule, or changes it. A new rule is planned from now on. Returns whether anything is another than it was. */
  set(name: string, settings: ScheduleSettings, now: number): boolean {
    const before = this.#byName.get(name)
    if (before !== undefined && isSame(before.record, settings)) return false
    const isPlanned = before !== undefined && isSameRecurrence(before.record.rule, settings.rule)
    const { lastRunAt, last, skippedAt } = before?.record ?? {}
    const nextRunAt = isPlanned ? before.record.nextRunAt : nextAfter(settings.rule, now, now)
    const seenAt = isPlanned ? before.record.seenAt : now
    const record = { name, ...settings, nextRunAt, seenAt, lastRunAt, last, skippedAt }
    const canRun = this.#canRun(settings)
    // Changed in place: this turn may have decided about a run already, whose job is the last one then.
    const schedule = before ?? new Schedule(record, canRun)
    schedule.record = record
    schedule.canRun = canRun
    schedule.backlog = []
    schedule.isHeld = false
    this.#byName.set(name, schedule)
    this.#changed.add(schedule)
    this.#nextAt = undefined
    return true
  }

  /** Removes a schedule. Returns whether there was one. */
  remove(name: string, writes: WriteBatch): boolean {
    const schedule = this.#byName.get(name)
    if (schedule === undefined) return false
    this.#byName.delete(name)
    this.#changed.delete(schedule)
    this.#toPlanAnew.delete(schedule)
    this.#nextAt = undefined
    removeSchedule(writes, name)
    return true
  }

  /** Stores what the turn has changed. */
  write(writes: WriteBatch): void {
    for (const { record } of this.#changed) putSchedule(writes, record)
    this.#changed.clear()
  }

  #planAnew(now: number): void {
    let work = 0
    for (const schedule of this.#toPlanAnew) {
      if (work++ >= SCHEDULE_RUNS) return
      this.#toPlanAnew.delete(schedule)
      const nextRunAt = planAnew(schedule.record, now)
      if (nextRunAt === undefined) continue
      schedule.record = { ...schedule.record, nextRunAt, seenAt: now }
      schedule.backlog = []
      this.#changed.add(schedule)
      this.#nextAt = undefined
    }
  }

  /** Returns how much work it was, in runs. */
  #decide(schedule: Schedule, now: number, most: number, isOver: (job: JobAddress) => boolean, runs: DueRun[]): number {
    const { record } = schedule
    if (!record.overlap && record.last !== undefined) {
      schedule.lastIsOver ??= isOver(record.last)
      if (!schedule.lastIsOver) {
        if (record.misfire === 'skip') this.#advance(schedule, planWithout(record, now), now)
        else schedule.isHeld = true
        return 1
      }
    }
    let skippedAt: number | undefined
    let work = 1
    if (schedule.backlog.length === 0) {
      const plan = planDue(record, now)
      schedule.backlog = [...plan.runs]
      schedule.thenAt = plan.nextRunAt
      skippedAt = plan.skippedAt
      // Computing many is as much work as a turn may have.
      if (plan.runs.length > 1) work = most
    }
    const going = schedule.backlog.splice(0, record.overlap ? most : 1)
    for (const plannedAt of going) runs.push({ schedule, plannedAt })
    // What stays in the backlog is still to come as far as the store knows: a process that dies loses nothing.
    this.#advance(schedule, { nextRunAt: schedule.backlog[0] ?? schedule.thenAt, skippedAt }, now)
    return Math.max(work, going.length)
  }

  #advance(schedule: Schedule, { nextRunAt, skippedAt }: Omit<Plan, 'runs'>, now: number): void {
    schedule.record = { ...schedule.record, nextRunAt, seenAt: now, ...(skippedAt !== undefined && { skippedAt }) }
    this.#changed.add(schedule)
  }
}

function isSame(before: ScheduleSettings, after: ScheduleSettings): boolean {
  return (
    isSameRecurrence(before.rule, after.rule) &&
    before.definition === after.definition &&
    before.queue === after.queue &&
    before.priority === after.priority &&
    before.overlap === after.overlap &&
    before.misfire === after.misfire &&
    before.input.equals(after.input) &&
    textOf(before) === textOf(after)
  )
}

function textOf({ overrides }: ScheduleSettings): string {
  return overrides === undefined ? '' : JSON.stringify(storableOverrides(overrides))
}
