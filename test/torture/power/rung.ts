/**
 * Power loss: everything that was acknowledged, and every end that was told, is there after a power cut, at any moment and whatever
 * the disk kept of what it had not been told to sync.
 */
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import type { PowerFigures, PowerRunOptions } from './power-run.js'
import { powerRun } from './power-run.js'

const ROUND = { generations: 3, turns: 40, images: 40 }
/** Enough to see a fault: the first and the last acknowledgement are among the cuts. */
const FAULT_ROUND = { generations: 1, turns: 15, images: 8 }
const MINUTE_MS = 60_000
/** So many violations tell enough. */
const VIOLATIONS_MAX = 50

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const missing = shimMissing()
  if (missing !== undefined) return { figures: { skipped: missing }, violations: [] }
  const began = performance.now()
  const total: Partial<PowerFigures> = {}
  const violations: string[] = []
  let rounds = 0
  do {
    const report = await powerRun({ seed: seed + rounds, ...ROUND })
    rounds++
    for (const [name, value] of Object.entries(report.figures) as [keyof PowerFigures, number][])
      total[name] = (total[name] ?? 0) + value
    violations.push(...report.violations)
    progress(`round ${rounds}, seed ${seed + rounds - 1}: ${total.images} images, ${violations.length} violations`)
  } while (performance.now() - began < minutes * MINUTE_MS && violations.length < VIOLATIONS_MAX)
  return { figures: { rounds, ...total }, violations }
}

function fault(name: string, planted: Pick<PowerRunOptions, 'fault' | 'lie'>): PlantedFault {
  return {
    name,
    run: async ({ seed }) => (await powerRun({ seed, ...FAULT_ROUND, ...planted, keepImages: false })).violations,
  }
}

export const rung: Rung = {
  name: 'power',
  summary: 'what was told survives a power cut: writes and syncs are recorded, and cut anywhere',
  defaultMinutes: 10,
  run,
  faults: [
    fault('never syncs (durability "process")', { fault: 'noSync' }),
    fault('syncs to a disk that only says it did', { lie: 'data' }),
    fault('acknowledges before the commit', { fault: 'early' }),
    fault('does not sync the name of its file', { lie: 'names' }),
  ],
}
