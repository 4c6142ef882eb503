/** Recurring jobs, for people. Pure: what is said follows from what is given. */
import type { ScheduleRow } from '../../control-socket/shapes.js'
import { formatDistance, formatSpan } from './format.js'
import { type Cell, type Column, type Paint, tableLines } from './table.js'

const COLUMNS: readonly Column[] = [
  { title: 'SCHEDULE' },
  { title: 'JOB' },
  { title: 'WHEN' },
  { title: 'LAST RUN' },
  { title: 'ITS JOB' },
  { title: 'NEXT RUN' },
]

export function scheduleLines(rows: readonly ScheduleRow[], now: number, paint: Paint, width: number): string[] {
  const cells = rows.map(({ name, definition, cron, timezone, every, lastRunAt, lastJobId, nextRunAt, waitsFor }): Cell[] => [
    name,
    definition,
    cron === undefined ? `every ${formatSpan(every)}` : `${cron}${timezone === undefined ? '' : ` ${timezone}`}`,
    formatDistance(lastRunAt, now),
    lastJobId ?? '–',
    waitsFor === undefined
      ? formatDistance(nextRunAt, now)
      : { text: `${formatDistance(nextRunAt, now)}, waits for ${WAITS[waitsFor]}`, style: 'yellow' },
  ])
  return tableLines(COLUMNS, cells, paint, width)
}

const WAITS: Readonly<Record<NonNullable<ScheduleRow['waitsFor']>, string>> = {
  lastRun: 'its last run to end',
  definition: 'a program that has the job',
  queue: 'a program that has the queue',
}
