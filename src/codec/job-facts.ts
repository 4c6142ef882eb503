/**
 * What is kept of a job as JSON: its ledger, the error it ended with, and the settings that came with it. A damaged byte may leave JSON
 * that says something else, so every field that is computed with is looked at when it is read.
 */
import type { ErrorRecord } from '../base/errors.js'
import type { Attempt, ScheduledRun } from '../job/job-info.js'
import type { JobLedger } from '../job/job-state.js'
import type { JobOverrides } from '../job/job-overrides.js'
import type { CompiledRate } from '../job/limit.js'
import type { StoredUnique } from '../job/unique.js'
import { corrupt } from './corrupt.js'

type Check = (value: unknown) => boolean

/** What each setting has to be, where it is there. A Map: a name out of a damaged record finds nothing else. */
const SETTINGS = new Map<string, Check>(
  Object.entries({
    maxRetries: isNumber,
    backoff: isBackoff,
    timeoutMs: isNumber,
    softTimeoutMs: isNumber,
    weight: isNumber,
    startBefore: isNumber,
    startBeforeMs: isNumber,
    limitKey: isText,
    limitMax: isNumber,
    limitRate: isRate,
    unique: isUnique,
    schedule: isScheduledRun,
  } satisfies { readonly [Name in keyof JobOverrides]-?: Check }),
)

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function checkedLedger(stored: unknown): JobLedger {
  const { charged, crashes, forgiven = 0, ended, suspect, attempts } = fieldsOf<keyof JobLedger>(stored)
  const isSound =
    [charged, crashes, forgiven, ...Object.values(fieldsOf(ended))].every(isCount) &&
    typeof suspect === 'boolean' &&
    Array.isArray(attempts) &&
    attempts.every(isAttempt)
  if (!isSound) throw corrupt("A job's history", 'it is none')
  return stored as JobLedger
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function checkedError(stored: unknown): ErrorRecord {
  if (!isError(stored)) throw corrupt('The error of a finished job', 'it is none')
  return stored
}

/** JSON has no Infinity; a text that no override uses stands for it. */
export function storableOverrides(overrides: JobOverrides): JobOverrides {
  return Object.fromEntries(Object.entries(overrides).map(([name, value]) => [name, value === Infinity ? '∞' : value]))
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function revivedOverrides(stored: unknown): JobOverrides {
  return Object.fromEntries(
    Object.entries(fieldsOf(stored)).map(([name, value]) => {
      const revived = value === '∞' ? Infinity : value
      if (SETTINGS.get(name)?.(revived) === false) throw corrupt(`The setting ${name} of a job`, 'it is none')
      return [name, revived]
    }),
  )
}

function fieldsOf<Name extends string>(value: unknown): Partial<Record<Name, unknown>> {
  return typeof value === 'object' && value !== null ? value : {}
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isRate(stored: unknown): boolean {
  const { max, perMs } = fieldsOf<keyof CompiledRate>(stored)
  return isNumber(max) && isNumber(perMs)
}

function isUnique(stored: unknown): boolean {
  const { key, while: until } = fieldsOf<keyof StoredUnique>(stored)
  return isText(key) && isText(until)
}

function isScheduledRun(stored: unknown): boolean {
  const { name, plannedAt } = fieldsOf<keyof ScheduledRun>(stored)
  return isText(name) && isNumber(plannedAt)
}

function isBackoff(stored: unknown): boolean {
  const { type, delay, step, base = 1, jitter = 0 } = fieldsOf<'type' | 'delay' | 'step' | 'base' | 'jitter'>(stored)
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) return false
  switch (type) {
    case 'fixed':
      return isDuration(delay)
    case 'linear':
      return isDuration(step)
    case 'exponential':
      return isDuration(base)
    default:
      return type === 'definition'
  }
}

function isDuration(value: unknown): boolean {
  return typeof value === 'number' && value >= 0
}

function isAttempt(stored: unknown): boolean {
  const { attempt, startedAt, endedAt, outcome, error } = fieldsOf<keyof Attempt>(stored)
  return [attempt, startedAt, endedAt].every(isNumber) && isText(outcome) && (error === undefined || isError(error))
}

function isError(stored: unknown): stored is ErrorRecord {
  const { name, message, stack, code, cause } = fieldsOf<keyof ErrorRecord>(stored)
  return (
    [name, message].every(isText) &&
    [stack, code].every((text) => text === undefined || isText(text)) &&
    (cause === undefined || isError(cause))
  )
}
