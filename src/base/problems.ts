/**
 * Validation that lists everything at once: checks add lines to a `Problems`, and the caller throws them together.
 * What is checked is untrusted: a getter or proxy that throws becomes one more line.
 */
import { MillraceError, type MillraceErrorCode } from './errors.js'

/** Characters of all lines shown of one error; a list of a million bad entries stays readable. */
const LINES_CHARACTERS = 1600
/** Characters shown of a value or of a foreign error's message. */
const TEXT_SHOWN = 80

/** Collects what is wrong with one call. */
export class Problems {
  readonly #lines: string[] = []

  get count(): number {
    return this.#lines.length
  }

  /** `field` is a path such as `recycle.afterJobs`; empty for the whole argument. */
  add(field: string, message: string): void {
    this.#lines.push(field === '' ? message : `${shortenPath(field)}: ${message}`)
  }

  /** Adds the usual line: the value and its type, what was expected, the way out. */
  refuse(field: string, value: unknown, expected: string, wayOut?: string): void {
    this.add(field, `${describeValue(value)} is not ${expected}${wayOut === undefined ? '' : `; ${wayOut}`}`)
  }

  /** Throws one error that lists every problem; does nothing when there is none. */
  throwIfAny(code: MillraceErrorCode, headline: string): void {
    const lines = this.#lines
    if (lines.length === 0) return
    if (lines.length === 1) throw new MillraceError(code, `${headline}: ${lines[0]}`)
    let text = ''
    let shown = 0
    while (shown < lines.length && (shown === 0 || text.length + (lines[shown] ?? '').length < LINES_CHARACTERS)) {
      text += `\n  - ${lines[shown++]}`
    }
    if (shown < lines.length) text += `\n  … and ${lines.length - shown} more`
    throw new MillraceError(code, `${headline}:${text}`)
  }
}

/** The start and the end of a field's path: a key of an untrusted object may be as long as a book. */
function shortenPath(field: string): string {
  return field.length <= 2 * TEXT_SHOWN ? field : `${field.slice(0, TEXT_SHOWN)}…${field.slice(-TEXT_SHOWN)}`
}

function shorten(text: string): string {
  return text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN)}…`
}

/** A value and its type for a message: `'5 parsecs' (string)`, `NaN (number)`, `an object (Date)`. Never throws. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return `'${JSON.stringify(shorten(value)).slice(1, -1)}' (string)`
  if (typeof value === 'bigint') return `${shorten(String(value))}n (bigint)`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return `${shorten(String(value))} (symbol)`
  if (typeof value !== 'object') return `${String(value)} (${typeof value})`
  try {
    if (Array.isArray(value)) return 'an array'
    const name: unknown = value.constructor?.name
    return typeof name === 'string' && name !== '' && name !== 'Object' ? `an object (${shorten(name)})` : 'an object'
  } catch {
    return 'an object that cannot be read'
  }
}

/** What was thrown, on one line. Never throws, whatever it was. */
export function describeThrown(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return shorten(`${thrown.name}: ${thrown.message}`)
  } catch {
    // An error whose fields throw: all that can be said is its type.
  }
  return describeValue(thrown)
}

/** Edits (insert, remove, replace a character) that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 0; i < a.length; i++) {
    let left = i + 1
    const row = [left]
    for (let j = 0; j < b.length; j++) {
      const [diagonal = 0, over = 0] = above.slice(j, j + 2)
      left = Math.min(diagonal + (a[i] === b[j] ? 0 : 1), over + 1, left + 1)
      row.push(left)
    }
    above = row
  }
  return above.at(-1) ?? 0
}

/** The known name that was probably meant, if one is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > TEXT_SHOWN) return undefined
  // Two edits in five characters: near enough for `maxRetry`, too far for an unrelated word.
  let limit = Math.ceil(name.length * 0.4)
  let nearest: string | undefined
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance > limit || (nearest !== undefined && distance === limit)) continue
    limit = distance
    nearest = candidate
  }
  return nearest
}

export type Fields<Key extends string> = { readonly [Name in Key]?: unknown }

/** The fields of an untrusted object; `undefined` counts as absent. Unknown keys are problems, with a suggestion when one is near. */
export function readFields<Key extends string>(
  value: unknown,
  known: readonly Key[],
  field: string,
  problems: Problems,
): Fields<Key> {
  const fields: { [Name in Key]?: unknown } = {}
  if (typeof value !== 'object' || value === null || isArray(value)) {
    problems.refuse(field, value, 'an object', `known fields are ${known.join(', ')}`)
    return fields
  }
  const prefix = field === '' ? '' : `${field}.`
  for (const key of ownKeys(value, field, problems)) {
    if ((known as readonly string[]).includes(key)) continue
    const nearest = nearestName(key, known)
    const wayOut = nearest === undefined ? `known fields are ${known.join(', ')}` : `did you mean '${nearest}'?`
    problems.add(`${prefix}${shorten(key)}`, `is not a known field; ${wayOut}`)
  }
  for (const key of known) {
    const read = readField(value, key, `${prefix}${key}`, problems)
    if (read !== undefined) fields[key] = read
  }
  return fields
}

/** The entries of an untrusted dictionary, read once. */
export function readEntries(value: unknown, field: string, expected: string, problems: Problems): [string, unknown][] {
  if (typeof value !== 'object' || value === null || isArray(value)) {
    problems.refuse(field, value, expected)
    return []
  }
  return ownKeys(value, field, problems).map((key) => [key, readField(value, key, `${field}.${key}`, problems)])
}

/** `Array.isArray`, that does not throw for a revoked proxy. */
export function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false // Reading its keys reports it.
  }
}

/** What kind of built-in `value` is, of any realm: `URL`, `Date`, `Module`. Never throws. */
export function builtinTag(value: unknown): string {
  try {
    return Object.prototype.toString.call(value).slice('[object '.length, -1)
  } catch {
    return ''
  }
}

/** `value` as text if it is a built-in of that kind; undefined if it is none, or only says so and cannot be read. */
export function textOfBuiltin(value: unknown, tag: string): string | undefined {
  if (builtinTag(value) !== tag) return undefined
  try {
    return String(value)
  } catch {
    return undefined
  }
}

function ownKeys(value: object, field: string, problems: Problems): string[] {
  try {
    return Object.keys(value)
  } catch (thrown) {
    problems.add(field, `its fields cannot be listed: ${describeThrown(thrown)}`)
    return []
  }
}

function readField(value: object, key: string, field: string, problems: Problems): unknown {
  try {
    return Reflect.get(value, key)
  } catch (thrown) {
    problems.add(field, `reading it threw ${describeThrown(thrown)}`)
    return undefined
  }
}
