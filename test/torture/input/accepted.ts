/** What the documentation lets a caller give, said a second time and independently of the code that checks it. */
export type Accepts = (value: unknown) => boolean

export const never: Accepts = () => false
export const anything: Accepts = () => true

/** Left out. */
export function orAbsent(accepts: Accepts): Accepts {
  return (value) => value === undefined || accepts(value)
}

export function whole(least: number, most: number, infinity = false): Accepts {
  return (value) =>
    (infinity && value === Infinity) || (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most)
}

export function duration({ zero, infinity }: { zero: boolean; infinity: boolean }): Accepts {
  return (value) => {
    if (value === '15s') return true
    return typeof value === 'number' && (value > 0 || (zero && value === 0)) && (infinity || value !== Infinity)
  }
}

export const text: Accepts = (value) => typeof value === 'string'

/** A plain bag of options of which none is given: what has no keys of its own. */
export const emptyBag: Accepts = (value) => {
  try {
    return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
  } catch {
    return false
  }
}

/** A name of a queue or a definition. */
export const printable: Accepts = (value) =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 200 && !/[\p{Cc}\p{Cs}]/u.test(value)

/** The key of a unique job. */
export const uniqueKey: Accepts = (value) =>
  typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= 512 && !/\p{Cs}/u.test(value)

export const instant: Accepts = (value) =>
  value instanceof Date ? !Number.isNaN(Number(value)) : typeof value === 'number' && Math.abs(value) <= 8.64e15

/** An instant from the year 2000 on, a span of time as a string, or for ever. */
export const startBefore: Accepts = (value) =>
  value === '15s' || value === Infinity || (instant(value) && Number(value) >= Date.UTC(2000, 0, 1))

export function oneOf(...values: readonly unknown[]): Accepts {
  return (value) => values.includes(value)
}

export function both(...rules: readonly Accepts[]): Accepts {
  return (value) => rules.every((rule) => rule(value))
}

export function either(...rules: readonly Accepts[]): Accepts {
  return (value) => rules.some((rule) => rule(value))
}

export const aFunction: Accepts = (value) => typeof value === 'function'
