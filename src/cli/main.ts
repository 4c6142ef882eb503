#!/usr/bin/env node
/** The `millrace` program: reads the command line, and hands over to a command. */
import { readFileSync } from 'node:fs'
import { MAX_THREADS } from '../base/limits.js'
import { nearestName } from '../base/problems.js'
import { compact } from './commands/compact.js'
import { demo } from './commands/demo.js'
import { doctor } from './commands/doctor.js'
import { supervise } from './commands/supervise.js'
import { printable, shorten } from './demo/format-quantity.js'
import { COMPACT_HELP, DOCTOR_HELP, HELP } from './help.js'
import { type CommandLine, countOf, durationOf, readOptions } from './read-options.js'
import { SUPERVISE_HELP, superviseCommandLine } from './supervise/command-line.js'
import { UsageError } from './usage-error.js'

const OPTIONS = {
  threads: { type: 'string' },
  store: { type: 'string' },
  fresh: { type: 'boolean' },
  repair: { type: 'boolean' },
  json: { type: 'boolean' },
  timeout: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

/** What each command takes besides --help and --version. */
const COMMANDS = {
  demo: { help: HELP, takes: ['threads', 'store', 'fresh'] },
  doctor: { help: DOCTOR_HELP, takes: ['repair', 'json', 'timeout'] },
  compact: { help: COMPACT_HELP, takes: ['json'] },
} as const

type Command = keyof typeof COMMANDS

type Parsed = CommandLine<typeof OPTIONS>

/** Characters of a message on the terminal: an argument may be as long as the system allows. */
const MESSAGE_CHARACTERS = 1000

/** The same command line for the next time, fit for a shell. */
function commandLine({ values }: Parsed, folder: string): string {
  const words = ['npx', 'millrace', 'demo', ...(folder === '.' ? [] : [folder.startsWith('-') ? `./${folder}` : folder])]
  if (values.threads !== undefined) words.push('--threads', values.threads)
  if (values.store !== undefined)
    words.push(...(values.store.startsWith('-') ? [`--store=${values.store}`] : ['--store', values.store]))
  return words.map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')
}

async function runSupervise(args: readonly string[]): Promise<number> {
  const options = superviseCommandLine(args)
  if (options !== undefined) return await supervise(options)
  process.stdout.write(SUPERVISE_HELP)
  return 0
}

async function run(args: readonly string[]): Promise<number> {
  // What stands behind its -- is another program's.
  if (args[0] === 'supervise') return await runSupervise(args.slice(1))
  const parsed = readOptions(args, OPTIONS)
  const { positionals, values } = parsed
  const [command, ...rest] = positionals
  if (values.version === true) {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
    process.stdout.write(`${version}\n`)
    return 0
  }
  if (command === undefined || command === 'help') {
    const [stray] = Object.keys(values).filter((name) => name !== 'help')
    if (stray !== undefined) throw new UsageError(`'--${stray}' is an option of a command; name the command before it.`)
    process.stdout.write(HELP)
    return 0
  }
  if (!isCommand(command)) {
    if (values.help === true) {
      process.stdout.write(HELP)
      return 0
    }
    const nearest = nearestName(command, [...Object.keys(COMMANDS), 'supervise'])
    throw new UsageError(`Unknown command '${command}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`}`)
  }
  if (values.help === true) {
    process.stdout.write(COMMANDS[command].help)
    return 0
  }
  checkOptions(command, values)
  if (command === 'demo') return await runDemo(parsed, rest)
  const directory = onlyDirectory(command, rest)
  const json = values.json === true
  if (command === 'compact') return await compact({ directory, json })
  const timeoutMs = values.timeout === undefined ? undefined : durationOf(values.timeout, '--timeout')
  return await doctor({ directory, repair: values.repair === true, timeoutMs, json })
}

function isCommand(name: string): name is Command {
  return Object.hasOwn(COMMANDS, name)
}

function checkOptions(command: Command, values: Parsed['values']): void {
  const takes: readonly string[] = COMMANDS[command].takes
  const stray = Object.keys(values).find((name) => !takes.includes(name))
  if (stray !== undefined) throw new UsageError(`${command} has no option '--${stray}'.`)
}

function onlyDirectory(command: Command, given: readonly string[]): string {
  const [directory] = given
  if (directory === undefined || directory === '') throw new UsageError(`${command} needs the directory of a store.`)
  if (given.length > 1)
    throw new UsageError(`${command} takes one directory, and was given ${given.length}: '${given.join("', '")}'.`)
  return directory
}

async function runDemo(parsed: Parsed, folders: readonly string[]): Promise<number> {
  const { values } = parsed
  const [folder = '.'] = folders
  if (folders.length > 1)
    throw new UsageError(`demo takes one folder, and was given ${folders.length}: '${folders.join("', '")}'.`)
  if (folder === '') throw new UsageError('demo needs the path of a folder, and was given an empty one.')
  const threads = values.threads === undefined ? undefined : countOf(values.threads, '--threads', 1, MAX_THREADS)
  return await demo({ folder, threads, store: values.store, fresh: values.fresh === true, command: commandLine(parsed, folder) })
}

// Whoever read the output has gone, as in `| head`. What is done is in the store.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  const message = shorten(printable(error.message), MESSAGE_CHARACTERS)
  process.stderr.write(`millrace: ${message}\nRun 'millrace --help' to see what there is.\n`)
  process.exitCode = 2
}
