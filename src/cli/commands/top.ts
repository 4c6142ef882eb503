/** `millrace top`: a live picture of a running executor, on the whole terminal. */
import { systemClock } from '../../base/clock.js'
import type { Status } from '../../control-socket/status.js'
import { type CommandLine, type ShellCommand, terminalPaint, TEXT_HELP } from '../shell/command.js'
import { CommandError, EXIT, EXIT_CODES_HELP, type ExitCode } from '../shell/exit-code.js'
import { type Operator, reachRunning } from '../shell/operator.js'
import { Screen } from '../shell/screen.js'
import { RateWindow } from '../shell/top-rates.js'
import { topLines, type TopState } from '../shell/top-screen.js'
import { untilStopped, watch } from '../shell/watch.js'

const HELP = `Shows a running executor, live: its threads with their jobs and the time each has had of its
timeout, its queues, rates, and how long the oldest job has waited.

Usage: millrace top <dir> [options]

Keys: q quits. An executor that ends or hangs is said so, and waited for.

Options:
  --interval <d>   How often the picture changes (default: 1s)
  --once           One picture as text, after one interval; for pipes and logs
${TEXT_HELP}
Examples:
  npx millrace top ./data/jobs
  npx millrace top ./data/jobs --once | head -20

${EXIT_CODES_HELP}`

const DEFAULT_INTERVAL_MS = 1000
/** Of a picture that nobody's terminal has to fit. */
const ONCE_SIZE = { width: 120, height: 1000 }

export const top: ShellCommand = {
  name: 'top',
  help: HELP,
  hasNoJson: true,
  options: { interval: { type: 'string' }, once: { type: 'boolean' } },
  takes: [],
  run: async (line) => {
    const watched = new Watched(line)
    const intervalMs = line.duration('interval') ?? DEFAULT_INTERVAL_MS
    try {
      const first = await watched.look()
      if (first.problem !== undefined) throw new CommandError(first.exitCode ?? EXIT.notDone, first.problem)
      if (line.has('once')) return await showOnce(watched, intervalMs)
      if (!process.stdout.isTTY) throw new CommandError(EXIT.notDone, 'top needs a terminal. For one picture as text: --once')
      return await showLive(watched, first, intervalMs)
    } finally {
      await watched.close()
    }
  },
}

async function showOnce(watched: Watched, intervalMs: number): Promise<ExitCode> {
  await new Promise<void>((resolve) => systemClock.after(intervalMs, resolve).setRef(true))
  const state = await watched.look()
  process.stdout.write(
    `${topLines(state, ONCE_SIZE, (_style, text) => text)
      .slice(0, -2)
      .join('\n')}\n`,
  )
  return state.exitCode ?? EXIT.done
}

async function showLive(watched: Watched, first: Look, intervalMs: number): Promise<ExitCode> {
  const screen = new Screen(process.stdout)
  const paint = terminalPaint()
  let state = first
  const draw = (): void => screen.draw(topLines(state, screen, paint))
  const look = async (): Promise<void> => {
    state = await watched.look()
    draw()
  }
  process.stdout.on('resize', draw)
  try {
    draw()
    await watch({ clock: systemClock, intervalMs, stopped: untilStopped(screen), first: 'pause', look })
  } finally {
    process.stdout.off('resize', draw)
    screen.end()
  }
  return EXIT.done
}

interface Look extends TopState {
  /** What a problem ends a command with. */
  readonly exitCode: ExitCode | undefined
}

/** The executor that is looked at, found again when it comes back. */
class Watched {
  readonly #line: CommandLine
  readonly #window = new RateWindow()
  #operator: Operator | undefined
  #status: Status | undefined

  constructor(line: CommandLine) {
    this.#line = line
  }

  async look(): Promise<Look> {
    try {
      this.#operator ??= await reachRunning(this.#line.directory, this.#line.timeoutMs)
      if (this.#operator === undefined)
        return this.#problem('No executor has the store open; `millrace status` tells how it stands.')
      this.#status = (await this.#operator.call('status')) as Status
      this.#window.add(this.#status)
      return { status: this.#status, rates: this.#window.rates(), problem: undefined, exitCode: undefined }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      await this.close()
      return this.#problem(error.message, error.exitCode)
    }
  }

  async close(): Promise<void> {
    await this.#operator?.close()
    this.#operator = undefined
  }

  #problem(problem: string, exitCode: ExitCode = EXIT.notDone): Look {
    return { status: this.#status, rates: this.#window.rates(), problem, exitCode }
  }
}
