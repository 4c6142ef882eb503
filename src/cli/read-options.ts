/** Reads a command line as `parseArgs` does when it is strict, and says what is wrong with it in words that help. */
import { parseArgs } from 'node:util'
import { parseDuration } from '../base/duration.js'
import { nearestName } from '../base/problems.js'
import { UsageError } from './usage-error.js'

interface OptionKind {
  readonly type: 'string' | 'boolean'
  readonly short?: string
}

type OptionKinds = Readonly<Record<string, OptionKind>>

export interface CommandLine<Kinds extends OptionKinds> {
  readonly positionals: readonly string[]
  readonly values: { readonly [Name in keyof Kinds]?: Kinds[Name]['type'] extends 'boolean' ? boolean : string }
}

/** @throws UsageError */
export function readOptions<Kinds extends OptionKinds>(args: readonly string[], kinds: Kinds): CommandLine<Kinds> {
  const { tokens, positionals, values } = parseArgs({
    args: [...args],
    options: kinds,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    if (!Object.hasOwn(kinds, name)) {
      const nearest = nearestName(name, Object.keys(kinds))
      throw new UsageError(`Unknown option '${rawName}'.${nearest === undefined ? '' : ` Did you mean '--${nearest}'?`}`)
    }
    const takesValue = kinds[name]?.type === 'string'
    if (!takesValue && value !== undefined) throw new UsageError(`Option '${rawName}' takes no value.`)
    if (!takesValue) continue
    if (value === undefined || value === '') throw new UsageError(`Option '${rawName}' needs a value.`)
    // What looks like an option is one: its value was forgotten.
    if (!inlineValue && value.startsWith('-'))
      throw new UsageError(`Option '${rawName}' needs a value. If '${value}' is meant, write '${rawName}=${value}'.`)
  }
  return { positionals, values }
}

/** A whole number, written in digits. */
export function countOf(text: string, rawName: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count >= least && count <= most) return count
  const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`
  throw new UsageError(`Option '${rawName}' takes a whole number ${range}, not '${text}'.`)
}

/** A duration of 1 ms or more, in ms. Without a unit it is one of ms. */
export function durationOf(text: string, rawName: string): number {
  const durationMs = /^\d+$/.test(text) ? Number(text) : parseDuration(text)
  if (durationMs !== undefined && durationMs >= 1 && durationMs < Infinity) return durationMs
  throw new UsageError(`Option '${rawName}' takes a duration of 1 ms or more, such as '500ms' or '30s', not '${text}'.`)
}
