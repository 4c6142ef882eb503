/** `millrace metrics`: the figures of an executor, as Prometheus reads them. */
import { look, type ShellCommand, TEXT_HELP } from '../shell/command.js'
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
    process.stdout.write(await look<string>(line, 'metrics'))
    return EXIT.done
  },
}
