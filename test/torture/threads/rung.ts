/**
 * Promises 3 and 4: threads that are ended by the thousand, and storms in which every job fails in the same way. Nothing aborts, hangs
 * or leaks; each job ends as the API says, and an innocent pays for nobody.
 */
import type { Rung, RungFigures, RungOptions, RungReport } from '../rung.js'
import { endedWhileLoading } from './arena.js'
import { FAULTS } from './faults.js'
import { leases } from './leases.js'
import { memoryStorm } from './memory-storm.js'
import { leaks, mib, remains } from './remains.js'
import { runStorm, STORMS } from './storms.js'
import { terminations } from './terminations.js'

const TERMINATIONS = 1000
const LONG_SCALE = 10
/** Ended before anything is measured: what the process gets once and keeps is no leak. */
const WARM_UP = 10

interface Extent {
  readonly terminations: number
  readonly scale: number
}

/** One round: the terminations, then every storm; memory, threads and files before and after each. */
export async function climb(extent: Extent, { seed, progress }: Pick<RungOptions, 'seed' | 'progress'>): Promise<RungReport> {
  const violations: string[] = []
  const figures: Record<string, string | number> = {}
  violations.push(...(await terminations(WARM_UP, seed, () => undefined)).violations)
  const first = await remains()
  const loadingAtFirst = endedWhileLoading()
  let before = first
  let loadingBefore = endedWhileLoading()
  const ended = async (name: string): Promise<void> => {
    const after = await remains()
    const loading = endedWhileLoading() - loadingBefore
    violations.push(...leaks(before, after, loading).map((leak) => `${name}: ${leak}`))
    const modules = (after.modules ?? 0) - (before.modules ?? 0)
    figures[`${name}: leaves`] =
      `${mib(after.rssBytes - before.rssBytes)} MiB, ${modules} modules open of ${loading} threads that ended while they loaded`
    before = after
    loadingBefore = endedWhileLoading()
  }
  const load = await terminations(extent.terminations, seed, progress)
  violations.push(...load.violations)
  Object.assign(figures, load.figures)
  await ended('terminations')
  for (const storm of STORMS) {
    const { figures: told, violations: found } = await runStorm(storm, extent.scale)
    violations.push(...found)
    const { attempts, goodJobs, commits, looks, badBeforeGood, badMs, badMsAtMost } = told
    figures[storm.name] =
      `${attempts} attempts, ${commits} commits, ${looks} looks, ${goodJobs} good jobs done after ${badBeforeGood} bad ones and ${badMs} ms of theirs (${badMsAtMost})`
    progress(`${storm.name}: ${figures[storm.name]}`)
    await ended(storm.name)
  }
  const held = await leases(extent.scale)
  violations.push(...held.violations)
  Object.assign(figures, held.figures)
  await ended('leases')
  const memory = await memoryStorm(extent.scale)
  violations.push(...memory.violations)
  const { jobs, recycled, mostMib } = memory.figures
  figures['every job keeps memory'] = `${jobs} jobs, ${recycled} threads replaced, ${mostMib} MiB at most`
  await ended('every job keeps memory')
  // A little that each leaves behind, and that no storm's margin sees.
  violations.push(...leaks(first, before, endedWhileLoading() - loadingAtFirst).map((leak) => `all storms together: ${leak}`))
  figures['all storms together: leave'] = `${mib(before.rssBytes - first.rssBytes)} MiB`
  return { figures, violations }
}

async function run(options: RungOptions): Promise<RungReport> {
  const until = performance.now() + options.minutes * 60_000
  const violations: string[] = []
  let figures: RungFigures = {}
  let rounds = 0
  do {
    const extent = { terminations: TERMINATIONS, scale: LONG_SCALE }
    const report = await climb(extent, { seed: options.seed + rounds, progress: options.progress })
    rounds++
    figures = report.figures
    violations.push(...report.violations)
  } while (violations.length === 0 && performance.now() < until)
  return { figures: { rounds, ...figures }, violations }
}

export const rung: Rung = {
  name: 'threads',
  summary: 'promises 3 and 4: 1,000 ended threads under load, and storms of timeouts, exits, out of memory, native code',
  defaultMinutes: 5,
  run,
  // A run of the quick form has some 80 % of its threads end during a commit, and 760 commits.
  least: { terminations: 100, goodJobs: 100, commits: 300, goneInCommitPercent: 30, heldRuns: 2, writtenRuns: 24 },
  control: async ({ seed, progress }) => (await climb({ terminations: 12, scale: 1 }, { seed, progress })).violations,
  faults: FAULTS,
}
