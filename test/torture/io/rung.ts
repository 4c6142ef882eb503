/**
 * I/O faults: whatever the disk refuses, cuts short or holds up, nothing is told before its time or told and lost, nothing that was
 * refused comes back, every call is answered, the process and its event loop live on, and the store opens again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { EngineFault } from '../../fixtures/io/engine-faults.js'
import type { Scenario } from '../../fixtures/io/program.js'
import { createPrng } from '../../support/prng.js'
import type { PlantedFault, Rung, RungFigures, RungOptions, RungReport } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import type { IoRunOptions, Played } from './io-run.js'
import { ioRun } from './io-run.js'
import { fullMap, slow, smallDisk, type SmallDisk, sweep } from './scenarios.js'

const MINUTE_MS = 60_000
/** Scenarios of one process. */
const TOGETHER = 20
const VIOLATIONS_MAX = 50
/** Of the whole sweep, half of them filled by others; the quick form has one of each. */
const FULL_DISKS = 10
/** A planted hang is one after so long. */
const HANG_MS = 5000

/** As many scenarios of the sweep as are wanted, or as fit into the time, and one each of the others. */
export async function ioRung(options: RungOptions & { readonly scenarios?: number }): Promise<RungReport> {
  const { seed, minutes, progress, scenarios = Infinity } = options
  const began = performance.now()
  const root = mkdtempSync(join(tmpdir(), 'millrace-io-'))
  const disks = smallDisks(seed, scenarios === Infinity ? FULL_DISKS : 2)
  if (typeof disks === 'string') progress(disks)
  try {
    const full = typeof disks === 'string' ? [] : disks.map(({ scenario }) => scenario)
    const special = [slow(root, seed), fullMap(root, seed), ...full]
    const played = await ioRun({ root, scenarios: special })
    const prng = createPrng(seed)
    let left = sweep(root, prng)
    let count = 0
    while (count < scenarios && violationsOf(played).length < VIOLATIONS_MAX) {
      if (left.length === 0) left = sweep(root, prng)
      const next = left.splice(0, Math.min(TOGETHER, scenarios - count))
      played.push(...(await ioRun({ root, scenarios: next })))
      for (const { directory } of next) rmSync(directory, { recursive: true, force: true })
      count += next.length
      progress(`${played.length} scenarios, ${violationsOf(played).length} violations`)
      if (scenarios === Infinity && performance.now() - began > minutes * MINUTE_MS) break
    }
    return { figures: figuresOf(played), violations: violationsOf(played) }
  } finally {
    if (typeof disks !== 'string') for (const disk of disks) disk.unmount()
    rmSync(root, { recursive: true, force: true })
  }
}

/** Disks that fill up, or why there are none. */
function smallDisks(seed: number, count: number): SmallDisk[] | string {
  const disks: SmallDisk[] = []
  for (let number = 0; number < count; number++) {
    const disk = smallDisk(seed + number, number % 2 === 1)
    if (typeof disk === 'string') return disk
    disks.push(disk)
  }
  return disks
}

function violationsOf(played: readonly Played[]): string[] {
  return played.flatMap(({ violations }) => violations)
}

function figuresOf(played: readonly Played[]): RungFigures {
  const sum = (count: (one: Played) => number): number => played.reduce((total, one) => total + count(one), 0)
  return {
    scenarios: played.length,
    'faults reached': sum(({ faulted }) => Number(faulted)),
    'executors that failed': sum(({ failure }) => Number(failure !== undefined)),
    'stores that did not open': sum(({ unopened }) => Number(unopened !== undefined)),
    'full disks tried': sum(({ scenario }) => Number(scenario.filler !== undefined)),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    'calls refused': sum(({ refused }) => refused),
    'deaths in lmdb-js': sum(({ died }) => Number(died)),
    'loop late with slow syncs, ms': (played[0]?.loop?.lateMs ?? 0).toFixed(1),
  }
}

function fault(
  name: string,
  planted: EngineFault,
  scenarioOf: (root: string, seed: number) => Scenario,
  more: Partial<IoRunOptions> = {},
): PlantedFault {
  return {
    name,
    run: async ({ seed }) => {
      const root = mkdtempSync(join(tmpdir(), 'millrace-io-'))
      try {
        return violationsOf(await ioRun({ root, scenarios: [scenarioOf(root, seed)], fault: planted, ...more }))
      } finally {
        rmSync(root, { recursive: true, force: true })
      }
    },
  }
}

const refused = (root: string, seed: number): Scenario => ({ directory: join(root, 'store'), seed, order: 'fail 9 5 short on' })

export const rung: Rung = {
  name: 'io',
  summary: 'a disk that refuses, cuts short or holds up loses nothing, and takes nobody with it',
  defaultMinutes: 10,
  run: async (options) => {
    const missing = shimMissing()
    return missing === undefined ? await ioRung(options) : { figures: { skipped: missing }, violations: [] }
  },
  faults: [
    fault("swallows a commit's error", 'swallows', refused),
    fault('never answers for a commit that failed', 'never settles', refused, { silenceMs: HANG_MS }),
    fault('waits for the disk on the event loop', 'blocks', slow),
  ],
}
