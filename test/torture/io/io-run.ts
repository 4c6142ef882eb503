/**
 * Runs scenarios of a failing disk in child processes, each process as many as it lives through, and keeps what was recorded of each
 * apart, what it said on standard error included. `judge.ts` judges them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ProgramConfig } from '../../fixtures/io/program.js'
import type { Scenario } from '../../fixtures/io/scenario.js'
import { NOISE_MARK } from '../../fixtures/io/scenario.js'
import { readRecording } from '../shim/recording.js'
import { shimEnvironment } from '../shim/shim.js'
import type { Played } from './judge.js'
import { judged } from './judge.js'
import type { Starts } from './starts.js'
import { placeStart } from './starts.js'
import type { Course, IoEvent } from './told.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/io/program.js', import.meta.url))
/** No measure of speed: a scenario that takes so long hangs. */
const SILENCE_MS = 60_000
/** Lines shown of a process that ended before its time. */
const LATEST = 6
/** The meta pages, which LMDB writes first of all into a file that it makes. */
const NEW_FILE_BYTES = 8192

export interface IoRunOptions {
  /** For the recording; the stores of the scenarios have directories of their own. */
  readonly root: string
  readonly scenarios: readonly Scenario[]
  /** What the stores are at first; needed by scenarios that do not begin with a new one. */
  readonly starts?: Starts
  readonly fault?: ProgramConfig['fault']
  /** lmdb-js may harm the process by a message that is too long for its memory, as it does without the shim. @defaultValue false */
  readonly harms?: boolean
  /** How long a scenario may take until it is said to hang. @defaultValue 60 s */
  readonly silenceMs?: number
}

export async function ioRun(options: IoRunOptions): Promise<Played[]> {
  const { scenarios, starts } = options
  for (const scenario of scenarios) placeStart(scenario, starts)
  const played: Played[] = []
  while (played.length < scenarios.length) {
    const rest = scenarios.slice(played.length)
    const courses = await runProgram({ ...options, scenarios: rest })
    const last = courses.at(-1)
    if (last !== undefined && last.signal !== null) {
      // What it left is opened by another process.
      const [after] = await runProgram({ ...options, scenarios: [{ ...rest[courses.length - 1]!, reopenOnly: true }] })
      last.events.push(...(after?.events ?? []))
      last.problems.push(...(after?.problems ?? []))
    }
    for (const [index, course] of courses.entries()) played.push(judged(rest[index]!, course, starts))
  }
  return played
}

/** As many scenarios as one process lived through, and the one in which it died. */
export async function runProgram({
  root,
  scenarios,
  fault,
  harms = false,
  silenceMs = SILENCE_MS,
}: IoRunOptions): Promise<Course[]> {
  const log = join(root, 'recording')
  const config: ProgramConfig = { scenarios, ...(fault !== undefined && { fault }) }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(config)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ignore'],
    env: shimEnvironment({ log, mends: !harms }),
  })
  const problems: string[] = []
  let noise = ''
  let silence = setTimeout(() => undefined, 0)
  const heard = (): void => {
    clearTimeout(silence)
    silence = setTimeout(() => {
      problems.push('it hung')
      child.kill('SIGKILL')
    }, silenceMs)
  }
  heard()
  child.stdout?.on('data', heard)
  child.stderr?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(silence)
  const courses = coursesOf(readRecording(readFileSync(log)) as IoEvent[], noise)
  rmSync(log)
  const last = courses.at(-1)!
  last.problems.push(...problems)
  if (code !== 0 && signal === null) last.problems.push(`the process ended with exit code ${code}; ${latest(last.events)}`)
  last.signal = signal
  if (signal !== null && !isKnown(signal, last.events, harms))
    last.problems.push(`the process died by ${signal}: ${last.noise.slice(-500)}; ${latest(last.events)}`)
  return courses
}

function coursesOf(events: readonly IoEvent[], noise: string): Course[] {
  const courses: Course[] = []
  for (const event of events) {
    if (event.note?.is === 'scenario') courses.push({ events: [], problems: [], noise: '', signal: null })
    else courses.at(-1)?.events.push(event)
  }
  if (courses.length === 0)
    courses.push({ events: [], problems: ['the process did not come to this scenario'], noise, signal: null })
  for (const part of noise.split(NOISE_MARK).slice(1)) {
    const course = courses[Number.parseInt(part, 10)]
    if (course !== undefined) course.noise = part.slice(part.indexOf('\n') + 1)
  }
  return courses
}

/** What a process told last, and how many writes and syncs of it were recorded afterwards. */
function latest(events: readonly IoEvent[]): string {
  const at = events.findLastIndex(({ note }) => note !== undefined)
  const told = events.flatMap(({ note }) => (note === undefined ? [] : [JSON.stringify(note).slice(0, 200)])).slice(-LATEST)
  return `it told last ${told.join(' ')} and then wrote or synced ${events.length - 1 - at} times`
}

/**
 * Two ways in which lmdb-js 3.5.6 ends the process, which nothing in this project can prevent. It puts the message of a write that
 * was refused into 100 bytes of memory (mdb.c, "Attempting to write page"), and one that is longer ruins what lies behind them: the shim
 * tells of each, in this very scenario, and unless it was asked not to makes them harmless, so that they excuse nothing. And it does not
 * survive that the meta pages of a new file are refused: there is nothing after them.
 */
function isKnown(signal: string, events: readonly IoEvent[], harms: boolean): boolean {
  if (signal !== 'SIGABRT' && signal !== 'SIGSEGV') return false
  return (harms && events.some(({ note }) => note?.is === 'overrun')) || refusedMetaPages(events)
}

function refusedMetaPages(events: readonly IoEvent[]): boolean {
  const last = events.findLast(({ kind }) => kind === 'write')
  if (last?.kind !== 'write' || !last.draft || last.offset !== 0 || last.bytes.length !== NEW_FILE_BYTES) return false
  const end = events.at(-1)
  return end?.kind === 'written' && end.call === last.call && end.result < NEW_FILE_BYTES
}
