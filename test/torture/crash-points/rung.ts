/**
 * The crash-points rung: a fixed history is run again and again, and dies at its first place, its second, its third, until it comes
 * to its end. Nothing acknowledged may be lost, nothing come from nowhere, nothing run after it was over. Before that the same is done
 * to the opening of a store of an earlier format.
 */
import type { Fault } from '../../fixtures/crash/faults.js'
import { createPrng } from '../../support/prng.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { OLD_FORMATS } from '../../support/old-stores.js'
import { migrationRun } from './migration.js'
import type { PointReport } from './point-run.js'
import { pointRun } from './point-run.js'

export interface Tally {
  kills: number
  acknowledged: number
  runs: number
  histories: number
  readonly places: Set<string>
  readonly violations: string[]
}

export function newTally(): Tally {
  return { kills: 0, acknowledged: 0, runs: 0, histories: 0, places: new Set(), violations: [] }
}

export function count(tally: Tally, { diedAt, acknowledged, runs, violations }: PointReport): void {
  for (const place of diedAt) {
    if (place === undefined) continue
    tally.kills++
    tally.places.add(place)
  }
  tally.acknowledged += acknowledged
  tally.runs += runs
  tally.violations.push(...violations)
}

/** How many places a history has, about: threads pass theirs in an order of their own. */
export async function placesOf(seed: number, tally: Tally): Promise<number> {
  const report = await pointRun({ seed, place: 0 })
  count(tally, report)
  tally.histories++
  return report.places ?? 0
}

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const until = performance.now() + minutes * 60_000
  const tally = newTally()
  const migrations = newTally()
  for (const format of OLD_FORMATS) {
    const { jobs, places, ...whole } = await migrationRun({ format, place: 0 })
    count(migrations, { ...whole, places })
    let died = true
    for (let place = 1; died && performance.now() < until; place++) {
      const report = await migrationRun({ format, place, expected: jobs })
      count(migrations, report)
      died = report.diedAt[0] !== undefined
      if (place % 20 === 0)
        progress(`from format ${format}: place ${place} of ${places}, ${migrations.violations.length} violations`)
    }
  }
  for (let history = seed; performance.now() < until; history++) {
    const places = await placesOf(history, tally)
    let died = true
    for (let place = 1; died && performance.now() < until; place++) {
      const report = await pointRun({ seed: history, place })
      count(tally, report)
      died = report.diedAt[0] !== undefined
      if (place % 20 === 0) progress(`seed ${history}: place ${place} of ${places}, ${tally.violations.length} violations`)
    }
  }
  return {
    figures: { 'kills in migrations': migrations.kills, ...figuresOf(tally) },
    violations: [...migrations.violations, ...tally.violations],
  }
}

export function figuresOf({ kills, acknowledged, runs, histories, places, violations }: Tally): RungReport['figures'] {
  return { histories, kills, 'different places': places.size, acknowledged, runs, violations: violations.length }
}

/** Places at which a fault is looked for at most: chance decides which of them it shows at, and a torn commit shows at few. */
const FAULT_PLACES = 100

function planted(fault: Fault): PlantedFault {
  return {
    name: `store that ${fault}`,
    run: async ({ seed }) => {
      const prng = createPrng(seed)
      const places = await placesOf(seed, newTally())
      for (let tries = 0; tries < FAULT_PLACES; tries++) {
        const { violations } = await pointRun({ seed: seed | 1, place: 1 + prng.below(places), fault })
        if (violations.length > 0) return violations
      }
      return []
    },
  }
}

/** Places of a migration at which a fault is looked for: from its recovery on, every fourth. */
const MIGRATION_PLACES = { from: 4, to: 60, step: 4 }

function plantedInMigration(fault: Fault): PlantedFault {
  return {
    name: `store of an earlier format that ${fault}`,
    run: async () => {
      const [format] = OLD_FORMATS
      const { jobs } = await migrationRun({ format, place: 0 })
      const { from, to, step } = MIGRATION_PLACES
      for (let place = from; place < to; place += step) {
        const { violations } = await migrationRun({ format, place, expected: jobs, fault })
        if (violations.length > 0) return violations
      }
      return []
    },
  }
}

export const rung: Rung = {
  name: 'crash-points',
  summary: 'a process that dies at any place of its history loses nothing and repeats nothing that was over',
  defaultMinutes: 30,
  run,
  faults: [
    planted('acknowledges before the commit'),
    planted('tears commits in two'),
    planted('skips recovery'),
    planted('loses claims'),
    planted('loses marks'),
    planted('loses the removal of pages'),
    planted('loses outcomes'),
    plantedInMigration('acknowledges before the commit'),
    plantedInMigration('skips recovery'),
    plantedInMigration('loses counters'),
  ],
}
