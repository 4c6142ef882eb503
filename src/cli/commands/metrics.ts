/** `millrace metrics`: the figures of an executor, as Prometheus reads them. */
import { type ShellCommand, TEXT_HELP, withOperator } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'

const HELP = `Prints the figures of an executor in Prometheus' text format, as executor.metrics() gives them.

Usage: millrace metrics <dir> [options]

For an exporter that reads files, such as the node exporter's textfile collector.

Options:
${TEXT_HELP}
Examples:
  npx millrace metrics ./data/jobs
  npx millrace metrics ./data/jobs | grep millrace_queue

${EXIT_CODES_HELP}`

export const metrics: ShellCommand = {
  name: 'metrics',
  help: HELP,
  hasNoJson: true,
  options: {},
  takes: [],
  run: async (line) => {
    process.stdout.write((await withOperator(line, 'look', async (operator) => await operator.call('metrics'))) as string)
    return EXIT.done
  },
}
