/**
 * Unique jobs: what a definition or an enqueue says of a key, and its rules. What follows from it is decided where jobs are stored
 * (`executor/uniqueness`); how long a key is held lies in `store/unique-index`.
 */
import { formatDuration, type Duration } from '../base/duration.js'
import { UNIQUE_KEY_BYTES, UNIQUE_WITHIN_MS } from '../base/limits.js'
import { nearestName, type Problems, readFields } from '../base/problems.js'
import { durationMs } from '../base/rules.js'

/**
 * How long a job holds its key:
 * - `waiting`: until its first run begins.
 * - `incomplete`: until it is completed, cancelled or discarded.
 * - `kept`: until its record has left the store by the rule of `retain`.
 */
export type UniqueWhile = 'waiting' | 'incomplete' | 'kept'

/**
 * What an enqueue does whose key is held:
 * - `return`: stores nothing, and gives a handle of the job that holds it.
 * - `reject`: rejects with `MILLRACE_DUPLICATE`.
 * - `replace`: the job that holds it takes over the input and the settings, if it waits.
 * - `debounce`: the same, and its run is put off to `delay` from now.
 */
export type UniqueConflict = 'return' | 'replace' | 'reject' | 'debounce'

/** That of all jobs of one definition and key only one is there at a time. */
export interface UniqueOptions<Key = string> {
  /** 1 to 512 bytes. The same key in another definition is another key. */
  readonly key: Key
  /** How long the job holds the key. @defaultValue `'incomplete'` */
  readonly while?: UniqueWhile
  /** For so long after its enqueue it holds the key whatever becomes of it, up to a year; it is then neither replaced nor put off once it runs. @defaultValue not at all */
  readonly within?: Duration
  /** What this enqueue does when another job holds the key. @defaultValue `'return'` */
  readonly onConflict?: UniqueConflict
}

/** Checked {@link UniqueOptions}. */
export interface CompiledUnique<Key = string> {
  readonly key: Key
  readonly while: UniqueWhile
  /** 0: not at all. */
  readonly withinMs: number
  readonly onConflict: UniqueConflict
}

/** Of one enqueue. */
export interface ResolvedUnique extends CompiledUnique {
  /** The enqueue says when its job is to run, if only at once. */
  readonly tellsWhen: boolean
}

/** What is stored with the job. */
export interface StoredUnique {
  readonly key: string
  readonly while: UniqueWhile
}

/** A definition's function of the parsed input. */
type KeyFunction = (input: unknown) => unknown

const FIELDS = ['key', 'while', 'within', 'onConflict'] as const
/** In the order in which a job outgrows them; stored by position. */
export const UNIQUE_WHILES: readonly UniqueWhile[] = ['waiting', 'incomplete', 'kept']
const CONFLICTS: readonly UniqueConflict[] = ['return', 'replace', 'reject', 'debounce']

/** The options of an enqueue: the key is a string. */
export function checkUnique(value: unknown, problems: Problems): CompiledUnique | undefined {
  const { key, ...rest } = readFields(value, FIELDS, 'unique', problems)
  const checked = checkRest(rest, problems)
  const checkedKey = checkUniqueKey(key, 'unique.key', problems)
  return checkedKey === undefined ? undefined : { key: checkedKey, ...checked }
}

/** Those of a definition: the key may be a function of the input. */
export function checkDefinedUnique(value: unknown, problems: Problems): CompiledUnique<string | KeyFunction> | undefined {
  const { key, ...rest } = readFields(value, FIELDS, 'unique', problems)
  const checked = checkRest(rest, problems)
  if (typeof key === 'function') return Object.freeze({ key: key as KeyFunction, ...checked })
  const checkedKey = checkUniqueKey(key, 'unique.key', problems)
  return checkedKey === undefined ? undefined : Object.freeze({ key: checkedKey, ...checked })
}

type Rest = { readonly [Name in Exclude<(typeof FIELDS)[number], 'key'>]?: unknown }

function checkRest({ while: until, within, onConflict }: Rest, problems: Problems): Omit<CompiledUnique, 'key'> {
  const withinMs = within === undefined ? 0 : durationMs(within, 'unique.within', problems, { zero: false })
  if (withinMs !== undefined && withinMs > UNIQUE_WITHIN_MS)
    problems.refuse('unique.within', within, `a duration of at most ${formatDuration(UNIQUE_WITHIN_MS)}`)
  return {
    while: oneOf(until, 'unique.while', UNIQUE_WHILES, 'incomplete', problems),
    withinMs: withinMs ?? 0,
    onConflict: oneOf(onConflict, 'unique.onConflict', CONFLICTS, 'return', problems),
  }
}

function oneOf<Name extends string>(
  value: unknown,
  field: string,
  names: readonly Name[],
  fallback: Name,
  problems: Problems,
): Name {
  if (value === undefined) return fallback
  if ((names as readonly unknown[]).includes(value)) return value as Name
  const nearest = typeof value === 'string' ? nearestName(value, names) : undefined
  problems.refuse(field, value, `one of ${names.join(', ')}`, nearest && `did you mean '${nearest}'?`)
  return fallback
}

const HALF_A_PAIR = /\p{Cs}/u

/** A key, which is told apart by its UTF-8 bytes: half a surrogate pair has none of its own. */
export function checkUniqueKey(value: unknown, field: string, problems: Problems): string | undefined {
  if (typeof value !== 'string' || value === '') {
    problems.refuse(field, value, `a key: a string of 1 to ${UNIQUE_KEY_BYTES} bytes`)
  } else if (HALF_A_PAIR.test(value)) {
    problems.refuse(field, value, 'a key: it holds half a surrogate pair')
  } else if (Buffer.byteLength(value) > UNIQUE_KEY_BYTES) {
    const bytes = `it has ${Buffer.byteLength(value)} bytes as UTF-8, the limit is ${UNIQUE_KEY_BYTES}`
    problems.refuse(field, value, `a key: ${bytes}`, 'give a hash of it')
  } else {
    return value
  }
  return undefined
}

/** Putting off needs to know how far. */
export function checkDebounce({ onConflict }: CompiledUnique, delayMs: number | undefined, problems: Problems): void {
  if (onConflict !== 'debounce' || (delayMs !== undefined && delayMs > 0)) return
  problems.add(
    'delay',
    "is missing: unique.onConflict 'debounce' puts the job off by the delay of the latest enqueue; give one above 0",
  )
}
