/** `millrace jobs retry|cancel|discard|run`: commands that change many jobs, or those with the given ids. */
import type { BulkReport } from '../../executor/bulk-options.js'
import { formatCount, plural } from '../demo/format-quantity.js'
import { UsageError } from '../usage-error.js'
import { COMMON_HELP, type CommandLine, type ShellCommand, tell, withOperator } from './command.js'
import { CommandError, EXIT, EXIT_CODES_HELP, type ExitCode } from './exit-code.js'
import { FILTER_HELP, FILTER_OPTIONS, readFilter } from './job-filter.js'
import type { Operator } from './operator.js'
import { ProgressLine } from './progress-line.js'

interface Change {
  readonly name: string
  readonly does: string
  /** For whom, without --state. */
  readonly usual: string
  readonly example: string
  /** The call of the control socket. */
  readonly call: string
  /** What the filter says unless the options say something else. */
  readonly states?: readonly string[]
  /** What has happened to the jobs. */
  readonly done: string
  /** It takes a reason. */
  readonly isStop?: true
}

const CHANGES: readonly Change[] = [
  {
    name: 'retry',
    does: 'Brings jobs back that were discarded or cancelled, and lets retries be due at once',
    usual: 'those that are discarded or retryable',
    example: '--state discarded --name thumbnail --older-than 1h --dry-run',
    call: 'retry',
    done: 'retried',
  },
  {
    name: 'run',
    does: 'Makes jobs due at once that are scheduled for later, or wait for a retry',
    usual: 'those that are scheduled or retryable',
    example: '--queue images',
    call: 'retry',
    states: ['scheduled', 'retryable'],
    done: 'made due',
  },
  {
    name: 'cancel',
    does: 'Cancels jobs that wait or run; a running one is asked to stop, and ended after the abortGrace',
    usual: 'all that are not over',
    example: '--queue images --state available',
    call: 'cancel',
    done: 'cancelled',
    isStop: true,
  },
  {
    name: 'discard',
    does: 'Discards jobs that wait or run, as failed for good: they can be retried',
    usual: 'all that are not over',
    example: '--name report --dry-run',
    call: 'discard',
    done: 'discarded',
    isStop: true,
  },
]

/** By the word behind `jobs`. */
export const JOB_CHANGES: Readonly<Record<string, ShellCommand>> = Object.fromEntries(
  CHANGES.map((change): [string, ShellCommand] => [
    change.name,
    {
      name: `jobs ${change.name}`,
      help: helpOf(change),
      options: {
        ...FILTER_OPTIONS,
        'older-than': { type: 'string' },
        limit: { type: 'string' },
        all: { type: 'boolean' },
        'dry-run': { type: 'boolean' },
        ...(change.isStop && { reason: { type: 'string' } }),
      },
      takes: ['[<id>…]'],
      run: async (line) => await run(line, change),
    },
  ]),
)

function helpOf({ name, does, usual, example, isStop }: Change): string {
  return `${does}.

Usage: millrace jobs ${name} <dir> [<id> …] [options]

Which ones: those with the given ids, or that fit the options; without --state
${usual}.
Goes step by step beside the work of others; stopped half way, a part is done.

Options:
${FILTER_HELP}  --older-than <d> Enqueued longer ago than this
  --limit <n>      At most so many
  --all            All of them; needed when nothing else says which ones
  --dry-run        Say how many there are, and change nothing
${isStop ? '  --reason <text>  Why: it is kept with each of them\n' : ''}${COMMON_HELP}
Examples:
  npx millrace jobs ${name} ./data/jobs 04k2v3c8p1q0z5m7x9ab
  npx millrace jobs ${name} ./data/jobs ${example}

${EXIT_CODES_HELP}`
}

async function run(line: CommandLine, { name, call, states, done }: Change): Promise<ExitCode> {
  const ids = line.words
  const restrictions = {
    ...readFilter(line),
    ...(line.duration('older-than') !== undefined && { olderThan: line.duration('older-than') }),
    ...(ids.length > 0 && { ids }),
  }
  const isAll = line.has('all')
  if (isAll && Object.keys(restrictions).length > 0)
    throw new UsageError('--all stands for every job; leave it out, or the ids and options that say which ones.')
  if (!isAll && Object.keys(restrictions).length === 0)
    throw new UsageError(`jobs ${name} needs ids, or an option that says which jobs, or --all for all of them.`)
  const limit = line.count('limit', 0)
  const filter = {
    ...(states !== undefined && { state: states }),
    ...restrictions,
    ...(isAll && states === undefined && { all: true }),
    ...(limit !== undefined && { limit }),
  }
  const dryRun = line.has('dry-run')
  const reason = line.text('reason')
  const given = { filter, dryRun, ...(reason !== undefined && { reason }) }
  const { matched, changed } = await changeMany(line, call, given, dryRun)
  const told = dryRun
    ? `${plural(matched, 'job')} would be ${done}.`
    : `${plural(changed, 'job')} ${done}${matched === changed ? '' : ` of ${formatCount(matched)} that fitted`}.`
  tell(line, { matched, changed, dryRun }, () => told)
  return ids.length > (dryRun ? matched : changed) && limit === undefined ? EXIT.notDone : EXIT.done
}

/** Tells people how far it has come, and how far it had come when it breaks off. */
async function changeMany(line: CommandLine, call: string, given: object, dryRun: boolean): Promise<BulkReport> {
  let soFar: BulkReport | undefined
  const progress = line.isJson ? undefined : new ProgressLine(process.stderr)
  const onProgress = (told: unknown): void => {
    soFar = told as BulkReport
    const { matched, changed } = soFar
    progress?.show(
      dryRun ? `${formatCount(matched)} fit so far` : `${formatCount(changed)} changed of ${formatCount(matched)} so far`,
    )
  }
  try {
    const operate = async (operator: Operator): Promise<unknown> => await operator.call(call, given, { onProgress })
    return (await withOperator(line, dryRun ? 'look' : 'change', operate)) as BulkReport
  } catch (error) {
    if (dryRun || !(error instanceof CommandError) || error.exitCode !== EXIT.silent) throw error
    const part = soFar === undefined ? 'A part may be changed' : `At least ${formatCount(soFar.changed)} are changed`
    throw new CommandError(error.exitCode, `${error.message} ${part}, each as a whole: give the command again for the rest.`)
  } finally {
    progress?.end()
  }
}
