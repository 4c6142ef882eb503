/**
 * What the commands for a store have in common: a directory and their own arguments, options read with words that help, `--json`,
 * colours, and one way to end. A command says what it takes and what it does.
 */
import { styleText } from 'node:util'
import { plural, printable, shorten } from '../demo/format-quantity.js'
import { countOf, durationOf, type OptionKinds, readOptions } from '../read-options.js'
import { UsageError } from '../usage-error.js'
import { CommandError, type ExitCode } from './exit-code.js'
import { type Operator, reach, type ReachOptions } from './operator.js'
import type { Paint } from './table.js'

export interface ShellCommand {
  /** As it is typed, such as `jobs list`. */
  readonly name: string
  readonly help: string
  /** Besides those that every command takes. */
  readonly options: OptionKinds
  /** It prints text of a form of its own. @defaultValue false */
  readonly hasNoJson?: true
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
  /** A whole number from `min` to `max`. @throws UsageError */
  count(option: string, min: number, max?: number): number | undefined
}

const COMMON = {
  json: { type: 'boolean' },
  timeout: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionKinds

const DEFAULT_TIMEOUT_MS = 5000
/** Of a message: a path or a name may be as long as the system allows. */
const LINE_CHARACTERS = 1000

/** The lines about them in every help. */
export const COMMON_HELP = `  --json           Print JSON for programs
  --timeout <d>    How long the executor may be silent (default: 5s)
  --help           Show this
`

type Given = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

/** The same for a command without JSON. */
export const TEXT_HELP = COMMON_HELP.replace(/.*--json.*\n/, '')

/** Resolves with the exit code. @throws UsageError */
export async function runCommand(command: ShellCommand, args: readonly string[]): Promise<number> {
  try {
    return await runLine(command, args)
  } catch (error) {
    if (error instanceof UsageError) error.command = command.name
    if (!(error instanceof CommandError)) throw error
    process.stderr.write(`millrace ${command.name}: ${shorten(printable(onOneLine(error.message)), LINE_CHARACTERS)}\n`)
    return error.exitCode
  }
}

/** Whoever reads a log line by line finds all of it: what the library lists below each other stands in a row. */
function onOneLine(message: string): string {
  return message
    .split('\n')
    .map((line) => line.replace(/^ {2}- /, ''))
    .join('; ')
    .replace(':; ', ': ')
}

async function runLine(command: ShellCommand, args: readonly string[]): Promise<number> {
  const { positionals, values } = readOptions(args, { ...COMMON, ...command.options })
  const given: Given = values
  if (given['help'] === true) {
    process.stdout.write(command.help)
    return 0
  }
  if (command.hasNoJson && given['json'] === true)
    throw new UsageError(`${command.name} has no --json; status --json gives the same figures.`)
  return await command.run(commandLine(command, positionals, given))
}

function commandLine({ name, takes }: ShellCommand, positionals: readonly string[], given: Given): CommandLine {
  const [directory, ...words] = positionals
  const usage = `Write: millrace ${[name, '<dir>', ...takes].join(' ')}`
  if (directory === undefined || directory === '') throw new UsageError(`${name} needs the directory of a store. ${usage}`)
  const isOpen = takes.at(-1)?.includes('…') === true
  const needed = takes.filter((word) => !word.startsWith('[')).length
  if (words.length < needed) throw new UsageError(`${name} needs ${takes[words.length] ?? ''} as well. ${usage}`)
  if (words.length > takes.length && !isOpen)
    throw new UsageError(`'${words.slice(takes.length).join(' ')}' is more than ${name} takes. ${usage}`)
  const all = (option: string): readonly string[] => {
    const list = given[option]
    return Array.isArray(list) ? (list as readonly string[]).flatMap((text) => text.split(',')).filter((text) => text !== '') : []
  }
  const text = (option: string): string | undefined => {
    const value = given[option]
    return typeof value === 'string' ? value : undefined
  }
  const duration = (option: string): number | undefined => {
    const written = text(option)
    return written === undefined ? undefined : durationOf(written, `--${option}`)
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
    count: (option, min, max) => {
      const written = text(option)
      return written === undefined ? undefined : countOf(written, `--${option}`, min, max)
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

/** One call that changes nothing. @throws CommandError */
export async function look<T>(line: CommandLine, call: string, given?: unknown): Promise<T> {
  return await withOperator(line, 'look', async (operator) => (await operator.call(call, given)) as T)
}

/** One call that changes something. @throws CommandError */
export async function change<T>(line: CommandLine, call: string, given: unknown): Promise<T> {
  return await withOperator(line, 'change', async (operator) => (await operator.call(call, given)) as T)
}

/** Prints a value as JSON for programs, or as its lines for people. */
export function tell<T>(
  { isJson }: CommandLine,
  value: T,
  lines: (value: T, paint: Paint, width: number) => string | readonly string[],
): void {
  if (isJson) printJson(value)
  else printLines([lines(value, terminalPaint(), terminalWidth())].flat())
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printLines(lines: readonly string[]): void {
  if (lines.length > 0) print(lines.join('\n'))
}

function printJson(value: unknown): void {
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
