/**
 * Makes the stores that scenarios begin with, on a sound disk, and counts the writes and syncs that a scenario of each kind has when
 * nothing fails: each of them is to be spoiled.
 */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'

import type { Scenario } from '../../fixtures/io/scenario.js'
import { keptIn } from '../../fixtures/io/starts.js'
import { OLD_FORMATS, placeOldStore } from '../../support/old-stores.js'
import { ioRun, runProgram } from './io-run.js'
import type { Kind, MadeStart, OldStart, Starts } from './starts.js'
import { KINDS, scenarioOf } from './starts.js'
import { linesOf } from './told.js'

/** A fault that never comes. */
const NEVER = 'fail 1000000000 5 refuse once'

/** Writes and syncs of each kind of scenario, from its beginning to the closing of the store. */
export type Steps = Readonly<Record<Kind, number>>

export interface Prepared {
  readonly starts: Starts
  readonly steps: Steps
  /** What was found when nothing failed. */
  readonly violations: readonly string[]
}

export async function prepare(root: string, seed: number): Promise<Prepared> {
  const place = mkdtempSync(join(root, 'starts-'))
  const kept: Starts = {
    seed,
    killed: await madeStart(root, join(place, 'killed', 'store'), seed, 'killed'),
    finished: await madeStart(root, join(place, 'finished', 'store'), seed, 'finished'),
    chores: await madeStart(root, join(place, 'chores', 'store'), seed, 'chores'),
    old: await oldStart(join(place, 'old', 'store')),
  }
  const scenarios = KINDS.map((kind) => scenarioOf(kind, join(place, `measure-${kind}`, 'store'), seed, NEVER))
  const played = await ioRun({ root, scenarios, starts: kept })
  const expected = played.find(({ scenario }) => scenario.start === 'old')?.kept
  return {
    starts: { ...kept, old: { ...kept.old, expected } },
    steps: Object.fromEntries(KINDS.map((kind, index) => [kind, played[index]?.steps ?? 0])) as Steps,
    violations: played.flatMap(({ violations }) => violations),
  }
}

async function madeStart(
  root: string,
  directory: string,
  seed: number,
  makes: NonNullable<Scenario['makes']>,
): Promise<MadeStart> {
  const start = makes === 'killed' ? 'killed' : 'finished'
  const [course] = await runProgram({ root, scenarios: [{ directory, seed, makes, start }] })
  const lines = linesOf(course?.events.flatMap(({ note }) => (note === undefined ? [] : [note])) ?? [])
  const wrong = lines.filter(({ is }) => is === 'complaint').map((line) => JSON.stringify(line))
  if (makes !== 'killed') wrong.push(...(course?.problems ?? []))
  if (wrong.length > 0) throw new Error(`the store of a scenario could not be made: ${wrong.join('; ')}`)
  return { directory, lines }
}

async function oldStart(directory: string): Promise<OldStart> {
  await placeOldStore(OLD_FORMATS[0], directory)
  return { directory, kept: await keptIn(directory), expected: undefined }
}
