/** `millrace jobs`: lists jobs, shows one, and changes what becomes of them. */
import type { JobDetail, JobRow } from '../../control-socket/shapes.js'
import { formatCount } from '../demo/format-quantity.js'
import {
  COMMON_HELP,
  type CommandLine,
  look,
  print,
  printLines,
  type ShellCommand,
  tell,
  terminalPaint,
  terminalWidth,
  withOperator,
} from '../shell/command.js'
import { CommandError, EXIT, EXIT_CODES_HELP, type ExitCode } from '../shell/exit-code.js'
import { JOB_CHANGES } from '../shell/job-changes.js'
import { FILTER_HELP, FILTER_OPTIONS, readFilter } from '../shell/job-filter.js'
import { jobDetailLines, jobLines } from '../shell/job-text.js'
import { UsageError } from '../usage-error.js'

export const JOBS_HELP = `Lists jobs, shows one, and changes what becomes of them.

Usage: millrace jobs list <dir> [options]
       millrace jobs show <dir> <id>
       millrace jobs retry|run|cancel|discard <dir> [<id> …] [options]

  list             Jobs by state, queue and name
  show             Everything that is known of one, with its attempts, input and output
  retry            Brings back what was discarded or cancelled; retries are due at once
  run              Makes scheduled jobs due at once
  cancel, discard  Ends jobs that wait or run

Each has --help with its options and examples.

${EXIT_CODES_HELP}`

const LIST_HELP = `Lists jobs: first those that are over, oldest first; then those that run or wait, in run
order; then those scheduled for later.

Usage: millrace jobs list <dir> [options]

Options:
${FILTER_HELP}  --limit <n>      At most so many (default: 100)
  --all            However many there are
  --payloads       With the input and output of each, as much as is shown; with --json
${COMMON_HELP.replace('Print JSON for programs', 'Print JSON for programs: a job a line')}
Examples:
  npx millrace jobs list ./data/jobs --state discarded,retryable
  npx millrace jobs list ./data/jobs --queue images --all --json | jq -r .id

${EXIT_CODES_HELP}`

const SHOW_HELP = `Shows everything that is known of a job: its attempts and errors, input and output.

Usage: millrace jobs show <dir> <id> [options]

What JSON cannot hold is shown as text, and a long input or output is cut.

Options:
${COMMON_HELP}
Examples:
  npx millrace jobs show ./data/jobs 04k2v3c8p1q0z5m7x9ab

${EXIT_CODES_HELP}`

const DEFAULT_LIMIT = 100

async function list(line: CommandLine): Promise<ExitCode> {
  const limit = line.has('all') ? undefined : (line.count('limit', 0) ?? DEFAULT_LIMIT)
  const payloads = line.has('payloads')
  if (payloads && !line.isJson) throw new UsageError('--payloads needs --json; jobs show tells all of one job.')
  const filter = { ...readFilter(line), ...(limit !== undefined && { limit }), payloads }
  const rows: JobRow[] = []
  const onItems = (items: readonly unknown[]): void => {
    if (line.isJson) printLines(items.map((item) => JSON.stringify(item)))
    else rows.push(...(items as JobRow[]))
  }
  const { jobs } = (await withOperator(line, 'look', async (operator) => await operator.call('jobs', filter, { onItems }))) as {
    jobs: number
  }
  if (line.isJson) return EXIT.done
  if (jobs === 0) print('There are none.')
  else printLines(jobLines(rows, Date.now(), terminalPaint(), terminalWidth()))
  if (limit !== undefined && limit > 0 && jobs === limit)
    print(`The first ${formatCount(limit)}; there may be more: --limit, --all.`)
  return EXIT.done
}

async function show(line: CommandLine): Promise<ExitCode> {
  const [id = ''] = line.words
  const job = await look<JobDetail | null>(line, 'job', { id })
  if (job === null) throw new CommandError(EXIT.notDone, `There is no job ${id}: it was pruned, or never there.`)
  tell(line, job, (shown, paint) => jobDetailLines(shown, Date.now(), paint))
  return EXIT.done
}

export const jobsCommands: Readonly<Record<string, ShellCommand>> = {
  list: {
    name: 'jobs list',
    help: LIST_HELP,
    options: { ...FILTER_OPTIONS, limit: { type: 'string' }, all: { type: 'boolean' }, payloads: { type: 'boolean' } },
    takes: [],
    run: list,
  },
  show: { name: 'jobs show', help: SHOW_HELP, options: {}, takes: ['<id>'], run: show },
  ...JOB_CHANGES,
}
