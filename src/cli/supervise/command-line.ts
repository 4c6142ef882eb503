/** The command line of `millrace supervise`: its own options up to `--`, and behind it the program's, untouched. */
import type { SuperviseOptions } from '../commands/supervise.js'
import { countOf, durationOf, readOptions } from '../read-options.js'
import { UsageError } from '../usage-error.js'

export const SUPERVISE_HELP = `Runs a program, and runs it again when it dies.

Usage: millrace supervise [options] -- <program> [arguments]

The program is started again when a signal ends it, or when its exit code is not 0. The
delay before that doubles from --min-delay to --max-delay; after a run of at least
--max-delay it is the shortest again. An exit code of 0 ends the supervision.

SIGINT, SIGTERM and SIGHUP are passed on, and the program is not started again. In a
terminal Ctrl-C reaches the program by itself, and only once. The program's stdin,
stdout, stderr and arguments are its own; what happens is said on stderr, a line each.

Options:
  --min-delay <d>     Before the first restart (default: 1s)
  --max-delay <d>     The longest delay (default: 30s)
  --max-restarts <n>  Give up after so many restarts in a row (default: never)
  --help              Show this

Examples:
  npx millrace supervise -- node app.js
  npx millrace supervise --max-restarts 10 -- node --max-old-space-size=512 app.js --port 80

Exit codes:
  that of the program  when it ended well, was told to stop, or was given up; 128 and
                       the number of the signal when a signal ended it, or when it was
                       told to stop between two runs
  2                    wrong command line
  126, 127             the program cannot be executed, is not found
`

const OPTIONS = {
  'min-delay': { type: 'string' },
  'max-delay': { type: 'string' },
  'max-restarts': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

/** @param args - what follows `supervise`. Gives undefined when help is asked for. */
export function superviseCommandLine(args: readonly string[]): SuperviseOptions | undefined {
  const divider = args.indexOf('--')
  const own = divider === -1 ? args : args.slice(0, divider)
  const [file, ...rest] = divider === -1 ? [] : args.slice(divider + 1)
  const { values, positionals } = readOptions(own, OPTIONS)
  if (values.help === true) return undefined
  if (positionals.length > 0)
    throw new UsageError(
      `'${positionals.join(' ')}' stands before '--'. Write: millrace supervise [options] -- <program> [arguments]`,
    )
  if (file === undefined || file === '')
    throw new UsageError('supervise needs a program behind --, such as: millrace supervise -- node app.js')
  const { 'min-delay': least, 'max-delay': most, 'max-restarts': restarts } = values
  const minDelayMs = least === undefined ? 1000 : durationOf(least, '--min-delay')
  const maxDelayMs = most === undefined ? 30_000 : durationOf(most, '--max-delay')
  if (minDelayMs > maxDelayMs)
    throw new UsageError(
      `'--min-delay' of ${minDelayMs} ms is longer than '--max-delay' of ${maxDelayMs} ms; make one of them other.`,
    )
  const maxRestarts = restarts === undefined ? Infinity : countOf(restarts, '--max-restarts', 0)
  return { program: [file, ...rest], minDelayMs, maxDelayMs, maxRestarts }
}
