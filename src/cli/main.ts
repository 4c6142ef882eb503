#!/usr/bin/env node
/** The `millrace` program: reads the command line, and hands over to a command. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { nearestName } from '../base/problems.js'
import { demo } from './commands/demo.js'

const HELP = `Millrace: durable background jobs on worker threads.

Usage: millrace demo [folder] [options]

  demo             Measures every file of a folder (default: the current one) on all
                   cores, one durable job for each: SHA-256, entropy, and the size
                   after brotli at quality 5. Symbolic links are not followed.
                   Stop it with Ctrl-C or kill -9 and run it again: it goes on
                   where it was.

Options:
  --threads <n>    Threads that run jobs (default: one for each core)
  --store <dir>    Keep the progress below this directory (default: the system's
                   temporary one)
  --fresh          Forget what an interrupted run has done
  --help           Show this
  --version        Show the version

Examples:
  npx millrace demo
  npx millrace demo node_modules --threads 4
  npx millrace demo ~/photos --store ~/.cache --fresh

The exit code is 0 also if some of the files could not be read (they are listed),
1 if the folder or the store cannot be used, 2 for a wrong command line, and 130
after Ctrl-C.
`

const OPTIONS = {
  threads: { type: 'string' },
  store: { type: 'string' },
  fresh: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

const COMMANDS = ['demo']

/** A command line that cannot be used. */
class UsageError extends Error {}

type Parsed = ReturnType<typeof parse>

/** As `parseArgs` is strict, but with words that help. */
function parse(args: readonly string[]) {
  const { tokens, positionals, values } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    if (!Object.hasOwn(OPTIONS, name)) {
      const nearest = nearestName(name, Object.keys(OPTIONS))
      throw new UsageError(`Unknown option '${rawName}'.${nearest === undefined ? '' : ` Did you mean '--${nearest}'?`}`)
    }
    const takesValue = OPTIONS[name as keyof typeof OPTIONS].type === 'string'
    if (takesValue && (value === undefined || value === '')) throw new UsageError(`Option '${rawName}' needs a value.`)
    if (!takesValue && value !== undefined) throw new UsageError(`Option '${rawName}' takes no value.`)
  }
  return { positionals, values: values as { [Name in keyof typeof OPTIONS]?: string | boolean } }
}

function threadCount(value: string | boolean | undefined): number | undefined {
  if (value === undefined) return undefined
  const threads = Number(value)
  if (Number.isSafeInteger(threads) && threads >= 1) return threads
  throw new UsageError(`Option '--threads' takes a whole number of 1 or more, not '${String(value)}'.`)
}

/** The same command line for the next time, fit for a shell. */
function commandLine({ values }: Parsed, folder: string): string {
  const words = ['npx', 'millrace', 'demo', ...(folder === '.' ? [] : [folder.startsWith('-') ? `./${folder}` : folder])]
  if (values.threads !== undefined) words.push('--threads', String(values.threads))
  if (values.store !== undefined) words.push('--store', String(values.store))
  return words.map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')
}

async function run(args: readonly string[]): Promise<number> {
  const parsed = parse(args)
  const { positionals, values } = parsed
  const [command, folder = '.', ...rest] = positionals
  if (values.version === true) {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
    process.stdout.write(`${version}\n`)
    return 0
  }
  if (values.help === true || command === undefined || command === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  if (command !== 'demo') {
    const nearest = nearestName(command, COMMANDS)
    throw new UsageError(`Unknown command '${command}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`}`)
  }
  if (rest.length > 0)
    throw new UsageError(`demo takes one folder, and was given ${rest.length + 1}: '${[folder, ...rest].join("', '")}'.`)
  const threads = threadCount(values.threads)
  const store = values.store === undefined ? undefined : String(values.store)
  return await demo({ folder, threads, store, fresh: values.fresh === true, command: commandLine(parsed, folder) })
}

// Whoever read the output has gone, as in `| head`. What is done is in the store.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`millrace: ${error.message}\nRun 'millrace --help' to see what there is.\n`)
  process.exitCode = 2
}
