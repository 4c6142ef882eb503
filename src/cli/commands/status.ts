/** `millrace status`: how an executor and its store stand, once or again and again. */
import { systemClock } from '../../base/clock.js'
import type { Status } from '../../control-socket/status.js'
import { COMMON_HELP, type CommandLine, look, printLines, type ShellCommand, tell, terminalPaint } from '../shell/command.js'
import { CommandError, EXIT, EXIT_CODES_HELP, type ExitCode } from '../shell/exit-code.js'
import { Screen } from '../shell/screen.js'
import { statusLines } from '../shell/status-text.js'
import { untilStopped, watch } from '../shell/watch.js'

const HELP = `Tells how an executor and its store stand.

Usage: millrace status <dir> [options]

Asks the executor that has the store open. When nobody has, the store is looked at as it is;
nothing in it is run or changed.

Options:
  --watch          Go on telling, until Ctrl-C or q; with --json one line each time. An executor that
                   ends or hangs is said so, and waited for
  --interval <d>   How often, with --watch (default: 2s)
${COMMON_HELP}
Examples:
  npx millrace status ./data/jobs
  npx millrace status ./data/jobs --watch --interval 10s
  npx millrace status ./data/jobs --json | jq .counts.available

${EXIT_CODES_HELP}`

const DEFAULT_INTERVAL_MS = 2000

export const status: ShellCommand = {
  name: 'status',
  help: HELP,
  options: { watch: { type: 'boolean' }, interval: { type: 'string' } },
  takes: [],
  run: async (line) => {
    if (line.has('watch')) return await watchStatus(line, line.duration('interval') ?? DEFAULT_INTERVAL_MS)
    tell(line, await look<Status>(line, 'status'), statusLines)
    return EXIT.done
  },
}

/** An executor that ends or hangs is told, and waited for: whoever watches wants to see it come back. */
async function watchStatus(line: CommandLine, intervalMs: number): Promise<ExitCode> {
  const screen = process.stdout.isTTY && !line.isJson ? new Screen(process.stdout) : undefined
  const paint = terminalPaint()
  const told = async (): Promise<readonly string[]> => {
    try {
      const now = await look<Status>(line, 'status')
      return line.isJson ? [JSON.stringify(now)] : statusLines(now, paint, screen?.width ?? Infinity)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return [line.isJson ? JSON.stringify({ error: error.message, exitCode: error.exitCode }) : paint('red', error.message)]
    }
  }
  const draw = async (): Promise<void> => {
    const lines = await told()
    if (screen !== undefined) screen.draw([...lines.slice(0, screen.height - 1), paint('dim', 'q quits')])
    else printLines(line.isJson ? lines : [...lines, ''])
  }
  try {
    await watch({ clock: systemClock, intervalMs, stopped: untilStopped(screen), first: 'look', look: draw })
  } finally {
    screen?.end()
  }
  return EXIT.done
}
