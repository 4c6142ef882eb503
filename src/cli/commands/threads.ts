/** `millrace threads`: what each thread is doing, and how many there are to be. */
import { MAX_THREADS } from '../../base/limits.js'
import type { Status } from '../../control-socket/status.js'
import { COMMON_HELP, type CommandLine, look, type ShellCommand, tell } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP, type ExitCode } from '../shell/exit-code.js'
import { threadLines } from '../shell/status-text.js'
import { plural } from '../demo/format-quantity.js'

const HELP = `Tells what each thread of the executor is doing, or changes how many there are.

Usage: millrace threads <dir> [options]

New threads start at once; surplus ones finish the job they are at. The next process begins with
its own number again.

Options:
  --set <n>        Run jobs on so many threads from now on, from 1 to ${MAX_THREADS}
${COMMON_HELP}
Examples:
  npx millrace threads ./data/jobs
  npx millrace threads ./data/jobs --set 8
  npx millrace threads ./data/jobs --json | jq '.[] | select(.state == "running").job'

${EXIT_CODES_HELP}`

export const threads: ShellCommand = {
  name: 'threads',
  help: HELP,
  options: { set: { type: 'string' } },
  takes: [],
  run: async (line) => {
    const set = line.count('set', 1, MAX_THREADS)
    if (set !== undefined) return await setThreads(line, set)
    const { threads, running } = await look<Status>(line, 'status')
    tell(line, threads, (rows, paint, width) =>
      running === null ? 'Nobody has the store open: there are no threads.' : threadLines(rows, paint, width),
    )
    return EXIT.done
  },
}

async function setThreads(line: CommandLine, threads: number): Promise<ExitCode> {
  // Nothing of it is stored: without a running executor there is nothing that could be changed.
  await look(line, 'threads', { threads })
  tell(line, { threads }, () => `Jobs run on ${plural(threads, 'thread')} from now on.`)
  return EXIT.done
}
