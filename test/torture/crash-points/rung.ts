/**
 * The crash-points rung: a fixed history is run again and again, and dies at its first place, its second, its third, until it comes
 * to its end. Nothing acknowledged may be lost, nothing come from nowhere, nothing run after it was over. Before that the same is done
 * to the opening of a store of an earlier format.
 */
import type { Fault } from '../../fixtures/crash/faults.js'
import type { PlantedName } from '../../fixtures/crash/process-faults.js'
import { subjectOf } from '../../fixtures/crash/process-faults.js'
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
  backups: number
  histories: number
  readonly places: Set<string>
  readonly violations: string[]
}

export function newTally(): Tally {
  return { kills: 0, acknowledged: 0, runs: 0, backups: 0, histories: 0, places: new Set(), violations: [] }
}

export function count(tally: Tally, { diedAt, acknowledged, runs, backups = 0, violations }: PointReport): void {
  for (const place of diedAt) {
    if (place === undefined) continue
    tally.kills++
    tally.places.add(place)
  }
  tally.acknowledged += acknowledged
  tally.runs += runs
  tally.backups += backups
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

export function figuresOf({ kills, acknowledged, runs, backups, histories, places, violations }: Tally): RungReport['figures'] {
  return { histories, kills, 'different places': places.size, acknowledged, runs, backups, violations: violations.length }
}

/** Places at which a fault is looked for at most: chance decides which of them it shows at, and a torn commit shows at few. */
const FAULT_PLACES = 100
/** Places that nothing planted dies at, in each kind of history. */
const CONTROL_PLACES = 4

/** The histories of even seeds prune. */
function seedThat(prunes: boolean, seed: number): number {
  return prunes ? 2 * (1 + (seed >> 1)) : seed | 1
}

async function* someReports(seed: number, count: number, fault?: PlantedName): AsyncGenerator<PointReport> {
  const prng = createPrng(seed)
  const whole = await pointRun({ seed, place: 0 })
  yield whole
  for (let tries = 0; tries < count; tries++)
    yield await pointRun({ seed, place: 1 + prng.below(whole.places ?? 1), ...(fault !== undefined && { fault }) })
}

function planted(fault: PlantedName, seenBy: RegExp, prunes = false): PlantedFault {
  return {
    name: `${subjectOf(fault)} that ${fault}${prunes ? ', in a history that prunes' : ''}`,
    seenBy,
    run: async ({ seed }) => {
      const found: string[] = []
      for await (const { violations } of someReports(seedThat(prunes, seed), FAULT_PLACES, fault)) {
        found.push(...violations)
        if (violations.some((violation) => seenBy.test(violation))) break
      }
      return found
    },
  }
}

/** Places of a migration at which a fault is looked for: from its recovery on, every fourth. */
const MIGRATION_PLACES = { from: 4, to: 60, step: 4 }

function plantedInMigration(fault: Fault, seenBy: RegExp): PlantedFault {
  return {
    name: `a store of an earlier format that ${fault}`,
    seenBy,
    run: async () => {
      const found: string[] = []
      const [format] = OLD_FORMATS
      const { jobs } = await migrationRun({ format, place: 0 })
      const { from, to, step } = MIGRATION_PLACES
      for (let place = from; place < to; place += step) {
        const { violations } = await migrationRun({ format, place, expected: jobs, fault })
        found.push(...violations)
        if (violations.some((violation) => seenBy.test(violation))) break
      }
      return found
    },
  }
}

/** Nothing planted: some places of a history that keeps everything, of one that prunes, and of a migration. */
async function control({ seed }: RungOptions): Promise<string[]> {
  const found: string[] = []
  for (const prunes of [false, true])
    for await (const { violations } of someReports(seedThat(prunes, seed), CONTROL_PLACES)) found.push(...violations)
  const [format] = OLD_FORMATS
  const { jobs, violations } = await migrationRun({ format, place: 0 })
  found.push(...violations)
  const { from, to } = MIGRATION_PLACES
  for (const place of [from, (from + to) >> 1]) found.push(...(await migrationRun({ format, place, expected: jobs })).violations)
  return found
}

/** What a fault in the store may do to a history: the judge's own checks, or the audit of the store. */
const STORE = /: (?:store|lost|unfinished): /
const RECOVERY = /: (?:recovery|unrecorded run): /

export const rung: Rung = {
  name: 'crash-points',
  summary: 'a process that dies at any place of its history loses nothing and repeats nothing that was over',
  defaultMinutes: 30,
  run,
  least: {
    kills: 40,
    'kills in migrations': 20,
    'different places': 25,
    acknowledged: 100,
    runs: 100,
    backups: 10,
  },
  control,
  faults: [
    planted('acknowledges before the commit', /: (?:lost|backup): /),
    planted('tears commits in two', STORE),
    planted('skips recovery', RECOVERY),
    planted('loses claims', RECOVERY),
    planted('loses marks', /: (?:store|ran after over|two ends): /),
    planted('loses the removal of pages', /: (?:store|ran after over|two ends): /),
    planted('loses outcomes', STORE),
    planted('acknowledges before the commit', /: lost: /, true),
    planted('loses marks', /: (?:store|ran after over|two ends): /, true),
    planted('loses outcomes', STORE, true),
    planted('forgets what is set', /: (?:setting|paused): /),
    planted('takes back no job that was over', /: lost: .* was brought back/),
    planted('leaves a job out of copies', /: backup: /),
    plantedInMigration('acknowledges before the commit', /lost|came from nowhere|was told to be|ended again/),
    plantedInMigration('skips recovery', /has lost attempts/),
    plantedInMigration('loses counters', /store: /),
  ],
}
