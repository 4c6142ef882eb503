/** Reads options as `parseArgs` in its strict form does, but with words that help. */
import { parseArgs } from 'node:util'
import { nearestName } from '../base/problems.js'
import { UsageError } from './usage-error.js'

/** What a command line may hold, as `parseArgs` takes it. */
export type OptionTable = Readonly<
  Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string; readonly multiple?: boolean }>
>

export type OptionValue = string | boolean | readonly (string | boolean)[]

export interface ReadOptions<Table extends OptionTable> {
  readonly positionals: readonly string[]
  readonly values: { readonly [Name in keyof Table]?: OptionValue }
}

/** @throws UsageError */
export function readOptions<const Table extends OptionTable>(args: readonly string[], table: Table): ReadOptions<Table> {
  const { tokens, positionals, values } = parseArgs({
    args: [...args],
    options: table,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    const known = Object.hasOwn(table, name) ? table[name] : undefined
    if (known === undefined) {
      const nearest = nearestName(name, Object.keys(table))
      throw new UsageError(`Unknown option '${rawName}'.${nearest === undefined ? '' : ` Did you mean '--${nearest}'?`}`)
    }
    const takesValue = known.type === 'string'
    if (takesValue && (value === undefined || value === '')) throw new UsageError(`Option '${rawName}' needs a value.`)
    if (!takesValue && value !== undefined) throw new UsageError(`Option '${rawName}' takes no value.`)
  }
  return { positionals, values }
}
