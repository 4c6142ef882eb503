/** Runs the program of the power rung under the shim, and reads what it did to its disk and what it told. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { ProgramConfig } from '../../fixtures/power/program.js'
import type { RecordedEvent } from '../shim/recording.js'
import { readRecording } from '../shim/recording.js'
import type { ShimOptions } from '../shim/shim.js'
import { shimEnvironment } from '../shim/shim.js'
import { Disk } from './disk.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/power/program.js', import.meta.url))
/** No measure of speed: a program that is so late hangs. */
const LIMIT_MS = 60_000

export interface RecordedLife {
  readonly events: readonly RecordedEvent[]
  /** What is wrong with the recording, or with how the program ended. */
  readonly problems: readonly string[]
  /** LMDB's table of readers, as the program left it. */
  readonly readers: Buffer | undefined
}

export interface RecordOptions {
  /** Exists already, and is no part of the store. */
  readonly root: string
  readonly config: ProgramConfig
  /** The data file as it is before. */
  readonly before: Buffer | undefined
  readonly lie?: ShimOptions['lie']
}

export async function recordLife({ root, config, before, lie }: RecordOptions): Promise<RecordedLife> {
  const log = join(root, 'recording')
  const file = join(config.directory, DATA_FILE)
  const problems = await runProgram(config, shimEnvironment({ log, ...(lie !== undefined && { lie }) }))
  const events = readRecording(readFileSync(log))
  rmSync(log)
  const unseen = new Set(events.map((event) => (event.kind === 'unseen' ? event.what : undefined)))
  for (const what of unseen) if (what !== undefined) problems.push(`the recording misses something: ${what}`)
  const disk = new Disk(file, root, before)
  for (const event of events) disk.apply(event)
  // Whatever the program wrote in another way would show here.
  if (!disk.content.equals(read(file) ?? Buffer.alloc(0))) problems.push('the recorded writes do not give the file that is there')
  return { events, problems, readers: read(`${file}-lock`) }
}

async function runProgram(config: ProgramConfig, env: NodeJS.ProcessEnv): Promise<string[]> {
  const problems: string[] = []
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'pipe', 'ignore'], env })
  let noise = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  const limit = setTimeout(() => {
    problems.push('the recorded program hung')
    child.kill('SIGKILL')
  }, LIMIT_MS)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(limit)
  if (code !== 0) problems.push(`the recorded program ended with exit code ${code}, signal ${signal}`)
  if (noise !== '') problems.push(`the recorded program printed: ${noise.slice(0, 1000)}`)
  return problems
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
