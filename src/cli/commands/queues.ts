/** `millrace queues`: what waits and runs in each queue, and how many of its jobs may run at a time. */
import type { QueueRow } from '../../control-socket/queue-rows.js'
import { printable } from '../demo/format-quantity.js'
import { nearestName } from '../../base/problems.js'
import { countOf } from '../read-options.js'
import { change, COMMON_HELP, type CommandLine, look, type ShellCommand, tell } from '../shell/command.js'
import { CommandError, EXIT, EXIT_CODES_HELP, type ExitCode } from '../shell/exit-code.js'
import { queueLines } from '../shell/status-text.js'
import { UsageError } from '../usage-error.js'

const HELP = `Tells what waits and runs in each queue, how long the oldest job has waited, in how long
the queue would be empty if no more came, and what became of its jobs within the last hour.

Usage: millrace queues <dir> [<queue>] [options]

Options:
  --concurrency <n>  How many jobs of the queue may run at a time: a number, none for no limit, or
                     default for what the program says. It is stored, and holds at once
${COMMON_HELP}
Examples:
  npx millrace queues ./data/jobs
  npx millrace queues ./data/jobs images --concurrency 2
  npx millrace queues ./data/jobs images --concurrency default
  npx millrace queues ./data/jobs --json | jq '.[] | select(.isPaused).name'

${EXIT_CODES_HELP}`

export const queues: ShellCommand = {
  name: 'queues',
  help: HELP,
  options: { concurrency: { type: 'string' } },
  takes: ['[<queue>]'],
  run: async (line) => {
    const [queue] = line.words
    const concurrency = readConcurrency(line)
    if (concurrency !== undefined) return await setConcurrency(line, queue, concurrency)
    const all = await look<readonly QueueRow[]>(line, 'queues')
    const rows = queue === undefined ? all : all.filter(({ name }) => name === queue)
    if (queue !== undefined && rows.length === 0) throw noQueue(queue, all)
    tell(line, rows, queueLines)
    return EXIT.done
  },
}

type Concurrency = number | 'none' | 'default'

/** @throws UsageError */
function readConcurrency(line: CommandLine): Concurrency | undefined {
  const text = line.text('concurrency')
  if (text === undefined || text === 'none' || text === 'default') return text
  if (!/^\d+$/.test(text)) throw new UsageError(`Option '--concurrency' takes a whole number, none or default, not '${text}'.`)
  return countOf(text, '--concurrency', 1)
}

async function setConcurrency(line: CommandLine, queue: string | undefined, concurrency: Concurrency): Promise<ExitCode> {
  if (queue === undefined)
    throw new UsageError('--concurrency needs a queue. Write: millrace queues <dir> <queue> --concurrency <n>')
  const now = await change<{ readonly concurrency: number | null }>(line, 'concurrency', { queue, concurrency })
  const most = now.concurrency === null ? 'as many jobs as there are threads' : `${now.concurrency} at a time`
  tell(line, now, () => `${printable(queue)} runs ${most}.`)
  return EXIT.done
}

function noQueue(queue: string, all: readonly QueueRow[]): CommandError {
  const names = all.map(({ name }) => printable(name))
  const nearest = nearestName(queue, names)
  const wayOut = nearest === undefined ? `There are ${names.join(', ')}.` : `Did you mean '${nearest}'?`
  return new CommandError(EXIT.notDone, `There is no queue '${printable(queue)}'. ${wayOut}`)
}
