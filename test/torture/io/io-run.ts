/**
 * Runs scenarios of a failing disk in a child process, and judges each by what was recorded: nothing told before its time, nothing
 * told and missing, nothing refused and there, every call answered, by a typed error where it is one, and the process alive.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { Line } from '../../fixtures/crash/journal-line.js'
import type { IoLine, ProgramConfig, Scenario } from '../../fixtures/io/program.js'
import { judge } from '../../support/crash-judge.js'
import type { Incarnation } from '../../support/crash-run.js'
import type { Note, RecordedEvent } from '../shim/recording.js'
import { readRecording } from '../shim/recording.js'
import { shimEnvironment } from '../shim/shim.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/io/program.js', import.meta.url))
/** No measure of speed: a scenario that takes so long hangs. */
const SILENCE_MS = 60_000
const PROBLEMS_MAX = 4
/** Lines shown of a process that ended before its time. */
const LATEST = 6
/** The meta pages, which LMDB writes first of all. */
const NEW_FILE_BYTES = 8192
/** Half of a slow sync: an event loop that waits for syncs is later, and one that does not is late by a small part of it. */
const LATE_MS = 250

export interface IoRunOptions {
  /** For the recording; the stores of the scenarios have directories of their own. */
  readonly root: string
  readonly scenarios: readonly Scenario[]
  readonly fault?: ProgramConfig['fault']
  /** How long a scenario may take until it is said to hang. @defaultValue 60 s */
  readonly silenceMs?: number
}

/** What became of a scenario. */
export interface Played {
  readonly scenario: Scenario
  /** Writes and syncs while the order was in force. */
  readonly steps: number
  /** The fault was reached. */
  readonly faulted: boolean
  readonly failure: { readonly code: string; readonly message: string } | undefined
  readonly unopened: { readonly code: string; readonly message: string } | undefined
  readonly loop: { readonly lateMs: number } | undefined
  readonly syncs: number
  readonly acknowledged: number
  readonly refused: number
  /** The process died in a way that is known of lmdb-js. */
  readonly died: boolean
  readonly violations: readonly string[]
}

type IoEvent = RecordedEvent & { note?: Note<IoLine> }

/** What was recorded of a scenario. */
interface Course {
  readonly events: IoEvent[]
  /** What is wrong with how the process went. */
  readonly problems: string[]
  /** The signal by which the process died. */
  signal: string | null
}

export async function ioRun(options: IoRunOptions): Promise<Played[]> {
  const played: Played[] = []
  while (played.length < options.scenarios.length) {
    const rest = options.scenarios.slice(played.length)
    const courses = await runProgram({ ...options, scenarios: rest })
    const last = courses.at(-1)
    if (last !== undefined && last.signal !== null) {
      // What it left is opened by another process.
      const [after] = await runProgram({ ...options, scenarios: [{ ...rest[courses.length - 1]!, reopenOnly: true }] })
      last.events.push(...(after?.events ?? []))
      last.problems.push(...(after?.problems ?? []))
    }
    for (const [index, course] of courses.entries()) played.push(judged(rest[index]!, course))
  }
  return played
}

/** As many scenarios as one process lived through, and the one in which it died. */
async function runProgram({ root, scenarios, fault, silenceMs = SILENCE_MS }: IoRunOptions): Promise<Course[]> {
  const log = join(root, 'recording')
  const config: ProgramConfig = { scenarios, ...(fault !== undefined && { fault }) }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(config)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ignore'],
    env: shimEnvironment({ log }),
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
  const courses: Course[] = []
  for (const event of readRecording(readFileSync(log)) as IoEvent[]) {
    if (event.note?.is === 'scenario') courses.push({ events: [], problems: [], signal: null })
    else courses.at(-1)?.events.push(event)
  }
  rmSync(log)
  if (courses.length === 0) courses.push({ events: [], problems: ['the process did not come to this scenario'], signal: null })
  const last = courses.at(-1)!
  last.problems.push(...problems)
  if (code !== 0 && signal === null) last.problems.push(`the process ended with exit code ${code}; ${latest(last.events)}`)
  last.signal = signal
  if (signal !== null && !isKnown(signal, noise, last.events))
    last.problems.push(`the process died by ${signal}: ${noise.slice(-500)}`)
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
 * was refused, of up to 120 bytes, into 100 bytes of memory (mdb.c, "Attempting to write page"), and what lies behind them decides.
 * And it does not survive a file whose very first write fails.
 */
function isKnown(signal: string, noise: string, events: readonly IoEvent[]): boolean {
  const isNative = signal === 'SIGABRT' || signal === 'SIGSEGV'
  const first = events.find((event) => event.kind === 'written')
  const failedAtFirst =
    first?.kind === 'written' && first.result < NEW_FILE_BYTES && !events.some(({ note }) => note?.is === 'open')
  return isNative && (noise.includes('Write error: ') || failedAtFirst)
}

function judged(scenario: Scenario, { events, problems, signal }: Course): Played {
  const notes = events.flatMap(({ note }) => (note === undefined ? [] : [note]))
  const lives = livesOf(notes)
  const before = lives[0] ?? []
  const storeProblems = notes.flatMap((note) => (note.is === 'store' ? [note.text] : []))
  const incarnations = lives.map((life, index): Incarnation => {
    const isLast = index === lives.length - 1
    // Of a list that was cut off by the end of its process nothing is to be counted: there is another one.
    const lines = linesOf(life).filter(({ is }) => isLast || is !== 'found')
    return {
      number: index + 1,
      killed: isLast ? 'never' : 'running',
      stopped: false,
      lines,
      problems: isLast ? problems : [],
      storeProblems: isLast ? storeProblems : [],
    }
  })
  const verdict = judge({ seed: scenario.seed, incarnations })
  const find = <Is extends Note<IoLine>['is']>(is: Is): Extract<Note<IoLine>, { is: Is }> | undefined =>
    before.find((note): note is Extract<Note<IoLine>, { is: Is }> => note.is === is)
  const failure = find('failure')
  const unopened = find('unopened')
  // The disk has stored what it refused, and refused to take it back: then the error has to say that this may be.
  const mayComeBack = isGhost(scenario) && failure !== undefined && failure.message.includes('it is found, whole, when')
  const violations = [
    ...verdict.problems
      .filter(({ check }) => !(check === 'unexpected' && mayComeBack))
      .map(({ check, text }) => `[${check}] ${text}`),
    ...toldEarly(events).map((text) => `[too early] ${text}`),
    ...wrongCodes(failure?.code, unopened?.code).map((text) => `[error] ${text}`),
  ]
  const faulted = find('fault') !== undefined
  if (faulted && failure === undefined && unopened === undefined && signal === null)
    violations.push('[unheard] a write or sync was refused, and the executor did not say so')
  if (scenario.fill !== undefined && failure === undefined) violations.push('[unheard] the store was never full')
  if (scenario.order?.startsWith('slow') === true && !((find('loop')?.lateMs ?? Infinity) < LATE_MS))
    violations.push(`[loop] with slow syncs the event loop was late by ${find('loop')?.lateMs} ms`)
  return {
    scenario,
    steps: find('count')?.steps ?? 0,
    faulted,
    failure,
    unopened,
    loop: find('loop'),
    syncs: events.filter(({ kind }) => kind === 'synced').length,
    acknowledged: verdict.figures.acknowledged,
    refused: before.filter(({ is }) => is === 'refused').length,
    died: signal !== null && problems.length === 0,
    violations: violations.slice(0, PROBLEMS_MAX).map((text) => `${describe(scenario)}: ${text}`),
  }
}

/** What was told by the store in use, by the one opened again, and if the process died then, by the one opened once more. */
function livesOf(notes: readonly Note<IoLine>[]): Note<IoLine>[][] {
  const lives: Note<IoLine>[][] = [[]]
  for (const note of notes) {
    if (note.is === 'mended') lives.push([])
    else lives.at(-1)?.push(note)
  }
  return lives
}

function describe({ order, from = 'open', fill, seed }: Scenario): string {
  return `${order ?? (fill === undefined ? 'a sound disk' : 'a full one')}, from ${from} on, seed ${seed}`
}

function isGhost({ order = '' }: Scenario): boolean {
  return order.includes(' ghost ')
}

function linesOf(notes: readonly Note<IoLine>[]): Line[] {
  const others = new Set(['scenario', 'failure', 'unopened', 'store', 'loop', 'mended', 'count', 'fault'])
  return notes.filter((note): note is Line => !others.has(note.is))
}

function wrongCodes(failure: string | undefined, unopened: string | undefined): string[] {
  const wrong: string[] = []
  if (failure !== undefined && failure !== 'MILLRACE_STORE_FAILED') wrong.push(`the executor failed with ${failure}`)
  if (unopened !== undefined && unopened !== 'MILLRACE_STORE_UNUSABLE' && unopened !== 'MILLRACE_STORE_FAILED')
    wrong.push(`the store did not open, with ${unopened}`)
  return wrong
}

/** Acknowledgements that were told before a sync, begun after the call, and the synced write that makes its commit valid. */
function toldEarly(events: readonly IoEvent[]): string[] {
  const early: string[] = []
  const tried = new Map<number, number>()
  const begun = new Map<number, number>()
  const valid = new Set<number>()
  /** The latest begin of a sync that a valid commit has behind it. */
  let durableFrom = -1
  let latestSync = -1
  for (const [at, event] of events.entries()) {
    if (event.kind === 'sync') begun.set(event.call, at)
    if (event.kind === 'synced' && event.result === 0) latestSync = Math.max(latestSync, begun.get(event.call) ?? -1)
    if (event.kind === 'write' && event.synced) valid.add(event.call)
    if (event.kind === 'written' && valid.has(event.call) && event.result > 0) durableFrom = latestSync
    const { note } = event
    if (note?.is === 'try') tried.set(note.key, at)
    if (note?.is === 'ack' && !(durableFrom > (tried.get(note.key) ?? Infinity)))
      early.push(`job ${note.key} was acknowledged before it was on the disk`)
  }
  return early
}
