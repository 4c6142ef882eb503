/** `millrace queues`: what waits and runs in each queue. */
import type { QueueRow } from '../../control-socket/queue-rows.js'
import {
  COMMON_HELP,
  printJson,
  printLines,
  type ShellCommand,
  terminalPaint,
  terminalWidth,
  withOperator,
} from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'
import { queueLines } from '../shell/status-text.js'

const HELP = `Tells what waits and runs in each queue, how long the oldest job has waited, in how long
the queue would be empty if no more came, and what became of its jobs within the last hour.

Usage: millrace queues <dir> [options]

Options:
${COMMON_HELP}
Examples:
  npx millrace queues ./data/jobs
  npx millrace queues ./data/jobs --json | jq '.[] | select(.isPaused).name'

${EXIT_CODES_HELP}`

export const queues: ShellCommand = {
  name: 'queues',
  help: HELP,
  options: {},
  takes: [],
  run: async (line) => {
    const rows = (await withOperator(line, 'look', async (operator) => await operator.call('queues'))) as readonly QueueRow[]
    if (line.isJson) printJson(rows)
    else printLines(queueLines(rows, terminalPaint(), terminalWidth()))
    return EXIT.done
  },
}
