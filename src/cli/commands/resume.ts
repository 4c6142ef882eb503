/** `millrace resume`: ends a pause. */
import { printable } from '../demo/format-quantity.js'
import { change, COMMON_HELP, type ShellCommand, tell } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'

const HELP = `Ends the pause of a queue. Harmless when it is not paused.

Usage: millrace resume <dir> <queue> [options]

Options:
${COMMON_HELP}
Examples:
  npx millrace resume ./data/jobs images

${EXIT_CODES_HELP}`

export const resume: ShellCommand = {
  name: 'resume',
  help: HELP,
  options: {},
  takes: ['<queue>'],
  run: async (line) => {
    const [queue = ''] = line.words
    await change(line, 'resume', { queue })
    tell(line, { queue, isPaused: false }, () => `${printable(queue)} is open.`)
    return EXIT.done
  },
}
