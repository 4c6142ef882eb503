/** Programs run in a process of their own: a fresh heap, or a peer's own world. They tell their result by a message. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const CHILD_FLAG = '--child'

export interface ChildOptions {
  readonly execArgv?: readonly string[]
  /** A child that takes longer has failed. @defaultValue 300,000 */
  readonly timeoutMs?: number
  /** Arguments in front of the task. */
  readonly argv?: readonly string[]
}

/** Starts `program` with `task` as JSON, and resolves with the last message it sent before it ended. */
export async function runProgram<Result>(program: URL, task: unknown, options: ChildOptions = {}): Promise<Result> {
  const { execArgv = [], argv = [], timeoutMs = 300_000 } = options
  const child = spawn(process.execPath, [...execArgv, fileURLToPath(program), ...argv, JSON.stringify(task)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const kill = (): void => void child.kill('SIGKILL')
  process.on('exit', kill)
  const timer = setTimeout(kill, timeoutMs)
  let told = ''
  let result: unknown
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    told = (told + text).slice(-2000)
  })
  child.on('message', (message) => {
    result = message
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  clearTimeout(timer)
  process.off('exit', kill)
  if (result === undefined) throw new Error(`${fileURLToPath(program)} ended with ${code ?? 'a signal'}: ${told.trim()}`)
  return result as Result
}

/** Runs the calling program once more, as a child that finds `task` with `childTask`. */
export async function runSelf<Result>(program: string, task: unknown, options: ChildOptions = {}): Promise<Result> {
  return await runProgram<Result>(new URL(program), task, { ...options, argv: [CHILD_FLAG] })
}

/** What this process was started for by `runSelf`; undefined when a person started it. */
export function childTask<Task>(): Task | undefined {
  const at = process.argv.indexOf(CHILD_FLAG)
  return at < 0 ? undefined : (JSON.parse(process.argv[at + 1] ?? '{}') as Task)
}

/** Tells the parent, and resolves when the message is on its way. */
export async function tellParent(result: unknown): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    if (process.send === undefined) throw new Error('this process was not started by another one')
    process.send(result, (error: Error | null) => (error === null ? resolve() : reject(error)))
  })
}
