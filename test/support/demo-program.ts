/** `millrace` as a child process, on folders of the test's own. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { tempDirectory } from './temp-directory.js'

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

/** Of a file without content on the disk, that a thread is nevertheless busy with for longer than a test takes. */
export const LARGE_FILE = 16 * 2 ** 30

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Program {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when the output so far matches; rejects when the program ends without that. */
  line(pattern: RegExp): Promise<RegExpExecArray>
}

/** As whom to run, and where; by default as the one who runs the tests, and there. */
export interface Place {
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
}

export function program(args: readonly string[], env: NodeJS.ProcessEnv = {}, place: Place = {}): Program {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...place,
  })
  let stdout = ''
  let stderr = ''
  let isOver = false
  const watchers = new Set<() => void>()
  const look = (): void => {
    for (const watcher of watchers) watcher()
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    look()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      isOver = true
      resolve({ code, stdout, stderr })
      look()
    })
  })
  const line = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const watcher = (): void => {
        const found = pattern.exec(stdout)
        if (found === null && !isOver) return
        watchers.delete(watcher)
        if (found === null) reject(new Error(`no ${String(pattern)} in:\n${stdout}\n${stderr}`))
        else resolve(found)
      }
      watchers.add(watcher)
      watcher()
    })
  return { child, ended, line }
}

export interface DemoSetup {
  /** Holds the two others. */
  readonly directory: string
  /** To be measured. Empty. */
  readonly folder: string
  /** For the progress. Empty. */
  readonly store: string
  /** Starts a demo that is killed at the latest when the test ends. */
  readonly start: (args?: readonly string[], env?: NodeJS.ProcessEnv, place?: Place) => Program
  /** Runs one to its end. */
  readonly run: (args?: readonly string[], env?: NodeJS.ProcessEnv, place?: Place) => Promise<Ended>
}

export async function setupDemo(t: TestContext): Promise<DemoSetup> {
  const directory = await tempDirectory(t)
  const [folder, store] = [join(directory, 'folder'), join(directory, 'store')]
  await mkdir(folder)
  await mkdir(store)
  const start: DemoSetup['start'] = (args = [], env, place) => {
    const threads = args.includes('--threads') ? [] : ['--threads', '2']
    const started = program(['demo', folder, '--store', store, ...threads, ...args], env, place)
    t.after(() => started.child.kill('SIGKILL'))
    return started
  }
  return { directory, folder, store, start, run: async (...args) => await start(...args).ended }
}

/** What does not depend on how long it took: files, bytes, what was left out, the most compressible, the failures. */
export function resultOf(stdout: string): string[] {
  const lines = stdout.split('\n')
  const done = lines.findIndex((line) => line.startsWith('Done in '))
  return lines.slice(done + 1).filter((line) => done !== -1 && !/^ {2}(rate|speed-up) /.test(line))
}
