/** `millrace supervise`: runs a program, and runs it again when it dies. Its stdio, arguments and exit code are the program's own. */
import { spawn } from 'node:child_process'
import { systemClock } from '../../base/clock.js'
import { RestartPolicy, type RestartPolicyOptions } from '../supervise/restart-policy.js'
import { type ProgramEnd, type RunningProgram, Supervisor } from '../supervise/supervisor.js'

export interface SuperviseOptions extends RestartPolicyOptions {
  /** The program and its arguments. */
  readonly program: readonly [string, ...string[]]
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Resolves with the exit code. */
export async function supervise({ program, ...policy }: SuperviseOptions): Promise<number> {
  const [file, ...args] = program
  const supervisor = new Supervisor({
    clock: systemClock,
    policy: new RestartPolicy(policy),
    start: () => start(file, args),
    say: (line) => process.stderr.write(`millrace supervise: ${file} ${line}\n`),
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
  const child = spawn(file, args, { stdio: 'inherit' })
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
