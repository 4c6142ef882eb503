/**
 * Keeps one program running. It starts it, waits for its end, and by the policy starts it again; told to stop, it passes the signal on
 * and starts nothing any more. Time, processes and the place for messages are handed in.
 */
import { constants } from 'node:os'
import type { Clock, Timer } from '../../base/clock.js'
import type { RestartPolicy } from './restart-policy.js'

/** How a program ended: by an exit code, by a signal, or it could not be started at all. */
export type ProgramEnd =
  | { readonly code: number }
  | { readonly signal: NodeJS.Signals }
  | { readonly error: NodeJS.ErrnoException }

export interface RunningProgram {
  readonly ended: Promise<ProgramEnd>
  kill(signal: NodeJS.Signals): void
}

export interface SupervisorOptions {
  readonly clock: Clock
  readonly policy: RestartPolicy
  readonly start: () => RunningProgram
  readonly say: (line: string) => void
}

const EXIT_NOT_FOUND = 127
const EXIT_NOT_EXECUTABLE = 126

export class Supervisor {
  readonly #options: SupervisorOptions
  #program: RunningProgram | undefined
  #stopping: NodeJS.Signals | undefined
  #endPause: (() => void) | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Passes the signal on. Nothing is started again. */
  stop(signal: NodeJS.Signals): void {
    this.#stopping = signal
    this.#program?.kill(signal)
    this.#endPause?.()
  }

  /** Resolves with the exit code to end with. */
  async run(): Promise<number> {
    const { clock, policy, start, say } = this.#options
    let hasRun = false
    for (;;) {
      const startedMs = clock.monotonicMs()
      this.#program = start()
      const end = await this.#program.ended
      this.#program = undefined
      const code = exitCodeOf(end)
      if (this.#stopping !== undefined) return code
      if ('error' in end && !hasRun) {
        say(`cannot be started: ${end.error.message}`)
        return code
      }
      if (!('error' in end)) hasRun = true
      if (code === 0) return 0
      const what = nameOf(end)
      const delayMs = policy.next(clock.monotonicMs() - startedMs)
      if (delayMs === undefined) {
        say(`${what}; given up after too many restarts in a row`)
        return code
      }
      say(`${what}; restarts in ${delayMs / 1000} s`)
      await this.#pause(delayMs)
      const stopped = this.#stoppedBy
      if (stopped !== undefined) return 128 + constants.signals[stopped]
    }
  }

  /** Read through a getter: it changes while something is awaited. */
  get #stoppedBy(): NodeJS.Signals | undefined {
    return this.#stopping
  }

  async #pause(delayMs: number): Promise<void> {
    let timer: Timer | undefined
    await new Promise<void>((resolve) => {
      this.#endPause = resolve
      timer = this.#options.clock.after(delayMs, resolve)
      timer.setRef(true)
    })
    timer?.cancel()
    this.#endPause = undefined
  }
}

/** As a shell tells it. */
function exitCodeOf(end: ProgramEnd): number {
  if ('code' in end) return end.code
  if ('signal' in end) return 128 + constants.signals[end.signal]
  return end.error.code === 'ENOENT' ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE
}

function nameOf(end: ProgramEnd): string {
  if ('code' in end) return `ended with exit code ${end.code}`
  if ('signal' in end) return `ended by ${end.signal}`
  return `cannot be started: ${end.error.message}`
}
