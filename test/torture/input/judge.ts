/** What an error of the library must be, whatever it was given; says what is wrong with one. */
import { inspect } from 'node:util'
import { isMillraceError } from '../../../src/index.js'

/** A message is read by people, on a terminal. */
const MESSAGE_CHARACTERS = 2000

/** Words that only come from V8, Node, LMDB or zod, and that tell the caller nothing. */
const RAW = [
  /cannot read propert/i,
  // What V8 says of the caller's own proxies and iterators is quoted, since it is theirs.
  /\bTypeError: (?!Cannot perform|Iterator result)/,
  /could not be cloned/i,
  /invalid string length/i,
  /maximum call stack/i,
  /cannot (?:convert|mix) a/i,
  /circular structure/i,
  /\bMDB_/,
  /\[object \w+\]/,
  /ZodError/,
  /internal error/i,
]

/** The first of them in a text; undefined: none. */
export function rawWordsIn(text: string): string | undefined {
  return RAW.find((words) => words.test(text))?.source
}

/** What is wrong with what was thrown; undefined: nothing. `secret` is what must not be in it. */
export function faultOf(thrown: unknown, secret?: string): string | undefined {
  if (!isMillraceError(thrown)) return `no error of the library, but ${shown(thrown)}`
  const { message } = thrown
  if (message.length > MESSAGE_CHARACTERS) return `a message of ${message.length} characters: ${message.slice(0, 200)}…`
  const raw = rawWordsIn(message)
  if (raw !== undefined) return `the raw words ${raw} in: ${message}`
  if (!/[a-z]/.test(message)) return `a message that says nothing: ${message}`
  const all = inspect(thrown, { depth: 10, maxStringLength: null })
  if (secret !== undefined && all.includes(secret))
    return `the payload is in the error: ${shown(all.slice(all.indexOf(secret) - 60))}`
  return undefined
}

/** For a violation: never throws, never long. */
export function shown(value: unknown): string {
  try {
    const text = typeof value === 'string' ? value : inspect(value, { depth: 1, maxStringLength: 200, breakLength: Infinity })
    return text.length > 300 ? `${text.slice(0, 300)}…` : text
  } catch {
    return 'something that cannot be shown'
  }
}
