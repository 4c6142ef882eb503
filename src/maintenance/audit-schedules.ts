/** Looks at the record of a schedule. Part of the store audit. */
import { readScheduleRecord } from '../codec/schedule-record.js'
import type { Entry } from '../store/engine.js'

/**
 * What is wrong with it. Nothing else in the store tells what a schedule was, so there is no repair.
 * @param queues - the queues that the store knows
 * @param highest - raised to the number of the job that ran last: it was given out
 */
export function checkSchedule({ key, value }: Entry, queues: ReadonlySet<number>, highest: { seq: number }): string[] {
  try {
    const { name, last } = readScheduleRecord(key, value)
    if (last === undefined) return []
    highest.seq = Math.max(highest.seq, last.seq)
    return queues.has(last.queueId) ? [] : [`schedule "${name}" ran in the unknown queue ${last.queueId}`]
  } catch (error) {
    return [`meta ${key.toString('utf8')} cannot be read: ${error instanceof Error ? error.message : String(error)}`]
  }
}
