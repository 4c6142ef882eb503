/** `millrace pause`: no job of a queue is begun any more until `millrace resume`. */
import { printable } from '../demo/format-quantity.js'
import { change, COMMON_HELP, type ShellCommand, tell } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'

const HELP = `Pauses a queue: none of its jobs is begun any more until millrace resume.

Usage: millrace pause <dir> <queue> [options]

It is stored: the queue stays paused after a restart. Jobs can be enqueued as before. What runs
comes to its end. Done when that is durable; with --interrupt, when nothing of it runs any more.

Options:
  --interrupt      Stop what runs; it waits again, and no retry is charged
${COMMON_HELP}
Examples:
  npx millrace pause ./data/jobs images
  npx millrace pause ./data/jobs images --interrupt

${EXIT_CODES_HELP}`

export const pause: ShellCommand = {
  name: 'pause',
  help: HELP,
  options: { interrupt: { type: 'boolean' } },
  takes: ['<queue>'],
  run: async (line) => {
    const [queue = ''] = line.words
    const interrupt = line.has('interrupt')
    await change(line, 'pause', { queue, interrupt })
    tell(line, { queue, isPaused: true }, () => `${printable(queue)} is paused.`)
    return EXIT.done
  },
}
