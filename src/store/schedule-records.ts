/** Reads and writes the schedules of a store. */
import {
  readScheduleRecord,
  SCHEDULE_KEYS,
  scheduleKey,
  type ScheduleRecord,
  writeScheduleRecord,
} from '../codec/schedule-record.js'
import type { Engine, WriteBatch } from './engine.js'

const STEP = 1000

/** All of them. @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readSchedules(engine: Engine): ScheduleRecord[] {
  const records: ScheduleRecord[] = []
  let { start } = SCHEDULE_KEYS as { start: Buffer }
  for (;;) {
    const entries = engine.range('meta', { start, end: SCHEDULE_KEYS.end, limit: STEP })
    for (const { key, value } of entries) records.push(readScheduleRecord(key, value))
    const last = entries.at(-1)
    if (last === undefined || entries.length < STEP) return records
    start = Buffer.concat([last.key, Buffer.of(0)])
  }
}

export function putSchedule(batch: WriteBatch, record: ScheduleRecord): void {
  batch.put('meta', scheduleKey(record.name), writeScheduleRecord(record))
}

export function removeSchedule(batch: WriteBatch, name: string): void {
  batch.remove('meta', scheduleKey(name))
}
