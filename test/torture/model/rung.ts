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
import type { Rung, RungOptions, RungReport } from '../rung.js'
import { FAULTS } from './faults.js'
import type { History } from './history.js'
import { histories } from './history.js'
import { runHistory, type Tally } from './run-history.js'
import type { WorldOptions } from './world.js'

const COMMANDS = 24
const HISTORIES_PER_SEED = 12
/** Of ten histories each, in search of a planted fault: limits seldom hold anything back. */
const FAULT_ROUNDS = 15
/** Shrinking runs histories again and again. */
const SHRINK_MS = 120_000

type Spoils = Pick<WorldOptions, 'spoilEngine' | 'spoilExecutor'>

/** Runs one history on a store of its own. */
export async function play(history: History, store: StoreKind, tally: Tally, spoils: Spoils = {}): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-model-'))
  try {
    await runHistory({ history, store, directory, ...spoils }, tally)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

interface Search {
  readonly seed: number
  readonly store: StoreKind
  readonly histories: number
  readonly tally: Tally
  readonly spoils?: Spoils
  /** Leave a failure as long as it was found. */
  readonly quick?: boolean
}

/** What was found, with what repeats it; undefined: nothing. */
export async function search({ seed, store, histories: numRuns, tally, spoils, quick }: Search): Promise<string | undefined> {
  const property = fc.asyncProperty(histories(COMMANDS), async (history) => play(history, store, tally, spoils))
  const found = await fc.check(property, {
    seed,
    numRuns,
    endOnFailure: quick === true,
    plugins: [fc.interruptAfterTimeLimit(SHRINK_MS)],
  })
  if (!found.failed) return undefined
  const error = found.errorInstance
  const what = error instanceof Error ? error.message : String(error)
  return `${store}, seed ${seed}, path ${found.counterexamplePath}: ${what}\n${inspect((found.counterexample as readonly unknown[] | null)?.[0], { depth: Infinity, breakLength: Infinity })}`
}

export function newTally(): Tally {
  return { histories: 0, commands: 0, jobs: 0, runs: 0, kills: 0 }
}

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const until = performance.now() + minutes * 60_000
  const tally = newTally()
  const violations: string[] = []
  for (let round = 0; performance.now() < until; round++) {
    const store = round % 3 === 2 ? 'lmdb' : 'memory'
    const found = await search({ seed: seed + round, store, histories: HISTORIES_PER_SEED, tally })
    if (found !== undefined) {
      violations.push(found)
      // At once, whatever becomes of this run: it may depend on the moment, and not come again.
      progress(found)
    }
    progress(`seed ${seed + round}, ${store}: ${tally.histories} histories, ${violations.length} violations`)
  }
  return { figures: { ...tally }, violations }
}

export const rung: Rung = {
  name: 'model',
  summary: 'whatever callers, kills and clocks do, the executor is what a small model says',
  defaultMinutes: 10,
  run,
  faults: FAULTS.map(({ name, ...spoils }) => ({
    name,
    run: async ({ seed }) => {
      for (let round = 0; round < FAULT_ROUNDS; round++) {
        const found = await search({ seed: seed + round, store: 'memory', histories: 10, tally: newTally(), spoils, quick: true })
        if (found !== undefined) return [found.split('\n', 2).join(' ')]
      }
      return []
    },
  })),
}
