/** The kill rung: the random kill test of `crash/kill-9.test.ts`, made long. One directory takes all the kills of a seed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FAULT_NAMES } from '../../fixtures/crash/faults.js'
import type { Figures } from '../../support/crash-judge.js'
import { judge } from '../../support/crash-judge.js'
import type { CrashRunOptions } from '../../support/crash-run.js'
import { crashRun } from '../../support/crash-run.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'

const KILLS = 1000
const KILLS_PER_DIRECTORY = 100
const FAULT_KILLS = 5
/** Where a kill falls is chance, and it may fall where the fault does no harm: then the next seed. */
const FAULT_SEEDS = 4

interface Found {
  readonly figures: Figures
  readonly violations: readonly string[]
}

async function killed(options: Omit<CrashRunOptions, 'directory'>): Promise<Found> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-kill-'))
  try {
    const { problems, figures } = judge(await crashRun({ directory, ...options }))
    return { figures, violations: problems.map(({ check, text }) => `seed ${options.seed}: ${check}: ${text}`) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A fixed amount of work: 1,000 kills. */
async function run({ seed, progress }: RungOptions): Promise<RungReport> {
  const violations: string[] = []
  const sum: Record<string, number> = {}
  for (let kills = 0; kills < KILLS; kills += KILLS_PER_DIRECTORY) {
    const found = await killed({ seed: seed + kills, kills: KILLS_PER_DIRECTORY, checkEvery: 5 })
    violations.push(...found.violations)
    for (const [name, value] of Object.entries(found.figures)) sum[name] = (sum[name] ?? 0) + Number(value)
    progress(`${kills + KILLS_PER_DIRECTORY} kills, ${violations.length} violations`)
  }
  return { figures: sum, violations }
}

export const rung: Rung = {
  name: 'kill',
  summary: 'kill -9 at 1,000 random moments loses nothing that was acknowledged',
  defaultMinutes: 20,
  run,
  faults: FAULT_NAMES.map((fault): PlantedFault => ({
    name: `store that ${fault}`,
    run: async ({ seed }) => {
      for (let tries = 0; tries < FAULT_SEEDS; tries++) {
        const options = { seed: seed + tries, kills: FAULT_KILLS, fault, onlyAtWork: true, checkEvery: 1 }
        const { violations } = await killed(options)
        if (violations.length > 0) return violations
      }
      return []
    },
  })),
}
