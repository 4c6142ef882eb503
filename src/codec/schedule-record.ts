/**
 * A schedule as it lies in `meta` under `schedule:<name>`: one JSON object.
 *
 *   version     1
 *   rule        { cron, timezone } or { everyMs }
 *   definition  name; queue: name; priority: number; overrides: as in a page, absent when there are none
 *   input       the encoded input, in base64
 *   overlap     boolean; misfire: 'once', 'all' or 'skip'
 *   nextRunAt   epoch ms of the earliest planned instant that nothing was decided about; absent: there is none
 *   seenAt      epoch ms at which that was found: a clock that shows less was set back since
 *   lastRunAt   epoch ms of the planned instant that ran last; last: [number, queue, rank] of its job; both absent before the first
 *   skippedAt   epoch ms of the first planned instant of those that were left out last; absent when none was
 */
import { MillraceError } from '../base/errors.js'
import type { JobAddress } from '../job/job-id.js'
import type { Recurrence } from '../job/recurrence.js'
import { MISFIRES, type Misfire } from '../job/schedule-plan.js'
import type { JobOverrides } from '../job/job-overrides.js'
import { metaKey } from './keys.js'
import { revivedOverrides, storableOverrides } from './job-facts.js'

const VERSION = 1
const PREFIX = 'schedule:'

/** What a user has said of a schedule. */
export interface ScheduleSettings {
  readonly rule: Recurrence
  readonly definition: string
  readonly queue: string
  readonly priority: number
  readonly overrides: JobOverrides | undefined
  /** Encoded. */
  readonly input: Buffer
  readonly overlap: boolean
  readonly misfire: Misfire
}

export interface ScheduleRecord extends ScheduleSettings {
  readonly name: string
  /** Epoch ms; `Infinity`: no run is planned any more. */
  readonly nextRunAt: number
  /** Epoch ms. */
  readonly seenAt: number
  readonly lastRunAt: number | undefined
  readonly last: JobAddress | undefined
  readonly skippedAt: number | undefined
}

export function scheduleKey(name: string): Buffer {
  return metaKey(PREFIX + name)
}

/** Where the keys of schedules begin, and the first key behind them. */
export const SCHEDULE_KEYS = { start: metaKey(PREFIX), end: metaKey('schedule;') } as const

export function writeScheduleRecord(record: ScheduleRecord): Buffer {
  const { name: _name, overrides, input, nextRunAt, last, ...rest } = record
  const stored = {
    version: VERSION,
    ...rest,
    ...(overrides !== undefined && { overrides: storableOverrides(overrides) }),
    input: input.toString('base64'),
    ...(nextRunAt !== Infinity && { nextRunAt }),
    ...(last !== undefined && { last: [last.seq, last.queueId, last.rank] }),
  }
  return Buffer.from(JSON.stringify(stored), 'utf8')
}

interface Stored extends Omit<ScheduleRecord, 'name' | 'input' | 'last' | 'nextRunAt'> {
  readonly version: number
  readonly input: string
  readonly nextRunAt?: number
  readonly last?: readonly [number, number, number]
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readScheduleRecord(key: Buffer, value: Buffer): ScheduleRecord {
  const name = key.toString('utf8').slice(PREFIX.length)
  let stored: Stored | undefined
  try {
    stored = JSON.parse(value.toString('utf8')) as Stored
  } catch {
    // Told below, with its name.
  }
  if (!isSound(stored)) {
    throw new MillraceError('MILLRACE_STORE_CORRUPT', `The record of the schedule ${JSON.stringify(name)} cannot be read.`)
  }
  const { rule, definition, queue, priority, overrides, input, overlap, misfire, nextRunAt, seenAt } = stored
  const [seq, queueId, rank] = stored.last ?? []
  const last = seq === undefined || queueId === undefined || rank === undefined ? undefined : { seq, queueId, rank }
  return {
    name,
    rule,
    definition,
    queue,
    priority,
    overrides: overrides === undefined ? undefined : revivedOverrides(overrides),
    input: Buffer.from(input, 'base64'),
    overlap,
    misfire,
    nextRunAt: nextRunAt ?? Infinity,
    seenAt,
    lastRunAt: stored.lastRunAt,
    last,
    skippedAt: stored.skippedAt,
  }
}

/** Whether every field that is computed with is what it should be. */
function isSound(stored: Stored | undefined): stored is Stored {
  if (typeof stored !== 'object' || stored === null || stored.version !== VERSION) return false
  const { rule, definition, queue, priority, input, overlap, misfire, nextRunAt, seenAt, last } = stored as Partial<Stored>
  const isRule =
    typeof rule === 'object' &&
    ('everyMs' in rule ? rule.everyMs > 0 : typeof rule.cron === 'string' && typeof rule.timezone === 'string')
  return (
    isRule &&
    [definition, queue, input].every((text) => typeof text === 'string') &&
    [priority, seenAt, nextRunAt ?? 0].every((number) => Number.isFinite(number)) &&
    typeof overlap === 'boolean' &&
    MISFIRES.includes(misfire as Misfire) &&
    (last === undefined || (Array.isArray(last) && last.length === 3 && last.every((number) => Number.isSafeInteger(number))))
  )
}
