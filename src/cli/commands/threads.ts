/** `millrace threads`: what each thread is doing. */
import type { Status } from '../../control-socket/status.js'
import {
  print,
  printJson,
  printLines,
  type ShellCommand,
  COMMON_HELP,
  terminalPaint,
  terminalWidth,
  withOperator,
} from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'
import { threadLines } from '../shell/status-text.js'

const HELP = `Tells what each thread of the executor is doing.

Usage: millrace threads <dir> [options]

Options:
${COMMON_HELP}
Examples:
  npx millrace threads ./data/jobs
  npx millrace threads ./data/jobs --json | jq '.[] | select(.state == "running").job'

${EXIT_CODES_HELP}`

export const threads: ShellCommand = {
  name: 'threads',
  help: HELP,
  options: {},
  takes: [],
  run: async (line) => {
    const status = await withOperator(line, 'look', async (operator) => (await operator.call('status')) as Status)
    if (line.isJson) printJson(status.threads)
    else if (status.running === null) print('Nobody has the store open: there are no threads.')
    else printLines(threadLines(status, terminalPaint(), terminalWidth()))
    return EXIT.done
  },
}
