/** A process with an executor, and `millrace` commands for it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ShellOrder } from '../fixtures/executor/shell-host.js'
import type { Ended } from './demo-program.js'
import { tempDirectory } from './temp-directory.js'

const SHELL_HOST = fileURLToPath(new URL('../fixtures/executor/shell-host.js', import.meta.url))
const FIXTURE = fileURLToPath(new URL('../fixtures/executor/operated.js', import.meta.url))

export interface Operated {
  readonly path: string
  readonly child: ChildProcess
  /** Of a job that is completed. */
  readonly doneId: string
  /** Of a job that is discarded. */
  readonly failedId: string
  /** `millrace <words> <path> <rest>`, one at a time. */
  readonly run: (words: string, ...rest: readonly string[]) => Promise<Ended>
  /** The same with `--json`, whose output is read. */
  readonly json: (words: string, ...rest: readonly string[]) => Promise<unknown>
  /** Resolves when the process is gone. */
  readonly end: (signal: NodeJS.Signals) => Promise<void>
}

export interface Shown extends Ended {
  /** Both streams, in the order in which they came. */
  readonly both: string
}

/** A process that runs `millrace` commands, one at a time, piped or on a terminal. */
export function startShell(t: TestContext): (order: ShellOrder) => Promise<Shown> {
  const shell = spawn(process.execPath, [SHELL_HOST], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => shell.kill('SIGKILL'))
  const answers = createInterface({ input: shell.stdout })[Symbol.asyncIterator]()
  return async (order) => {
    shell.stdin.write(`${JSON.stringify(order)}\n`)
    return JSON.parse(String((await answers.next()).value)) as Shown
  }
}

export async function startOperated(t: TestContext, options: object = {}, below = ''): Promise<Operated> {
  const path = join(await tempDirectory(t), below, 'jobs')
  const child = spawn(process.execPath, [FIXTURE, path, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const line = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  const [, doneId = '', failedId = ''] = String(line.value).split(' ')
  const shell = startShell(t)
  const run: Operated['run'] = async (words, ...rest) => await shell({ words: [...words.split(' '), path, ...rest] })
  return {
    path,
    child,
    doneId,
    failedId,
    run,
    json: async (...args) => {
      const { code, stdout, stderr } = await run(...args, '--json')
      if (code !== 0) throw new Error(`${code}: ${stderr}`)
      return JSON.parse(stdout) as unknown
    },
    end: async (signal) => {
      child.kill(signal)
      await exited
    },
  }
}
