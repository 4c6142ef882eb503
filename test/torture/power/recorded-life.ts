/** Runs the program of the power rung under the shim, and reads what it did to its disk and what it told. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { ProgramConfig } from '../../fixtures/power/program.js'
import { Silence } from '../../support/silence.js'
import type { RecordedEvent } from '../shim/recording.js'
import { readRecording } from '../shim/recording.js'
import type { ShimOptions } from '../shim/shim.js'
import { shimEnvironment } from '../shim/shim.js'
import { Disk } from './disk.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/power/program.js', import.meta.url))
/** Looks after a store; told what to do by a `MaintenanceConfig`. */
export const MAINTENANCE = fileURLToPath(new URL('../../fixtures/power/maintenance.js', import.meta.url))
/** How often is looked whether the recording has grown, which shows that the program lives. */
const LOOK_MS = 1000

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
  const file = join(config.directory, DATA_FILE)
  const { events, problems } = await recordProgram(PROGRAM, config, join(root, 'recording'), lie)
  problems.push(...missedBy(events))
  const disk = new Disk(file, root, before)
  for (const event of events) disk.apply(event)
  // Whatever the program wrote in another way would show here.
  if (!disk.content.equals(read(file) ?? Buffer.alloc(0))) problems.push('the recorded writes do not give the file that is there')
  return { events, problems, readers: read(`${file}-lock`) }
}

/** @param log - where the recording goes meanwhile */
export async function recordProgram(
  program: string,
  config: object,
  log: string,
  lie?: ShimOptions['lie'],
): Promise<{ readonly events: RecordedEvent[]; readonly problems: string[] }> {
  const problems = await runProgram(program, config, shimEnvironment({ log, ...(lie !== undefined && { lie }) }), log)
  const events = readRecording(readFileSync(log))
  rmSync(log)
  return { events, problems }
}

/** What the shim could not follow. */
export function missedBy(events: readonly RecordedEvent[]): string[] {
  const unseen = new Set(events.flatMap((event) => (event.kind === 'unseen' ? [event.what] : [])))
  return [...unseen].map((what) => `the recording misses something: ${what}`)
}

async function runProgram(program: string, config: object, env: NodeJS.ProcessEnv, log: string): Promise<string[]> {
  const problems: string[] = []
  const child = spawn(process.execPath, [program, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'pipe', 'ignore'], env })
  let noise = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  const silence = new Silence(child, () => problems.push('the recorded program hung'))
  let size = 0
  const looks = setInterval(() => {
    const { size: now = 0 } = statSync(log, { throwIfNoEntry: false }) ?? {}
    if (now > size) silence.heard()
    size = now
  }, LOOK_MS)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearInterval(looks)
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
