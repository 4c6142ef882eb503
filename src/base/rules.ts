/** The rules that options of every kind share. Each takes an untrusted value, returns it usable, or adds a problem and returns undefined. */
import { parseDuration } from './duration.js'
import { NAME_BYTES } from './limits.js'
import { nearestName, type Problems } from './problems.js'

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

/** The name of a definition or queue. */
export function printableName(value: unknown, field: string, problems: Problems): string | undefined {
  if (typeof value !== 'string' || value === '') {
    problems.refuse(field, value, `a name: a string of 1 to ${NAME_BYTES} bytes`)
  } else if (UNPRINTABLE.test(value)) {
    problems.refuse(field, value, 'a name: it holds control characters or half a surrogate pair')
  } else if (Buffer.byteLength(value) > NAME_BYTES) {
    problems.refuse(field, value, `a name: it has ${Buffer.byteLength(value)} bytes as UTF-8, the limit is ${NAME_BYTES}`)
  } else {
    return value
  }
  return undefined
}
