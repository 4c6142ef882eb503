/**
 * Quarantine: jobs that take the whole process down, among innocents in flight. The process is started again each time, as a supervisor
 * does; in the end exactly the guilty are quarantined, and no innocent is charged an attempt or a crash.
 */
import { POISONS, type Poison } from '../../fixtures/torture/poison.js'
import { createPrng } from '../../support/prng.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { ordeal, type Fault } from './ordeal.js'

/** What the faults are planted in. */
const FAULT_POISONS: readonly Poison[] = ['abort', 'kill']
/** One ordeal in so many is the supervisor's. */
const SUPERVISED_EVERY = 3

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const until = performance.now() + minutes * 60_000
  const random = createPrng(seed)
  const violations: string[] = []
  const total: Record<string, number> = {}
  let ordeals = 0
  let supervised = 0
  do {
    const poisons = Array.from({ length: 1 + random.below(4) }, () => random.pick(POISONS))
    const isSupervised = ordeals % SUPERVISED_EVERY === 0
    const report = await ordeal({ poisons, seed: seed + ordeals, isSupervised })
    ordeals++
    if (isSupervised) supervised++
    for (const [name, value] of Object.entries(report.figures)) total[name] = (total[name] ?? 0) + value
    const who = `${poisons.join()}${isSupervised ? ', supervised' : ''}`
    violations.push(...report.violations.map((violation) => `${who}: ${violation}`))
    progress(`${ordeals} ordeals, ${total['deaths']} deaths`)
  } while (violations.length === 0 && performance.now() < until)
  return { figures: { ordeals, supervised, ...total }, violations }
}

async function violationsOf(fault: Fault, seed: number): Promise<readonly string[]> {
  return (await ordeal({ poisons: FAULT_POISONS, seed, fault })).violations
}

function planted(name: string, fault: Fault, seenBy: RegExp): PlantedFault {
  return { name: `a recovery that ${name}`, seenBy, run: ({ seed }) => violationsOf(fault, seed) }
}

export const rung: Rung = {
  name: 'poison',
  summary: 'jobs that take the process down: exactly they are quarantined, and no innocent is charged',
  defaultMinutes: 5,
  run,
  least: { ordeals: 2, supervised: 1, deaths: 6, deathsInCompany: 2, innocentsInterrupted: 4 },
  control: ({ seed }) => violationsOf('none', seed),
  faults: [
    planted('charges innocents for a crash', 'charges-innocents', /^innocent \S+ is .* [1-9]\d* crashes/),
    planted('does not run suspects alone', 'not-alone', /^guilty \S+ is (?!discarded)/),
    planted('does not count crashes', 'not-counted', /^guilty \S+ is (?!discarded).* 0 crashes/),
  ],
}
