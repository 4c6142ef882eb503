/** `millrace schedules`: recurring jobs, with their last and next run. */
import type { ScheduleRow } from '../../control-socket/shapes.js'
import {
  COMMON_HELP,
  print,
  printJson,
  printLines,
  type ShellCommand,
  terminalPaint,
  terminalWidth,
  withOperator,
} from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'
import { scheduleLines } from '../shell/schedule-text.js'

const HELP = `Lists recurring jobs: when each has run last, with its job, and when it will run next.

Usage: millrace schedules <dir> [options]

Options:
${COMMON_HELP}
Examples:
  npx millrace schedules ./data/jobs
  npx millrace schedules ./data/jobs --json | jq '.[] | {name, nextRunAt}'

${EXIT_CODES_HELP}`

export const schedules: ShellCommand = {
  name: 'schedules',
  help: HELP,
  options: {},
  takes: [],
  run: async (line) => {
    const rows = (await withOperator(
      line,
      'look',
      async (operator) => await operator.call('schedules'),
    )) as readonly ScheduleRow[]
    if (line.isJson) printJson(rows)
    else if (rows.length === 0) print('There are none.')
    else printLines(scheduleLines(rows, Date.now(), terminalPaint(), terminalWidth()))
    return EXIT.done
  },
}
