/**
 * What the commands for a store have in common: a directory and their own arguments, options read with words that help, `--json`,
 * colours, and one way to end. A command says what it takes and what it does.
 */
import { styleText } from 'node:util'
import { parseDuration } from '../../base/duration.js'
import { plural } from '../demo/format-quantity.js'
import { type OptionTable, type OptionValue, readOptions } from '../read-options.js'
import { UsageError } from '../usage-error.js'
import { CommandError, type ExitCode } from './exit-code.js'
import { type Operator, reach, type ReachOptions } from './operator.js'
import type { Paint } from './table.js'

export interface ShellCommand {
  /** As it is typed, such as `jobs list`. */
  readonly name: string
  readonly help: string
  /** Besides those that every command takes. */
  readonly options: OptionTable
  /** What stands behind the directory, such as `<queue>`; one that ends in `…` takes any number. */
  readonly takes: readonly string[]
  run(line: CommandLine): Promise<ExitCode>
}

/** What was typed, read and checked. */
export interface CommandLine {
  readonly directory: string
  /** Behind the directory. */
  readonly words: readonly string[]
  readonly isJson: boolean
  /** The longest silence of an executor, in ms. */
  readonly timeoutMs: number
  has(option: string): boolean
  /** The values of an option that may be given several times, also by commas. */
  all(option: string): readonly string[]
  text(option: string): string | undefined
  /** In ms. @throws UsageError */
  duration(option: string): number | undefined
  /** A whole number from `min`. @throws UsageError */
  count(option: string, min: number): number | undefined
}

const COMMON = {
  json: { type: 'boolean' },
  timeout: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionTable

const DEFAULT_TIMEOUT_MS = 5000

/** The lines about them in every help. */
export const COMMON_HELP = `  --json           Print JSON for programs
  --timeout <d>    How long the executor may be silent (default: 5s)
  --help           Show this
`

/** Resolves with the exit code. @throws UsageError */
export async function runCommand(command: ShellCommand, args: readonly string[]): Promise<number> {
  const { positionals, values } = readOptions(args, { ...COMMON, ...command.options })
  const given: Readonly<Record<string, OptionValue | undefined>> = values
  if (given['help'] === true) {
    process.stdout.write(command.help)
    return 0
  }
  try {
    return await command.run(commandLine(command, positionals, given))
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    process.stderr.write(`millrace ${command.name}: ${error.message}\n`)
    return error.exitCode
  }
}

function commandLine(
  { name, takes }: ShellCommand,
  positionals: readonly string[],
  given: Readonly<Record<string, OptionValue | undefined>>,
): CommandLine {
  const [directory, ...words] = positionals
  const usage = `Write: millrace ${[name, '<dir>', ...takes].join(' ')}`
  if (directory === undefined || directory === '') throw new UsageError(`${name} needs the directory of a store. ${usage}`)
  const isOpen = takes.at(-1)?.includes('…') === true
  const needed = takes.filter((word) => !word.startsWith('[')).length
  if (words.length < needed) throw new UsageError(`${name} needs ${takes[words.length] ?? ''} as well. ${usage}`)
  if (words.length > takes.length && !isOpen)
    throw new UsageError(`'${words.slice(takes.length).join(' ')}' is more than ${name} takes. ${usage}`)
  const all = (option: string): readonly string[] => {
    const value = given[option]
    const list = value === undefined ? [] : Array.isArray(value) ? (value as readonly string[]) : [String(value)]
    return list.flatMap((text) => text.split(',')).filter((text) => text !== '')
  }
  const text = (option: string): string | undefined => {
    const value = given[option]
    return value === undefined ? undefined : String(Array.isArray(value) ? value.at(-1) : value)
  }
  const duration = (option: string): number | undefined => {
    const written = text(option)
    if (written === undefined) return undefined
    const ms = /^\d+$/.test(written) ? Number(written) : parseDuration(written)
    if (ms !== undefined && ms >= 1 && ms < Infinity) return ms
    throw new UsageError(`Option '--${option}' takes a duration of 1 ms or more, such as '500ms' or '1h', not '${written}'.`)
  }
  return {
    directory,
    words,
    isJson: given['json'] === true,
    timeoutMs: duration('timeout') ?? DEFAULT_TIMEOUT_MS,
    has: (option) => given[option] === true,
    all,
    text,
    duration,
    count: (option, min) => {
      const written = text(option)
      if (written === undefined) return undefined
      const count = Number(written)
      if (Number.isSafeInteger(count) && count >= min) return count
      throw new UsageError(`Option '--${option}' takes a whole number of ${min} or more, not '${written}'.`)
    },
  }
}

/** Reaches the store, lets it be used, and lets go of it. */
export async function withOperator<T>(
  line: CommandLine,
  purpose: ReachOptions['purpose'],
  use: (operator: Operator) => Promise<T>,
): Promise<T> {
  const operator = await reach(line.directory, { timeoutMs: line.timeoutMs, purpose })
  try {
    if (operator.rescued > 0)
      process.stderr.write(
        `Nobody had the store open. ${plural(operator.rescued, 'job')} that ran when its process died: available again.\n`,
      )
    return await use(operator)
  } finally {
    await operator.close()
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printLines(lines: readonly string[]): void {
  if (lines.length > 0) print(lines.join('\n'))
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2))
}

/** Colours on a terminal that has them, unless NO_COLOR is set. */
export function terminalPaint(output: NodeJS.WriteStream = process.stdout): Paint {
  const hasColors = output.isTTY && (process.env['NO_COLOR'] ?? '') === '' && output.hasColors()
  return hasColors ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text
}

/** Columns a line may have: Infinity when nobody breaks it. */
export function terminalWidth(output: NodeJS.WriteStream = process.stdout): number {
  return output.isTTY ? Math.max(20, output.columns || 80) : Infinity
}
