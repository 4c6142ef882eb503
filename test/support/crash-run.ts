/**
 * Runs the crash test's child again and again on one directory and kills it, and keeps what it tells. The directory is never
 * cleaned in between; the journal is this process's, so no kill can take anything from it.
 *
 * A quarter of the kills hit a process that is opening the store. A fifth of the processes are stopped first, and half of those
 * go on for a moment before they are killed. The delays are the point: they choose where the process dies.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { systemClock } from '../../src/base/clock.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import type { ChildConfig } from '../fixtures/crash/child.js'
import type { Fault } from '../fixtures/crash/faults.js'
import type { Line } from '../fixtures/crash/journal-line.js'
import { JOURNAL_FD } from '../fixtures/crash/journal-line.js'
import type { Prng } from './prng.js'
import { createPrng } from './prng.js'
import { checkStore } from './store-check.js'

export interface CrashRunOptions {
  readonly directory: string
  readonly seed: number
  readonly kills: number
  /** Planted in the processes that are killed; the last one, which drains the store, has none. */
  readonly fault?: Fault
  /** Kill only processes that have begun to run jobs, not those that are opening the store. */
  readonly onlyAtWork?: boolean
  /** Look at the whole store after every so many kills. @defaultValue never */
  readonly checkEvery?: number
}

/** One process. */
export interface Incarnation {
  readonly number: number
  /** When it was killed; `never` when it was to end by itself. */
  readonly killed: 'opening' | 'running' | 'never'
  readonly stopped: boolean
  /** In the order in which they were written, over all threads. */
  readonly lines: readonly Line[]
  /** What is wrong with how the process lived or ended, its journal aside. */
  readonly problems: readonly string[]
  /** What was found in the store after its end. */
  readonly storeProblems: readonly string[]
}

export interface Journal {
  readonly seed: number
  readonly incarnations: readonly Incarnation[]
  /** Not every job that completed is kept. */
  readonly prunes?: boolean
}

const CHILD = fileURLToPath(new URL('../fixtures/crash/child.js', import.meta.url))
/**
 * A process hangs when it tells nothing for so long, and then while so many fresh processes come and go, one after another. The clock
 * alone cannot tell: with too much to do, the system has kept one from its first line for longer.
 */
const SILENCE_MS = 60_000
const SILENCE_PROCESSES = 5
/** Somewhat more than the quarter that is to hit it: some are too late. */
const OPENING_SHARE = 0.3
/** Until it is measured. */
const FIRST_OPEN_MS = 20
/** Unfinished jobs of earlier processes that a process is told of. */
const FOLLOWED = 40

export async function crashRun(options: CrashRunOptions): Promise<Journal> {
  const { seed, kills, checkEvery = Infinity, directory } = options
  const prng = createPrng(seed)
  const incarnations: Incarnation[] = []
  let openMs = FIRST_OPEN_MS
  for (let number = 1; number <= kills + 1; number++) {
    const death = number > kills ? undefined : planDeath(prng, openMs, options.onlyAtWork === true)
    const life = new Life(CHILD, configOf(options, number, incarnations), death)
    const problems = await life.run()
    if (life.openMs > 0) openMs += (life.openMs - openMs) / 4
    const looks = death === undefined || number % checkEvery === 0
    const storeProblems = looks ? await lookInto(directory, death !== undefined) : []
    const killed = death === undefined ? 'never' : life.openMs === 0 ? 'opening' : 'running'
    incarnations.push({ number, killed, stopped: death?.stop !== undefined, lines: life.lines, problems, storeProblems })
  }
  return { seed, incarnations }
}

/** How a process is to be killed: so long after the first line of a kind, and whether it is stopped first. */
interface Death {
  readonly cue: 'opening' | 'open' | 'start'
  readonly delayMs: number
  readonly stop: { readonly forMs: number; readonly goOnMs: number | undefined } | undefined
}

/** Most of those that have opened the store are let do some work: threads take longer to start than the executor. */
function planDeath(prng: Prng, openMs: number, onlyAtWork: boolean): Death {
  const stop =
    prng.next() < 0.2 ? { forMs: 5 + prng.below(35), goOnMs: prng.next() < 0.5 ? prng.below(20) : undefined } : undefined
  if (prng.next() < OPENING_SHARE && !onlyAtWork) return { cue: 'opening', delayMs: prng.next() * openMs * 1.1, stop }
  const cue = prng.next() < 0.25 && !onlyAtWork ? 'open' : 'start'
  return { cue, delayMs: prng.next() ** 2 * 400, stop }
}

function configOf(options: CrashRunOptions, incarnation: number, before: readonly Incarnation[]): ChildConfig {
  const { directory, seed, fault, kills } = options
  const base = { directory, seed, incarnation }
  if (incarnation > kills) return { ...base, mode: 'drain', follow: [] }
  return { ...base, mode: 'run', follow: openJobs(before).slice(-FOLLOWED), ...(fault !== undefined && { fault }) }
}

/** Acknowledged jobs that nobody has told the end of, in the order of their acknowledgement. */
export function openJobs(incarnations: readonly Incarnation[]): { id: string; key: number }[] {
  const open = new Map<string, number>()
  for (const { lines } of incarnations) {
    for (const line of lines) {
      if (line.is === 'ack') for (const [index, id] of line.ids.entries()) open.set(id, line.key + index)
      if (line.is === 'result' || line.is === 'outcome') open.delete(line.id)
      if (line.is === 'open') for (const id of line.quarantined) open.delete(id)
    }
  }
  return Array.from(open, ([id, key]) => ({ id, key }))
}

/** Checks the store itself, while no process has it open. */
export async function lookInto(directory: string, crashed: boolean, keepsAll = true): Promise<string[]> {
  const engine = await openLmdbEngine(directory, { durability: 'disk', clock: systemClock })
  try {
    return checkStore(engine, { crashed, keepsAll })
  } finally {
    await engine.close()
  }
}

/** One process, from its start until everything it wrote has been read. */
export class Life {
  readonly lines: Line[] = []
  /** How long it took to open the store; 0 if it did not get there. */
  openMs = 0
  readonly #program: string
  readonly #config: object
  readonly #death: Death | 'its own' | undefined
  readonly #problems: string[] = []
  #openingAt = 0
  #onLine: (line: Line) => void = () => undefined

  /** @param death - `its own`: the process kills itself, or comes to its end */
  constructor(program: string, config: object, death: Death | 'its own' | undefined) {
    this.#program = program
    this.#config = config
    this.#death = death
  }

  /** Resolves with what was wrong. */
  async run(): Promise<readonly string[]> {
    const death = this.#death
    const child = spawn(process.execPath, [this.#program, JSON.stringify(this.#config)], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', death === undefined ? 'ignore' : 'ipc'],
    })
    const ended = once(child, 'close') as Promise<[code: number | null, signal: string | null]>
    let noise = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
    this.#read(child.stdio[JOURNAL_FD] as Readable)
    let isHeard = false
    const limit = setTimeout(() => {
      isHeard = false
      void this.#hangs(child, () => isHeard).then((hangs) => {
        if (!hangs) return
        this.#problems.push(`it hung while ${this.#stage()}`)
        child.kill('SIGKILL')
      })
    }, SILENCE_MS)
    this.#onLine = (line) => {
      // A run that nobody ends ticks for ever.
      if (line.is !== 'tick') {
        isHeard = true
        limit.refresh()
      }
      if (death === undefined || death === 'its own' || line.is !== death.cue) return
      // Its death is on its way.
      this.#onLine = () => undefined
      clearTimeout(limit)
      void die(child, death)
    }
    const [code, signal] = await ended
    clearTimeout(limit)
    const mayEnd = death === undefined || death === 'its own'
    const isExpected = signal === 'SIGKILL' || (mayEnd && code === 0)
    if (!isExpected) this.#problems.push(`it ended by itself: exit code ${code}, signal ${signal}`)
    if (noise !== '') this.#problems.push(`it printed: ${noise.slice(0, 3000)}`)
    return this.#problems
  }

  /** Whether nothing is heard while fresh processes come and go. What is heard begins another silence. */
  async #hangs(child: ChildProcess, isHeard: () => boolean): Promise<boolean> {
    for (let processes = 0; processes < SILENCE_PROCESSES; processes++) {
      await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'close')
      if (isHeard() || child.exitCode !== null || child.signalCode !== null) return false
    }
    return true
  }

  #stage(): string {
    if (this.openMs === 0) return 'it opened the store'
    return this.#death === undefined ? 'it drained the store' : 'no run began'
  }

  #read(stream: Readable): void {
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#take(JSON.parse(line) as Line)
    })
    stream.on('end', () => {
      if (rest !== '') this.#problems.push(`its last line was cut off: ${rest.slice(0, 200)}`)
    })
  }

  #take(line: Line): void {
    this.lines.push(line)
    if (line.is === 'opening') this.#openingAt = performance.now()
    if (line.is === 'open') this.openMs = performance.now() - this.#openingAt
    this.#onLine(line)
  }
}

async function die(child: ChildProcess, { delayMs, stop }: Death): Promise<void> {
  await sleep(delayMs)
  if (stop !== undefined) {
    child.kill('SIGSTOP')
    await sleep(stop.forMs)
    if (stop.goOnMs !== undefined) {
      child.kill('SIGCONT')
      await sleep(stop.goOnMs)
    }
  }
  child.kill('SIGKILL')
}
