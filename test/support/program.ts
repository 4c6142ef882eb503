/** Starts `fixtures/executor/program`, follows what it prints, and waits for its end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Line, Plan } from '../fixtures/executor/program.js'

const file = fileURLToPath(new URL('../fixtures/executor/program.js', import.meta.url))

export interface Program {
  readonly lines: Line[]
  readonly stderr: () => string
  /** Resolves with the lines when one fits, or when the process has ended. */
  until(fits: (lines: readonly Line[]) => boolean): Promise<readonly Line[]>
  kill(): void
  /** Resolves when the process is gone. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export function startProgram(t: TestContext, path: string, plan: Plan, env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [file, path, JSON.stringify(plan)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  t.after(() => void child.kill('SIGKILL'))
  const lines: Line[] = []
  let errors = ''
  let watchers: (() => void)[] = []
  const tell = (): void => {
    const told = watchers
    watchers = []
    for (const watcher of told) watcher()
  }
  let isOver = false
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => {
    lines.push(JSON.parse(line) as Line)
    tell()
  })
  const ended = Promise.all([once(child, 'exit'), once(reader, 'close')]).then(([[code, signal]]) => {
    isOver = true
    tell()
    return { code: code as number | null, signal: signal as NodeJS.Signals | null }
  })
  return {
    lines,
    stderr: () => errors,
    ended,
    kill: () => void child.kill('SIGKILL'),
    async until(fits) {
      while (!fits(lines) && !isOver) await new Promise<void>((resolve) => watchers.push(resolve))
      return lines
    },
  }
}

/** The lines of one kind. */
export function linesOf<Kind extends Line['kind']>(lines: readonly Line[], kind: Kind): Extract<Line, { kind: Kind }>[] {
  return lines.filter((line): line is Extract<Line, { kind: Kind }> => line.kind === kind)
}
