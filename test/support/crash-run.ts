/**
 * Runs the crash test's child again and again on one directory and kills it, and keeps what it tells. The directory is never
 * cleaned in between; the journal is this process's, so no kill can take anything from it.
 *
 * Which of them is killed when, and how else it ends, is planned in `crash-death.ts`.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import { systemClock } from '../../src/base/clock.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import type { ChildConfig } from '../fixtures/crash/child.js'
import { EXIT_CODE, UNCAUGHT } from '../fixtures/crash/ends.js'
import type { Line } from '../fixtures/crash/journal-line.js'
import { JOURNAL_FD } from '../fixtures/crash/journal-line.js'
import type { PlantedName } from '../fixtures/crash/process-faults.js'
import type { Death, End } from './crash-death.js'
import { DeathPlan, die } from './crash-death.js'
import { createPrng } from './prng.js'
import { hangs, hasEnded, SILENCE_MS } from './silence.js'
import { checkStore } from './store-check.js'

export interface CrashRunOptions {
  readonly directory: string
  readonly seed: number
  readonly kills: number
  /** Planted in the processes that are killed. */
  readonly fault?: PlantedName
  /** Planted in the last one too, which drains the store. @defaultValue false */
  readonly isLastFaulty?: boolean
  /** How they end. @defaultValue killed, all of them */
  readonly ends?: readonly End[]
  /** That work for each process that is killed. @defaultValue 2, and 1 now and then */
  readonly threads?: number
  /** Kill only processes that have begun to run jobs, not those that are opening the store. */
  readonly onlyAtWork?: boolean
  /**
   * Look at the whole store after every so many kills, and more rarely as it grows: what looks cost is proportional to what the kills
   * cost. @defaultValue never
   */
  readonly checkEvery?: number
  /** Told after each kill. */
  readonly onKill?: (kills: number) => void
}

/** One process. */
export interface Incarnation {
  readonly number: number
  /** When it was killed; `never` when it was to end by itself. */
  readonly killed: 'opening' | 'running' | 'never'
  readonly stopped: boolean
  /** How it was made to end. @defaultValue `'SIGKILL'`, unless it was to end by itself */
  readonly end?: End
  /** The copy of the store that it made, if there is one: the jobs in it. */
  readonly backup?: readonly { readonly id: string; readonly key: number }[]
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
/** How much larger the store may have grown until it is looked at again. */
const LOOK_GROWTH = 1.1
/** Every so many processes one works with a single thread, as the last one does: then the order of first runs can be told. */
const SINGLE_EVERY = 4
/** It was told to end, and none of its threads can do anything any more. */
const END_MS = 20_000
/** Node's, for an error that nobody catches. */
const UNCAUGHT_CODE = 1
/** Unfinished jobs of earlier processes that a process is told of. */
const FOLLOWED = 40

export async function crashRun(options: CrashRunOptions): Promise<Journal> {
  const { seed, kills, checkEvery = Infinity, directory } = options
  const plan = new DeathPlan(createPrng(seed), options)
  const incarnations: Incarnation[] = []
  const open = new OpenJobs()
  let looked = 0
  for (let number = 1; number <= kills + 1; number++) {
    const death = number > kills ? undefined : plan.next()
    const life = new Life(CHILD, configOf(options, number, open), death)
    const problems = await life.run()
    plan.lived(life)
    open.take(life.lines)
    const looks = death === undefined || (number % checkEvery === 0 && number >= looked * LOOK_GROWTH)
    if (looks) looked = number
    const storeProblems = looks ? await lookInto(directory, death !== undefined) : []
    const killed = death === undefined ? 'never' : life.openMs === 0 ? 'opening' : 'running'
    const stopped = death?.stop !== undefined
    const end = death === undefined ? {} : { end: death.end }
    incarnations.push({ number, killed, stopped, ...end, lines: life.lines, problems, storeProblems })
    options.onKill?.(number)
  }
  return { seed, incarnations }
}

function configOf(options: CrashRunOptions, incarnation: number, open: OpenJobs): ChildConfig {
  const { directory, seed, fault, kills } = options
  const planted = fault === undefined ? {} : { fault }
  const base = { directory, seed, incarnation }
  if (incarnation > kills)
    return { ...base, threads: 1, mode: 'drain', follow: [], ...(options.isLastFaulty === true && planted) }
  const threads = options.threads ?? (incarnation % SINGLE_EVERY === 0 ? 1 : 2)
  return { ...base, threads, mode: 'run', follow: open.latest(FOLLOWED), ...planted }
}

/** Acknowledged jobs that nobody has told the end of, in the order of their acknowledgement. */
export class OpenJobs {
  readonly #keys = new Map<string, number>()

  take(lines: readonly Line[]): void {
    for (const line of lines) {
      if (line.is === 'ack') for (const [index, id] of line.ids.entries()) this.#keys.set(id, line.key + index)
      if (line.is === 'retries') for (const [index, id] of line.ids.entries()) this.#keys.set(id, line.keys[index] ?? 0)
      if (line.is === 'result' || line.is === 'outcome') this.#keys.delete(line.id)
      if (line.is === 'open') for (const id of line.quarantined) this.#keys.delete(id)
    }
  }

  latest(count: number): { id: string; key: number }[] {
    return Array.from(this.#keys, ([id, key]) => ({ id, key })).slice(-count)
  }
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
  /** How long from reading what a dead process held until what was made of it was durable; 0 if it did not get there. */
  recoveryMs = 0
  #openingAt = 0
  #recoveringAt = 0
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
    let overdue: NodeJS.Timeout | undefined
    const limit = setTimeout(() => {
      isHeard = false
      void hangs(() => isHeard || hasEnded(child)).then((isSilent) => {
        if (!isSilent) return
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
      void die(child, death).then(() => {
        if (!hasEnded(child)) overdue = setTimeout(() => void this.#lingers(child), END_MS)
      })
    }
    const [code, signal] = await ended
    clearTimeout(limit)
    clearTimeout(overdue)
    if (!this.#isExpected(code, signal)) this.#problems.push(`it ended by itself: exit code ${code}, signal ${signal}`)
    const isUncaught = typeof death === 'object' && death.end === 'throw' && noise.includes(UNCAUGHT)
    if (noise !== '' && !isUncaught) this.#problems.push(`it printed: ${noise.slice(0, 3000)}`)
    return this.#problems
  }

  /** It was told to end, and does not. */
  async #lingers(child: ChildProcess): Promise<void> {
    if (!(await hangs(() => hasEnded(child)))) return
    this.#problems.push('it hung at its end')
    child.kill('SIGKILL')
  }

  #isExpected(code: number | null, signal: string | null): boolean {
    const death = this.#death
    if (death === undefined || death === 'its own') return signal === 'SIGKILL' || code === 0
    if (death.end === 'exit') return code === EXIT_CODE
    return death.end === 'throw' ? code === UNCAUGHT_CODE : signal === death.end
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
    if (line.is === 'recovering') this.#recoveringAt = performance.now()
    if (line.is === 'recovered') this.recoveryMs = performance.now() - this.#recoveringAt
    this.#onLine(line)
  }
}
