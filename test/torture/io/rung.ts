/**
 * I/O faults: whatever the disk refuses, cuts short or holds up, nothing is told before its time or told and lost, nothing that was
 * refused comes back, every call is answered, the process and its event loop live on, and the store opens again.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import type { IoFault } from '../../fixtures/io/faults.js'
import type { Scenario } from '../../fixtures/io/scenario.js'
import { createPrng } from '../../support/prng.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import type { IoRunOptions } from './io-run.js'
import { ioRun } from './io-run.js'
import { prepare } from './prepare.js'
import { fullMap, lastOf, sample, share, SHARES, slow, spoiledScenario } from './scenarios.js'
import { smallDisks } from './small-disk.js'
import type { Kind } from './starts.js'
import { Tally } from './tally.js'

const MINUTE_MS = 60_000
/** Scenarios of one process. */
const TOGETHER = 20
const VIOLATIONS_MAX = 50
/**
 * One of so many scenarios bears what a message of lmdb-js that is too long does to its process, and what that leaves is judged. In the
 * others nothing excuses a death.
 */
const HARMED_OF = 5
/** Half of them filled by others. */
const FULL_DISKS = 10
/** The sync of the new file, and that of the directory in which it takes the place of the old one. */
const COMPACTION_ENDS = 2

/** The long form: the share of the seed, whole if there is time; then that of the next one. */
export async function ioRung(options: RungOptions): Promise<RungReport> {
  const { seed, minutes, progress } = options
  const until = performance.now() + minutes * MINUTE_MS
  let whole = 0
  const report = await withTally(seed, FULL_DISKS, async (tally, root) => {
    const isOver = (): boolean => performance.now() > until || tally.violations.length >= VIOLATIONS_MAX
    do {
      const prepared = await prepare(root, seed + whole)
      tally.expect(prepared.steps)
      tally.add([], prepared.violations)
      const spoiled = share(seed + whole, prepared, createPrng(seed + whole))
      let count = 0
      while (count < spoiled.length && !isOver()) {
        const scenarios = spoiled
          .slice(count, count + TOGETHER)
          .map((one, index) => spoiledScenario(root, count + index, prepared, one))
        await playAll(root, scenarios, { starts: prepared.starts }, tally)
        count += scenarios.length
        progress(`share of seed ${seed + whole}: ${count} of ${spoiled.length} scenarios, ${tally.violations.length} violations`)
      }
      if (count >= spoiled.length) whole++
    } while (!isOver())
  })
  return { ...report, figures: { ...report.figures, 'whole shares': `${whole} of ${SHARES}` } }
}

/** The quick form: a sample of the steps of each kind, and the syncs that end a compaction. */
export async function ioSample({ seed }: RungOptions, counts: Readonly<Record<Kind, number>>): Promise<RungReport> {
  return await withTally(seed, 2, async (tally, root) => {
    const prepared = await prepare(root, seed)
    tally.expect(prepared.steps)
    tally.add([], prepared.violations)
    const spoiled = [...sample(counts, prepared, createPrng(seed)), ...lastOf('compact', COMPACTION_ENDS, prepared)]
    const scenarios = spoiled.map((one, index) => spoiledScenario(root, index, prepared, one))
    await playAll(root, scenarios, { starts: prepared.starts }, tally)
  })
}

/** Plays what every run has, a slow disk, a full map, full disks, and then what is to be played. */
async function withTally(seed: number, disks: number, play: (tally: Tally, root: string) => Promise<void>): Promise<RungReport> {
  const missing = shimMissing()
  if (missing !== undefined) return { figures: {}, violations: [], skipped: [`all of it: ${missing}`] }
  const root = mkdtempSync(join(tmpdir(), 'millrace-io-'))
  const small = smallDisks(seed, disks)
  const tally = new Tally()
  try {
    const full = typeof small === 'string' ? [] : small.map(({ scenario }) => scenario)
    await playAll(root, [slow(root, seed), fullMap(root, seed), ...full], {}, tally)
    await play(tally, root)
    return { figures: tally.figures, violations: tally.violations, skipped: typeof small === 'string' ? [small] : [] }
  } finally {
    if (typeof small !== 'string') for (const disk of small) disk.unmount()
    rmSync(root, { recursive: true, force: true })
  }
}

async function playAll(root: string, scenarios: readonly Scenario[], more: Partial<IoRunOptions>, tally: Tally): Promise<void> {
  for (const harms of [false, true]) {
    const some = scenarios.filter((_scenario, index) => (index % HARMED_OF === HARMED_OF - 1) === harms)
    tally.add(await ioRun({ root, scenarios: some, harms, ...more }))
  }
  for (const { directory, filler } of scenarios)
    if (filler === undefined) rmSync(dirname(directory), { recursive: true, force: true })
}

type MakeScenarios = (root: string, seed: number) => readonly Scenario[]

async function planted(seed: number, scenariosOf: MakeScenarios, more: Partial<IoRunOptions>): Promise<readonly string[]> {
  const root = mkdtempSync(join(tmpdir(), 'millrace-io-'))
  try {
    const played = await ioRun({ root, scenarios: scenariosOf(root, seed), ...more })
    return played.flatMap(({ violations }) => violations)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function fault(
  name: string,
  seenBy: RegExp,
  what: IoFault,
  scenariosOf: MakeScenarios,
  more: Partial<IoRunOptions> = {},
): PlantedFault {
  return { name, seenBy, run: async ({ seed }) => await planted(seed, scenariosOf, { fault: what, ...more }) }
}

/** A commit takes three steps at least: one of these writes its data, or syncs it, or makes it valid. */
const SPOILED = [9, 10, 11]
/** A store that swallows its errors may wait for ever for what it has lost, and has shown itself by then. */
const SHOWN_MS = 20_000

function spoiled(way: string): MakeScenarios {
  return (root, seed) => {
    const directoryOf = (step: number): string => join(root, `${way.replace(' ', '-')}-${step}`, 'store')
    return SPOILED.map((step) => ({ directory: directoryOf(step), seed, order: `fail ${step} 5 ${way}` }))
  }
}

const refused = spoiled('short on')
/** A disk that refuses once and is sound then: whoever goes on can do so durably. */
const refusedOnce = spoiled('refuse once')
const slowly: MakeScenarios = (root, seed) => [slow(root, seed)]
/** A disk that refuses, and in the same process one that is sound. */
const refusedThenSound: MakeScenarios = (root, seed) => [
  { directory: join(root, 'late', 'store'), seed, order: 'fail 9 5 refuse once' },
  { directory: join(root, 'sound', 'store'), seed },
]

export const rung: Rung = {
  name: 'io',
  summary: `a disk that refuses, cuts short or holds up loses nothing, and takes nobody with it; ${SHARES} seeds in a row make the sweep whole`,
  // What a whole share takes on two cores that are shared with other work.
  defaultMinutes: 20,
  run: ioRung,
  least: {
    'faults reached': 100,
    'executors that failed': 40,
    'stores that did not open': 5,
    'chores that failed': 5,
    'full disks tried': FULL_DISKS,
    acknowledged: 1000,
    'calls refused': 50,
    'slow syncs': 5,
  },
  control: async ({ seed }) =>
    await planted(seed, (root, same) => [refused, refusedOnce, refusedThenSound].flatMap((make) => make(root, same)), {}),
  faults: [
    fault("swallows a commit's error", /\[(unheard|too early|lost|ran after over)\]/, 'swallows', refused, {
      silenceMs: SHOWN_MS,
    }),
    fault('never answers for a commit that failed', /\[process\].*exit code 13/s, 'never settles', refused),
    fault('waits for the disk on the event loop', /\[loop\]/, 'blocks', slowly),
    fault('says that it has failed, and goes on, durably', /\[after failure\]/, 'goes on', refusedOnce),
    fault(
      'dies of a write that its disk has refused',
      /refuse once.*\[process\].*died by SIGABRT/s,
      'aborts when refused',
      refusedOnce,
    ),
    fault(
      'dies of something else after a disk has refused',
      /a sound disk.*\[process\].*died by SIGABRT/s,
      'aborts',
      refusedThenSound,
    ),
  ],
}
