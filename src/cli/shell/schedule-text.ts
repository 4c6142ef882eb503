/** Recurring jobs, for people. Pure: what is said follows from what is given. */
import { formatDistance, formatSpan } from './format.js'
import { type Cell, type Column, type Paint, tableLines } from './table.js'

/** What is shown of a schedule; instants are epoch ms. */
export interface ScheduleRow {
  readonly name: string
  readonly cron?: string
  readonly timezone?: string
  /** In ms. */
  readonly every?: number
  /** The name of the job's definition. */
  readonly definition: string
  readonly lastRunAt?: number
  readonly lastJobId?: string
  readonly nextRunAt?: number
  /** Why a run that is due is not enqueued. */
  readonly waitsFor?: string
}

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
      : { text: `${formatDistance(nextRunAt, now)}, waits for ${WAITS[waitsFor] ?? waitsFor}`, style: 'yellow' },
  ])
  return tableLines(COLUMNS, cells, paint, width)
}

const WAITS: Readonly<Record<string, string>> = {
  lastRun: 'its last run to end',
  definition: 'a program that has the job',
  queue: 'a program that has the queue',
}
