/** `millrace supervise`: runs a program, and runs it again when it dies. Its stdio, arguments and exit code are the program's own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { systemClock } from '../../base/clock.js'
import { printable, shorten } from '../demo/format-quantity.js'
import { RestartPolicy, type RestartPolicyOptions } from '../supervise/restart-policy.js'
import { type ProgramEnd, type RunningProgram, Supervisor } from '../supervise/supervisor.js'

export interface SuperviseOptions extends RestartPolicyOptions {
  /** The program and its arguments. */
  readonly program: readonly [string, ...string[]]
}

/** Of the program's name, and of what is said of it. */
const NAME_CHARACTERS = 200
const LINE_CHARACTERS = 500
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Resolves with the exit code. */
export async function supervise({ program, ...policy }: SuperviseOptions): Promise<number> {
  const [file, ...args] = program
  const name = shorten(printable(file), NAME_CHARACTERS)
  const supervisor = new Supervisor({
    clock: systemClock,
    policy: new RestartPolicy(policy),
    start: () => start(file, args),
    say: (line) => process.stderr.write(`millrace supervise: ${name} ${shorten(printable(line), LINE_CHARACTERS)}\n`),
  })
  const listener = (signal: NodeJS.Signals): void => supervisor.stop(signal)
  for (const signal of SIGNALS) process.on(signal, listener)
  try {
    return await supervisor.run()
  } finally {
    for (const signal of SIGNALS) process.off(signal, listener)
  }
}

function start(file: string, args: readonly string[]): RunningProgram {
  let child: ChildProcess
  try {
    child = spawn(file, args, { stdio: 'inherit' })
  } catch (error) {
    // A path that the system does not take, such as one that is too long, is thrown and not told by the child.
    return { ended: Promise.resolve({ error: error as NodeJS.ErrnoException }), kill: () => undefined }
  }
  const ended = new Promise<ProgramEnd>((resolve) => {
    child.once('error', (error) => resolve({ error }))
    child.once('exit', (code, signal) => resolve(signal === null ? { code: code ?? 1 } : { signal }))
  })
  return {
    ended,
    kill: (signal) => {
      // A terminal sends Ctrl-C to the program as well: a second one may mean "at once" to it.
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    },
  }
}
