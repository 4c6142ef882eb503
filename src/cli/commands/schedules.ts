/** `millrace schedules`: recurring jobs, with their last and next run. */
import type { ScheduleRow } from '../../control-socket/shapes.js'
import { change, COMMON_HELP, look, type ShellCommand, tell } from '../shell/command.js'
import { printable } from '../demo/format-quantity.js'
import { CommandError, EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'
import { scheduleLines } from '../shell/schedule-text.js'

const HELP = `Lists recurring jobs: when each has run last, with its job, and when it will run next.

Usage: millrace schedules <dir> [options]
       millrace schedules remove <dir> <name>

Only the program makes and changes schedules: executor.schedule().

Options:
${COMMON_HELP}
Examples:
  npx millrace schedules ./data/jobs
  npx millrace schedules ./data/jobs --json | jq '.[] | {name, nextRunAt}'
  npx millrace schedules remove ./data/jobs nightly

${EXIT_CODES_HELP}`

const REMOVE_HELP = `Removes a recurring job: no more runs are enqueued. Those that wait or run go on.

Usage: millrace schedules remove <dir> <name> [options]

A program that makes the schedule when it starts, makes it again.

Options:
${COMMON_HELP}
Examples:
  npx millrace schedules remove ./data/jobs nightly

${EXIT_CODES_HELP}`

export const schedules: ShellCommand = {
  name: 'schedules',
  help: HELP,
  options: {},
  takes: [],
  run: async (line) => {
    tell(line, await look<readonly ScheduleRow[]>(line, 'schedules'), (rows, paint, width) =>
      rows.length === 0 ? 'There are none.' : scheduleLines(rows, Date.now(), paint, width),
    )
    return EXIT.done
  },
}

export const removeSchedule: ShellCommand = {
  name: 'schedules remove',
  help: REMOVE_HELP,
  options: {},
  takes: ['<name>'],
  run: async (line) => {
    const [name = ''] = line.words
    const was = await change<boolean>(line, 'unschedule', { name })
    if (!was) throw new CommandError(EXIT.notDone, `There is no schedule '${printable(name)}'.`)
    tell(line, { name, removed: true }, () => `${printable(name)} is removed.`)
    return EXIT.done
  },
}
