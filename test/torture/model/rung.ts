/**
 * The model rung: histories of calls, closes, kills and jumps of the clock, made and shrunk by fast-check, on the real executor and
 * threads; after each command everything that can be asked is held against a model, and the whole store is checked.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import type { StoreKind } from '../../support/executor.js'
import { showing, type PlantedFault, type Rung, type RungOptions, type RungReport } from '../rung.js'
import { FAULTS } from './faults.js'
import { Hang } from './hang.js'
import type { Extent, History } from './history.js'
import { EXTENTS, histories } from './history.js'
import type { ModelFault, Spoils } from './model-fault.js'
import { runHistory, type Tally } from './run-history.js'

const COMMANDS = 24
const HISTORIES_PER_SEED = 12
/** Of ten histories each, in search of a planted fault. */
const FAULT_ROUNDS = 15
/** Of as many each, of every extent and over the stores, with nothing planted. */
const CONTROL_ROUNDS = 2
const HISTORIES_PER_ROUND = 10
/** Shrinking runs histories again and again: from the first failure on it may do so for so long. */
const SHRINK_MS = 120_000

/** Runs one history on a store of its own. Whatever dies in it, no promise may be rejected of which nobody hears: that ends a process. */
export async function play(history: History, store: StoreKind, tally: Tally, spoils: Spoils = {}): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-model-'))
  const unheard: unknown[] = []
  const hear = (error: unknown): void => void unheard.push(error)
  process.on('unhandledRejection', hear)
  try {
    await runHistory({ history, store, directory, ...spoils }, tally)
  } finally {
    process.off('unhandledRejection', hear)
    await rm(directory, { recursive: true, force: true })
  }
  if (unheard.length > 0) throw new Error(`a promise was rejected, and nobody heard: ${unheard.map(String).join(', ')}`)
}

interface Search {
  readonly seed: number
  readonly store: StoreKind
  readonly histories: number
  readonly tally: Tally
  readonly extent?: Extent
  readonly spoils?: Spoils
  /** Leave a failure as long as it was found. */
  readonly quick?: boolean
}

interface Found {
  /** What repeats it. */
  readonly where: string
  /** What was wrong after the command that failed. */
  readonly problems: readonly string[]
  readonly history: string
}

/**
 * What is found in so many histories, in those before the first failure and in smaller ones of that; undefined: nothing. No history is
 * cut short, so that one that hangs is told, however late it does.
 */
export async function search(options: Search): Promise<Found | undefined> {
  const { seed, store, histories: numRuns, tally, extent, spoils, quick } = options
  let shrinksUntilMs = Infinity
  const property = fc.asyncProperty(histories(COMMANDS, extent), async (history) => {
    // The time for shrinking is over: a smaller one that was not tried counts as one that holds.
    if (performance.now() > shrinksUntilMs) return
    try {
      await play(history, store, tally, spoils)
    } catch (error) {
      // What hangs is left behind, and is not to be repeated.
      if (error instanceof Hang) shrinksUntilMs = 0
      else shrinksUntilMs = Math.min(shrinksUntilMs, performance.now() + SHRINK_MS)
      throw error
    }
  })
  const found = await fc.check(property, { seed, numRuns, endOnFailure: quick === true })
  if (!found.failed) {
    if (found.numRuns === numRuns) return undefined
    return { where: `${store}, seed ${seed}`, problems: [`${found.numRuns} of ${numRuns} histories were played`], history: '' }
  }
  const error = found.errorInstance
  const what = error instanceof Error ? error.message : String(error)
  const [counterexample] = found.counterexample ?? []
  return {
    where: `${store}, ${extent ?? 'all'}, seed ${seed}, path ${found.counterexamplePath}`,
    problems: what.split('\n'),
    history: inspect(counterexample, { depth: Infinity, breakLength: Infinity }),
  }
}

/** As a violation. */
export function tell({ where, problems, history }: Found): string {
  return `${where}: ${problems.join('\n')}\n${history}`
}

export function newTally(): Tally {
  return { histories: 0, commands: 0, jobs: 0, runs: 0, kills: 0, killsAtCommit: 0, killsOverLmdb: 0, ordered: 0 }
}

/**
 * Of each six seeds one is of histories in which much is ordered, behind a single thread, and one of deaths while jobs are cancelled and
 * brought back; and two are over LMDB.
 */
function partOf(round: number): { readonly store: StoreKind; readonly extent: Extent } {
  const extent = round % 6 === 4 ? 'order' : round % 6 === 1 ? 'deaths' : 'all'
  return { store: round % 3 === 2 ? 'lmdb' : 'memory', extent }
}

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const until = performance.now() + minutes * 60_000
  const tally = newTally()
  const violations: string[] = []
  for (let round = 0; performance.now() < until; round++) {
    const part = partOf(round)
    const found = await search({ seed: seed + round, ...part, histories: HISTORIES_PER_SEED, tally })
    if (found !== undefined) {
      violations.push(tell(found))
      // At once, whatever becomes of this run: it may depend on the moment, and not come again.
      progress(tell(found))
    }
    progress(`seed ${seed + round}, ${part.store}, ${part.extent}: ${tally.histories} histories, ${violations.length} violations`)
  }
  return { figures: { ...tally }, violations }
}

/** Every extent, and deaths over both stores, with nothing planted. */
async function control({ seed }: RungOptions): Promise<readonly string[]> {
  const parts = [
    ...(Object.keys(EXTENTS) as Extent[]).map((extent) => ({ extent, store: 'memory' as const })),
    { extent: 'all' as const, store: 'lmdb' as const },
  ]
  const violations: string[] = []
  for (const part of parts) {
    for (let round = 0; round < CONTROL_ROUNDS; round++) {
      const each = { seed: seed + round, ...part, histories: HISTORIES_PER_ROUND, tally: newTally(), quick: true }
      const found = await search(each)
      if (found !== undefined) violations.push(tell(found))
    }
  }
  return violations
}

/** Looks until what shows the fault is found; what else is found is told when it is not. */
function planted({ name, seenBy, extent = 'all', store = 'memory', plant = (go) => go(), ...spoils }: ModelFault): PlantedFault {
  return {
    name,
    seenBy,
    run: ({ seed }) =>
      plant(async () => {
        const seen: string[] = []
        for (let round = 0; round < FAULT_ROUNDS && showing({ seenBy }, seen) === undefined; round++) {
          const options = {
            seed: seed + round,
            store,
            extent,
            histories: HISTORIES_PER_ROUND,
            tally: newTally(),
            spoils,
            quick: true,
          }
          const found = await search(options)
          if (found !== undefined) seen.push(...found.problems.map((problem) => `${found.where}: ${problem}`))
        }
        return seen
      }),
  }
}

export const rung: Rung = {
  name: 'model',
  summary: 'whatever callers, kills and clocks do, the executor is what a small model says',
  defaultMinutes: 10,
  run,
  least: { histories: 30, jobs: 200, runs: 100, kills: 10, killsAtCommit: 3, killsOverLmdb: 3, ordered: 50 },
  control,
  faults: FAULTS.map((fault) => planted(fault)),
}
