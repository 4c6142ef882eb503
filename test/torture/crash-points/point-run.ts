/**
 * One crash point: a process goes through the history of a seed and dies at its n-th place, a second one opens what is left and dies
 * at an early place of its own, mostly in recovery, and a third one lets everything come to its end and lists what is there. What
 * all of them told is judged as in the random kill test. Chance has its part in each run (threads, the machine's load), so what was
 * found in one is kept as it is.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openForInspection } from '../../../src/executor/open-for-inspection.js'
import type { JobInfo } from '../../../src/index.js'
import type { Line } from '../../fixtures/crash/journal-line.js'
import type { PlantedName } from '../../fixtures/crash/process-faults.js'
import { judge } from '../../support/crash-judge.js'
import type { Incarnation } from '../../support/crash-run.js'
import { Life, lookInto, OpenJobs } from '../../support/crash-run.js'
import { jobsOf } from '../../support/sample-store.js'
import type { PointChildConfig } from './child.js'

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url))
/** Places that a process passes until it has recovered, and a few more. */
const EARLY_PLACES = 24
/** Of a store whose first opening was cut off. */
const UNMADE: readonly string[] = ['meta has no format', 'meta has no counters']

export interface PointRun {
  readonly seed: number
  /** Counted from 1. */
  readonly place: number
  readonly fault?: PlantedName
}

export interface PointReport {
  /** Where the processes died; the first is undefined when the history has no so many places. */
  readonly diedAt: readonly (string | undefined)[]
  /** Of the history, when it came to its end. */
  readonly places: number | undefined
  readonly acknowledged: number
  readonly runs: number
  /** Whole copies of the store that its processes left. */
  readonly backups?: number
  readonly violations: readonly string[]
}

export async function pointRun({ seed, place, fault }: PointRun): Promise<PointReport> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-point-'))
  const directory = join(root, 'store')
  // Half of the histories prune: what is gone then cannot be asked for any more.
  const keeps = seed % 2 === 0 ? 4 : 0
  const incarnations: Incarnation[] = []
  const open = new OpenJobs()
  let isKept = false
  const live = async (more: Pick<PointChildConfig, 'mode' | 'place' | 'fault'>): Promise<readonly Line[]> => {
    const number = incarnations.length + 1
    const follow = keeps === 0 ? open.latest(Infinity) : []
    const backup = join(root, `backup-${number}`)
    const config = { directory, seed, incarnation: number, keeps, follow, backup, ...more } satisfies PointChildConfig
    const life = new Life(CHILD, config, 'its own')
    const problems = await life.run()
    const wasMade = [...incarnations, life].some(({ lines }) => lines.some(({ is }) => is === 'open'))
    const storeProblems = (await lookInto(directory, true, keeps === 0)).filter((text) => wasMade || !UNMADE.includes(text))
    open.take(life.lines)
    const copy = await lookAtCopy(backup, keeps === 0)
    storeProblems.push(...copy.problems)
    const died = life.lines.some(({ is }) => is === 'dies')
    const killed = !died ? 'never' : life.openMs === 0 ? 'opening' : 'running'
    incarnations.push({ number, killed, stopped: false, ...copy.jobs, lines: life.lines, problems, storeProblems })
    return life.lines
  }
  try {
    const planted = fault === undefined ? {} : { fault }
    const first = await live({ mode: 'run', place, ...planted })
    const second = await live({ mode: 'run', place: 1 + ((place * 7 + seed) % EARLY_PLACES), ...planted })
    await live({ mode: 'drain', place: 0 })
    const { problems, figures } = judge({ seed, incarnations, prunes: keeps > 0 })
    const diedAt = [first, second].map((lines) => lines.find((line) => line.is === 'dies')?.at)
    const violations = problems.map(({ check, text }) => `seed ${seed}, place ${place} (${diedAt.join('; ')}): ${check}: ${text}`)
    if (violations.length > 0 && fault === undefined) {
      isKept = true
      await writeFile(join(root, 'journal.json'), JSON.stringify({ violations, incarnations }, undefined, 1))
      violations.push(`the store, and what its processes told in journal.json, are kept in ${root}`)
    }
    return {
      diedAt,
      places: first.find((line) => line.is === 'passed')?.places,
      acknowledged: figures.acknowledged,
      runs: figures.runs,
      backups: figures.backups,
      violations,
    }
  } finally {
    if (!isKept) await rm(root, { recursive: true, force: true })
  }
}

/** A backup is there as a whole store, or not at all. */
async function lookAtCopy(
  path: string,
  keepsAll: boolean,
): Promise<{ readonly problems: readonly string[]; readonly jobs: Pick<Incarnation, 'backup'> }> {
  if (!existsSync(path)) return { problems: [], jobs: {} }
  try {
    const problems = (await lookInto(path, true, keepsAll)).map((problem) => `the backup: ${problem}`)
    const { executor } = await openForInspection(path, 'look')
    const backup = Array.from(await jobsOf(executor), ([id, info]) => ({ id, key: keyIn(info) }))
    await executor.close()
    return { problems, jobs: { backup } }
  } catch (error) {
    return { problems: [`the backup: ${String(error)}`], jobs: {} }
  }
}

function keyIn({ input, schedule }: JobInfo): number {
  return schedule?.plannedAt ?? (input as { readonly key: number }).key
}
