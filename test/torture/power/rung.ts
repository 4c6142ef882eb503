/**
 * Power loss: everything that was acknowledged, and every end that was told, is there after a power cut, at any moment and whatever
 * the disk kept of what it had not been told to sync. So is what a compaction, a backup and a repair leave.
 */
import type { Maintenance } from '../../fixtures/power/maintenance.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { shimMissing, type ShimOptions } from '../shim/shim.js'
import { maintenanceRun, MAINTENANCES } from './maintenance-run.js'
import type { PowerFigures, PowerRunOptions } from './power-run.js'
import { powerRun } from './power-run.js'

const ROUND = { generations: 3, turns: 40, images: 40 }
/** Beside those at names. */
const MAINTENANCE_IMAGES = 30
/** Enough to see a fault: the first and the last acknowledgement are among the cuts. */
const FAULT_ROUND = { generations: 1, turns: 15, images: 8 }
const MINUTE_MS = 60_000
/** So many violations tell enough. */
const VIOLATIONS_MAX = 50

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const missing = shimMissing()
  if (missing !== undefined) return { figures: {}, violations: [], skipped: [`power cuts: it ${missing}`] }
  const began = performance.now()
  const total: Partial<PowerFigures> & Record<string, number> = {}
  const violations: string[] = []
  let rounds = 0
  const add = (figures: Readonly<Record<string, number>>): void => {
    for (const [name, value] of Object.entries(figures)) total[name] = (total[name] ?? 0) + value
  }
  do {
    const seedOfRound = seed + rounds
    const report = await powerRun({ seed: seedOfRound, ...ROUND })
    add({ ...report.figures })
    violations.push(...report.violations)
    for (const what of MAINTENANCES) {
      const { figures, violations: found } = await maintenanceRun({ what, seed: seedOfRound, images: MAINTENANCE_IMAGES })
      add({
        [`${what}: cuts`]: figures.cuts,
        [`${what}: cutsPending`]: figures.cutsPending,
        [`${what}: cutsDone`]: figures.cutsDone,
      })
      violations.push(...found)
    }
    rounds++
    progress(`round ${rounds}, seed ${seedOfRound}: ${total.images} images, ${violations.length} violations`)
  } while (performance.now() - began < minutes * MINUTE_MS && violations.length < VIOLATIONS_MAX)
  return { figures: { rounds, ...total }, violations }
}

async function violationsOf(planted: Pick<PowerRunOptions, 'fault' | 'lie'>, seed: number): Promise<readonly string[]> {
  return (await powerRun({ seed, ...FAULT_ROUND, ...planted, keepImages: false })).violations
}

/** What was told is not so: a job is gone, or its number was given to another one, or its end is gone, and it runs again. */
const UNTOLD = /\[(lost|doubled|ran after over)\]/
/** Nobody says "lost" of a store that cannot be opened any more. */
const UNTOLD_OR_SHUT = new RegExp(`${UNTOLD.source}|the store does not open: MillraceError: The store's file \\S+ is damaged`)

function fault(name: string, planted: Pick<PowerRunOptions, 'fault' | 'lie'>, seenBy = UNTOLD): PlantedFault {
  return { name: `a store that ${name}`, seenBy, run: ({ seed }) => violationsOf(planted, seed) }
}

/** Somebody looks after a store on a disk that lies. */
function neglect(name: string, what: Maintenance, lie: ShimOptions['lie'], seenBy: RegExp): PlantedFault {
  return {
    name: `a ${name}`,
    seenBy,
    run: async ({ seed }) => (await maintenanceRun({ what, seed, images: 4, lie })).violations,
  }
}

export const rung: Rung = {
  name: 'power',
  summary: 'what was told survives a power cut: writes and syncs are recorded, and cut anywhere',
  defaultMinutes: 10,
  run,
  least: {
    rounds: 1,
    syncs: 100,
    acknowledged: 200,
    endsTold: 50,
    keysHeld: 5,
    schedulesTold: 10,
    images: 100,
    hard: 60,
    opening: 5,
    unnamed: 1,
    ...Object.fromEntries(
      MAINTENANCES.flatMap((what) => [
        [`${what}: cutsPending`, 10],
        [`${what}: cutsDone`, 2],
      ]),
    ),
  },
  control: async ({ seed }) => {
    const found = [...(await violationsOf({}, seed))]
    for (const what of MAINTENANCES) found.push(...(await maintenanceRun({ what, seed, images: 4 })).violations)
    return found
  },
  faults: [
    fault('never syncs (durability "process")', { fault: 'noSync' }, UNTOLD_OR_SHUT),
    fault('syncs to a disk that only says it did', { lie: 'data' }, UNTOLD_OR_SHUT),
    fault('acknowledges before the commit', { fault: 'early' }),
    fault('does not sync the name of its file', { lie: 'names' }),
    neglect('compaction that does not sync the new file', 'compact', 'data', /\[not whole\]/),
    neglect('compaction that does not sync its name', 'compact', 'names', /\[lost\]/),
    neglect('backup that does not sync the copy', 'backup', 'data', /\[not whole\]/),
    neglect('backup that does not sync its name', 'backup', 'names', /\[lost\]/),
    neglect('repair that syncs neither the store nor the copy of before', 'repair', 'data', /\[(no copy|not whole)\]/),
    neglect('repair that does not sync the name of that copy', 'repair', 'names', /\[no copy\]/),
  ],
}
