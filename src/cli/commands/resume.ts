/** `millrace resume`: ends a pause. */
import { printable } from '../demo/format-quantity.js'
import { COMMON_HELP, print, printJson, type ShellCommand, withOperator } from '../shell/command.js'
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
    await withOperator(line, 'change', async (operator) => await operator.call('resume', { queue }))
    if (line.isJson) printJson({ queue, isPaused: false })
    else print(`${printable(queue)} is open.`)
    return EXIT.done
  },
}
