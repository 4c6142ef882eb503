/** The rules that options of every kind share. Each takes an untrusted value, returns it usable, or adds a problem and returns undefined. */
import { parseDuration } from './duration.js'
import { MAX_INSTANT, NAME_BYTES } from './limits.js'
import { builtinTag, describeValue, nearestName, type Problems } from './problems.js'

export interface NumberRule {
  readonly min: number
  /** Inclusive. Omitted: any whole number that is exact. */
  readonly max?: number
  /** Whether `Infinity` is allowed, and what it means: `'no limit'`. */
  readonly infinity?: string
}

/** A whole number. */
export function wholeNumber(value: unknown, field: string, problems: Problems, rule: NumberRule): number | undefined {
  if (rule.infinity !== undefined && value === Infinity) return Infinity
  if (Number.isSafeInteger(value)) {
    const number = value as number
    if (number >= rule.min && number <= (rule.max ?? Infinity)) return number + 0
  }
  const range = rule.max === undefined ? `of ${rule.min} or more` : `from ${rule.min} to ${rule.max}`
  problems.refuse(field, value, `a whole number ${range}${orInfinity(rule.infinity)}`)
  return undefined
}

export interface DurationRule {
  /** Whether 0 is allowed. */
  readonly zero: boolean
  /** Whether `Infinity` is allowed, and what it means. */
  readonly infinity?: string
}

/** A duration, in ms. */
export function durationMs(value: unknown, field: string, problems: Problems, rule: DurationRule): number | undefined {
  const ms = parseDuration(value)
  const fits = ms !== undefined && (rule.zero || ms > 0) && (ms !== Infinity || rule.infinity !== undefined)
  if (fits) return ms
  const which = rule.zero ? 'a duration' : 'a duration above 0'
  problems.refuse(
    field,
    value,
    `${which}${orInfinity(rule.infinity)}`,
    "give ms as a number, or a string such as '250ms', '15s', '5m', '1.5h', '7d'",
  )
  return undefined
}

/** An instant, in epoch ms. @param wayOut - what to give if a span of time was meant */
export function instantMs(value: unknown, field: string, problems: Problems, wayOut: string): number | undefined {
  const at = timeOf(value)
  if (typeof at === 'number' && Math.abs(at) <= MAX_INSTANT) return Math.ceil(at)
  const what = value === at ? describeValue(value) : 'an invalid Date'
  problems.add(field, `${what} is not a valid Date or a number of epoch ms; ${wayOut}`)
  return undefined
}

function timeOf(value: unknown): unknown {
  try {
    return builtinTag(value) === 'Date' ? Number(value) : value
  } catch {
    return value // It only says that it is a Date.
  }
}

function orInfinity(meaning: string | undefined): string {
  return meaning === undefined ? '' : `, or Infinity for ${meaning}`
}

/** One of some names. */
export function knownName<Name extends string>(
  value: unknown,
  field: string,
  problems: Problems,
  known: readonly Name[],
  what: string,
): Name | undefined {
  if ((known as readonly unknown[]).includes(value)) return value as Name
  const nearest = typeof value === 'string' ? nearestName(value, known) : undefined
  problems.refuse(field, value, `${what}: ${known.join(', ')}`, nearest && `did you mean '${nearest}'?`)
  return undefined
}

// Names appear on terminals and in keys: control characters break the one, lone surrogates become equal in the other.
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

/** The name of a definition, a queue or a schedule. */
export function printableName(value: unknown, field: string, problems: Problems, maxBytes = NAME_BYTES): string | undefined {
  if (typeof value !== 'string' || value === '') {
    problems.refuse(field, value, `a name: a string of 1 to ${maxBytes} bytes`)
  } else if (UNPRINTABLE.test(value)) {
    problems.refuse(field, value, 'a name: it holds control characters or half a surrogate pair')
  } else if (Buffer.byteLength(value) > maxBytes) {
    problems.refuse(field, value, `a name: it has ${Buffer.byteLength(value)} bytes as UTF-8, the limit is ${maxBytes}`)
  } else {
    return value
  }
  return undefined
}
