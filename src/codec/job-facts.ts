/**
 * What is kept of a job as JSON: its ledger, the error it ended with, and the settings that came with it. A damaged byte may leave JSON
 * that says something else, so every field that is computed with is looked at when it is read.
 */
import type { ErrorRecord } from '../base/errors.js'
import type { Attempt } from '../job/job-info.js'
import type { JobLedger } from '../job/job-state.js'
import type { JobOverrides } from '../job/job-overrides.js'
import { corrupt } from './corrupt.js'

/** Numbers, as far as they are there. */
const NUMBERS = ['maxRetries', 'timeoutMs', 'softTimeoutMs', 'weight', 'startBefore', 'startBeforeMs', 'limitMax'] as const

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
  const overrides = Object.fromEntries(
    Object.entries(fieldsOf(stored)).map(([name, value]) => [name, value === '∞' ? Infinity : value]),
  ) as JobOverrides
  const { limitKey } = overrides
  const unique = fieldsOf<'key' | 'while'>(overrides.unique)
  const schedule = fieldsOf<'name' | 'plannedAt'>(overrides.schedule)
  const rate = fieldsOf<'max' | 'perMs'>(overrides.limitRate)
  const isSound =
    NUMBERS.every((name) => overrides[name] === undefined || isNumber(overrides[name])) &&
    (overrides.backoff === undefined || isBackoff(overrides.backoff)) &&
    (overrides.unique === undefined || (isText(unique.key) && isText(unique.while))) &&
    (overrides.schedule === undefined || (isText(schedule.name) && isNumber(schedule.plannedAt))) &&
    (limitKey === undefined || isText(limitKey)) &&
    (overrides.limitRate === undefined || (isNumber(rate.max) && isNumber(rate.perMs)))
  if (!isSound) throw corrupt('The settings of a job', 'they are none')
  return overrides
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
