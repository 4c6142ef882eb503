/**
 * Runs the process that works (`host.ts`) and gathers what it tells. One that makes no step any more is ended, and has hung: what
 * never ends must not be waited for.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { hangs, hasEnded } from '../../support/silence.js'
import type { Extent, HostConfig } from './host.js'
import { LINES_FD, type Line } from './lines.js'
import type { Sample } from './samples.js'
import { SILENCE, type Silence } from './silence.js'

/**
 * The settling time: so much of the samples, and at least so many. After each of the first backups the allocator keeps some memory more:
 * with ten samples, resident memory "grew" in one of four runs without a fault.
 */
const SETTLING_SHARE = 0.2
const SETTLING_LEAST = 20
/** Samples between two lines of progress. */
const TOLD_EVERY = 20
/** Violations that are told at once. A long run is not to be waited for in vain. */
const TOLD_MOST = 20
const NOISE_CHARACTERS = 3000
const HOST = fileURLToPath(new URL('host.js', import.meta.url))

export interface SoakOptions extends Extent {
  readonly seed: number
  readonly progress: (line: string) => void
  readonly fault?: string
  readonly silence?: Silence | undefined
}

export interface Soaked {
  readonly samples: readonly Sample[]
  /** Those after the settling time. */
  readonly settled: readonly Sample[]
  readonly violations: readonly string[]
  /** Of the load; empty when it did not come to its end. */
  readonly figures: Readonly<Record<string, number>>
}

export async function soak({ seed, rounds, seconds, fault, progress, silence = SILENCE }: SoakOptions): Promise<Soaked> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-soak-'))
  const config: HostConfig = { seed, rounds, seconds, directory, fault }
  const samples: Sample[] = []
  const violations: string[] = []
  let figures: Readonly<Record<string, number>> = {}
  const take = (line: Line): void => {
    if (line.is === 'sample') {
      samples.push(line.sample)
      const { seconds: at, jobs } = line.sample
      if (samples.length % TOLD_EVERY === 0) progress(`${Math.round(at)} s, ${jobs} jobs, ${violations.length} violations`)
    } else if (line.is === 'violation') {
      if (violations.push(line.text) <= TOLD_MOST) progress(`VIOLATION ${line.text}`)
    } else if (line.is === 'done') figures = line.figures
  }
  try {
    violations.push(...(await watch([HOST, JSON.stringify(config)], silence, take)))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  const settling = Math.max(SETTLING_LEAST, Math.floor(samples.length * SETTLING_SHARE))
  return { samples, settled: samples.slice(settling), violations, figures }
}

/**
 * Runs a program until it ends, or hangs and is ended.
 *
 * @param args - of Node
 * @returns what is wrong with how it lived and ended
 */
export async function watch(args: readonly string[], silence: Silence, take: (line: Line) => void): Promise<string[]> {
  const problems: string[] = []
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'close') as Promise<[code: number | null, signal: string | null]>
  let noise = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  let stage = 'its start'
  let steps = 0
  let hung = false
  const limit = setTimeout(() => {
    const before = steps
    void hangs(() => steps > before || hasEnded(child), silence.processes).then((isSilent) => {
      if (!isSilent) return
      hung = true
      problems.push(
        `it hung in ${stage}: no step for ${silence.ms / 1000} s, nor while ${silence.processes} processes came and went`,
      )
      child.kill('SIGKILL')
    })
  }, silence.ms)
  eachLine(child.stdio[LINES_FD] as Readable, (line) => {
    steps++
    limit.refresh()
    if (line.is === 'at') ({ stage } = line)
    take(line)
  })
  const [code, signal] = await ended
  clearTimeout(limit)
  if (!hung && code !== 0) problems.push(`it ended by itself in ${stage}: exit code ${code}, signal ${signal}`)
  if (noise !== '') problems.push(`it printed: ${noise.slice(0, NOISE_CHARACTERS)}`)
  return problems
}

function eachLine(stream: Readable, take: (line: Line) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(JSON.parse(line) as Line)
  })
}
