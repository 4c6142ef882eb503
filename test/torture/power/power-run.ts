/**
 * One run of the power rung: a program is recorded, its power is cut at many moments, and what each cut leaves is opened. Then a
 * program goes on from one of these images, and its power is cut in turn.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { Line } from '../../fixtures/crash/journal-line.js'
import type { ScheduleLine } from '../../fixtures/power/deeds.js'
import type { ProgramConfig } from '../../fixtures/power/program.js'
import { judge } from '../../support/crash-judge.js'
import type { Incarnation } from '../../support/crash-run.js'
import type { Check, Problem } from '../../support/crash-verdict.js'
import type { Prng } from '../../support/prng.js'
import { createPrng } from '../../support/prng.js'
import type { RecordedEvent } from '../shim/recording.js'
import type { ShimOptions } from '../shim/shim.js'
import type { CutPoint } from './cut-points.js'
import { cutPoints } from './cut-points.js'
import type { Image } from './disk.js'
import { Disk } from './disk.js'
import type { RecordedLife } from './recorded-life.js'
import { recordLife } from './recorded-life.js'
import type { Reopened } from './reopen-images.js'
import { emptyReopened, reopenImages } from './reopen-images.js'
import { isScheduleLine, scheduleProblems } from './schedules.js'

export interface PowerRunOptions {
  readonly seed: number
  /** Programs one after another, each from an image that a cut of the one before has left. */
  readonly generations: number
  /** Calls of one program come in so many turns. */
  readonly turns: number
  /** Images of one generation that are opened. */
  readonly images: number
  readonly fault?: ProgramConfig['fault']
  readonly lie?: ShimOptions['lie']
  /** Keep a copy of each image in which something was found. @defaultValue true */
  readonly keepImages?: boolean
}

export interface PowerFigures {
  writes: number
  syncs: number
  acknowledged: number
  endsTold: number
  /** Enqueues whose unique key another job held. */
  keysHeld: number
  schedulesTold: number
  images: number
  /** Images in which something is missing that had been written. */
  hard: number
  lostSectors: number
  /** Images of cuts before the store was open for the first time. */
  opening: number
  /** Images without the file's name. */
  unnamed: number
}

export interface PowerReport {
  readonly figures: PowerFigures
  readonly violations: readonly string[]
}

/** A cut, and where what it left lies. */
interface Cut extends CutPoint {
  readonly image: Image
  readonly directory: string
}

/** The processes that open images come last, whatever the generation. */
const REOPENED = 900
/** Violations of one image that are told. */
const TOLD_MAX = 4
/** LMDB's table of readers; not part of what is synced. */
const READERS_FILE = `${DATA_FILE}-lock`
const READERS_BYTES = 8272

export async function powerRun(options: PowerRunOptions): Promise<PowerReport> {
  const root = mkdtempSync(join(tmpdir(), 'millrace-power-'))
  try {
    return await new PowerRun(options, root).run()
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

class PowerRun {
  readonly #options: PowerRunOptions
  readonly #root: string
  readonly #prng: Prng
  readonly #violations: string[] = []
  readonly #figures: PowerFigures = {
    writes: 0,
    syncs: 0,
    acknowledged: 0,
    endsTold: 0,
    keysHeld: 0,
    schedulesTold: 0,
    images: 0,
    hard: 0,
    lostSectors: 0,
    opening: 0,
    unnamed: 0,
  }

  constructor(options: PowerRunOptions, root: string) {
    this.#options = options
    this.#root = root
    this.#prng = createPrng(options.seed)
  }

  async run(): Promise<PowerReport> {
    const { seed, generations } = this.#options
    let before: Buffer | undefined
    let past: readonly Incarnation[] = []
    let told: readonly ScheduleLine[] = []
    for (let generation = 1; generation <= generations; generation++) {
      const life = await this.#record(generation, before)
      const cuts = this.#cut(life, generation, before)
      const directories = cuts.map(({ directory }) => directory)
      const config = { seed, incarnation: REOPENED + generation, directories, prunes: prunesIn(generation) }
      const reopened = await reopenImages(config)
      for (const [index, cut] of cuts.entries()) {
        const incarnation = incarnationOf(generation, life.events.slice(0, cut.at + 1), 'running')
        const outcome = reopened[index] ?? { ...emptyReopened(), problems: ['it was not opened'] }
        const schedules = [...told, ...scheduleLines(life.events.slice(0, cut.at + 1))]
        this.#judge(generation, cut, [...past, incarnation], schedules, outcome)
        rmSync(cut.directory, { recursive: true, force: true })
      }
      const next = this.#prng.pick(cuts)
      before = next.image.file
      past = [...past, incarnationOf(generation, life.events.slice(0, next.at + 1), 'running')]
      told = [...told, ...scheduleLines(life.events.slice(0, next.at + 1))]
    }
    return { figures: this.#figures, violations: this.#violations }
  }

  async #record(generation: number, before: Buffer | undefined): Promise<RecordedLife> {
    const { seed, turns, fault, lie } = this.#options
    const root = this.#rootOf(generation)
    const directory = join(root, 'of', 'store')
    mkdirSync(root)
    if (before !== undefined) {
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, DATA_FILE), before)
    }
    const config = {
      directory,
      seed,
      incarnation: generation,
      turns,
      prunes: prunesIn(generation),
      ...(fault !== undefined && { fault }),
    }
    const life = await recordLife({ root, config, before, ...(lie !== undefined && { lie }) })
    for (const problem of life.problems) this.#violations.push(`generation ${generation}: ${problem}`)
    for (const event of life.events) {
      if (event.kind === 'written') this.#figures.writes++
      if (event.kind === 'synced') this.#figures.syncs++
      if (event.kind !== 'note') continue
      if (event.note.is === 'ack') this.#figures.acknowledged += event.note.ids.length
      if (event.note.is === 'outcome') this.#figures.endsTold++
      if (event.note.is === 'refused') this.#figures.keysHeld++
      if (isScheduleLine(event.note)) this.#figures.schedulesTold++
    }
    return life
  }

  #rootOf(generation: number): string {
    return join(this.#root, `generation-${generation}`)
  }

  #diskOf(generation: number, before: Buffer | undefined): Disk {
    const root = this.#rootOf(generation)
    return new Disk(join(root, 'of', 'store', DATA_FILE), root, before)
  }

  /** Chooses the cuts, and lays out what they leave. */
  #cut({ events }: RecordedLife, generation: number, before: Buffer | undefined): Cut[] {
    const points = cutPoints(events, this.#diskOf(generation, before), this.#options.images, this.#prng)
    const disk = this.#diskOf(generation, before)
    const openAt = events.findIndex((event) => event.kind === 'note' && event.note.is === 'open')
    let applied = 0
    return points.map((point, index) => {
      for (; applied <= point.at; applied++) disk.apply(events[applied]!)
      const image = disk.image(point.loss, this.#prng, point.unnamed)
      const directory = join(this.#root, `image-${generation}-${index}`)
      this.#lay(directory, image)
      this.#figures.images++
      this.#figures.lostSectors += image.lostSectors
      if (image.lostSectors > 0 || point.unnamed) this.#figures.hard++
      if (point.at < openAt) this.#figures.opening++
      if (point.unnamed) this.#figures.unnamed++
      return { ...point, image, directory }
    })
  }

  /** The files of a store after a cut. What is never synced, locks and the table of readers, may look like anything. */
  #lay(directory: string, { file, draft }: Image): void {
    mkdirSync(directory)
    if (file !== undefined) writeFileSync(join(directory, DATA_FILE), file)
    if (draft !== undefined) writeFileSync(join(directory, `${DATA_FILE}.new`), draft)
    const readers = [undefined, Buffer.alloc(0), Buffer.alloc(READERS_BYTES), Buffer.alloc(4096), this.#prng.bytes(READERS_BYTES)]
    const lock = [undefined, '', '\0'.repeat(100), '{"pid":1,"tok', deadHolder()]
    for (const [name, content] of [
      [READERS_FILE, this.#prng.pick(readers)],
      ['millrace.lock', this.#prng.pick(lock)],
    ] as const)
      if (content !== undefined) writeFileSync(join(directory, name), content)
    if (this.#options.keepImages !== false) cpSync(directory, keptOf(directory), { recursive: true })
  }

  #judge(
    generation: number,
    cut: Cut,
    lives: readonly Incarnation[],
    told: readonly ScheduleLine[],
    { lines, schedules, storeProblems, problems }: Reopened,
  ): void {
    const reopened: Incarnation = {
      number: REOPENED + generation,
      killed: 'never',
      stopped: false,
      lines,
      problems,
      storeProblems,
    }
    const journal = { seed: this.#options.seed, incarnations: [...lives, reopened], prunes: prunesIn(generation) }
    const found = foremost(judge(journal).problems).map(({ check, text }) => `[${check}] ${text}`)
    if (schedules !== undefined) found.push(...scheduleProblems(told, schedules))
    const { seed } = this.#options
    let where = `seed ${seed}, generation ${generation}, cut after event ${cut.at}, ${cut.loss}${cut.unnamed ? ', names lost' : ''}`
    if (this.#options.keepImages !== false) {
      if (found.length > 0) {
        const copy = mkdtempSync(join(tmpdir(), `millrace-power-cut-${seed}-`))
        cpSync(keptOf(cut.directory), copy, { recursive: true })
        where += `, image in ${copy}`
      }
      rmSync(keptOf(cut.directory), { recursive: true })
    }
    for (const text of found.slice(0, TOLD_MAX)) this.#violations.push(`${where}: ${text}`)
  }
}

/** The first of each check, then the others: one that speaks often must not hide another. */
function foremost(problems: readonly Problem[]): Problem[] {
  const firsts = new Map<Check, Problem>()
  for (const problem of problems) if (!firsts.has(problem.check)) firsts.set(problem.check, problem)
  return [...new Set([...firsts.values(), ...problems])]
}

/** A copy of an image as it was before it was opened. */
function keptOf(directory: string): string {
  return `${directory}-kept`
}

/** What a process told until its power was cut. */
function incarnationOf(number: number, events: readonly RecordedEvent[], killed: Incarnation['killed']): Incarnation {
  const lines = notesOf(events).filter((note) => !isScheduleLine(note)) as Line[]
  return { number, killed, stopped: false, lines, problems: [], storeProblems: [] }
}

function scheduleLines(events: readonly RecordedEvent[]): ScheduleLine[] {
  return notesOf(events).filter(isScheduleLine)
}

/** What the program itself has told. */
function notesOf(events: readonly RecordedEvent[]): (Line | ScheduleLine)[] {
  return events.flatMap((event) =>
    event.kind === 'note' && event.note.is !== 'count' && event.note.is !== 'fault' ? [event.note as Line | ScheduleLine] : [],
  )
}

/** The first generation keeps everything, so that all of it is judged; in later ones the store is pruned. */
function prunesIn(generation: number): boolean {
  return generation > 1
}

/** A lock file of a process that is gone: this one's id, and another start. */
function deadHolder(): string {
  return JSON.stringify({ pid: process.pid, startTime: '1', bootId: null, token: '0123456789abcdef01234567', openedAt: '' })
}
