/**
 * Crash points of a migration: a store of an earlier format is opened by a process that dies at its n-th place, then by one that
 * dies at an early place of its own, then by one that lets everything come to its end. Whatever they did, the store is then as it is
 * when nobody died: the same jobs, ended in the same way, and those that were over before untouched.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { openForInspection } from '../../../src/executor/open-for-inspection.js'
import type { JobInfo } from '../../../src/index.js'
import { FORMAT } from '../../../src/store/format.js'
import type { Fault } from '../../fixtures/crash/faults.js'
import type { Line } from '../../fixtures/crash/journal-line.js'
import { Life, lookInto } from '../../support/crash-run.js'
import { formatOf, type OLD_FORMATS, placeOldStore } from '../../support/old-stores.js'
import { jobsOf } from '../../support/sample-store.js'
import type { MigrationChildConfig } from './migration-child.js'
import type { PointReport } from './point-run.js'

const CHILD = fileURLToPath(new URL('./migration-child.js', import.meta.url))
/** Places that a process passes until it has opened the store, and a few more. */
const EARLY_PLACES = 24
const OVER: readonly string[] = ['completed', 'cancelled', 'discarded']

type Jobs = ReadonlyMap<string, JobInfo>

export interface MigrationRun {
  readonly format: (typeof OLD_FORMATS)[number]
  /** Counted from 1; 0: nobody dies. */
  readonly place: number
  readonly fault?: Fault
  /** How the jobs end when nobody dies, from a run at place 0. */
  readonly expected?: Jobs
}

export interface MigrationReport extends PointReport {
  readonly jobs: Jobs
}

export async function migrationRun({ format, place, fault, expected }: MigrationRun): Promise<MigrationReport> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-migration-'))
  const violations: string[] = []
  const lines: Line[] = []
  const complain = (text: string): void => void violations.push(`format ${format}, place ${place}: ${text}`)
  const live = async (at: number): Promise<readonly Line[]> => {
    const config = { directory, place: at, ...(fault !== undefined && { fault }) } satisfies MigrationChildConfig
    const life = new Life(CHILD, config, 'its own')
    for (const problem of await life.run()) complain(problem)
    for (const problem of await lookInto(directory, true)) complain(`store: ${problem}`)
    lines.push(...life.lines)
    return life.lines
  }
  try {
    await placeOldStore(format, directory)
    const before = await listed(directory)
    const first = await live(place)
    const second = place === 0 ? [] : await live(1 + ((place * 7) % EARLY_PLACES))
    if (place !== 0) await live(0)
    const jobs = await listed(directory)
    if ((await formatOf(directory)) !== FORMAT) complain('its format is not of today')
    for (const problem of compare(before, jobs, expected ?? jobs, lines)) complain(problem)
    return {
      diedAt: [first, second].map((told) => told.find((line) => line.is === 'dies')?.at),
      places: first.find((line) => line.is === 'passed')?.places,
      acknowledged: before.size,
      runs: lines.filter(({ is }) => is === 'outcome').length,
      violations,
      jobs,
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function listed(directory: string): Promise<Jobs> {
  const { executor } = await openForInspection(directory, 'look')
  try {
    return await jobsOf(executor)
  } finally {
    await executor.close()
  }
}

function* compare(before: Jobs, after: Jobs, expected: Jobs, lines: readonly Line[]): Generator<string> {
  for (const [id, info] of before) {
    const now = after.get(id)
    if (now === undefined) yield `lost: job ${id} ("${info.name}", ${info.state})`
    else if (OVER.includes(info.state) && !isDeepStrictEqual(now, info)) yield `job ${id} was ${info.state} and is another now`
    else if (!isDeepStrictEqual([now.input, now.queue, now.priority], [info.input, info.queue, info.priority]))
      yield `job ${id} has another input, queue or priority`
  }
  for (const [id, { name, state, output, attempts }] of after) {
    const wanted = expected.get(id)
    if (!before.has(id)) yield `job ${id} came from nowhere`
    // One that runs alone when its process dies is charged that: it may be given up before it is cancelled.
    else if (state !== wanted?.state && name !== 'patient') yield `job ${id} ("${name}") is ${state}, not ${wanted?.state}`
    // What was in flight when the store was left was rescued, and that is one of them.
    else if (attempts.length < (wanted?.attempts.length ?? 0)) yield `job ${id} has lost attempts`
    else if (!isDeepStrictEqual(output, wanted?.output)) yield `job ${id} has another output`
  }
  const ended = new Set<string>()
  for (const line of lines) {
    if (line.is === 'complaint') yield line.text
    if (line.is !== 'outcome') continue
    if (ended.has(line.id)) yield `job ${line.id} ended, and ended again`
    ended.add(line.id)
    if (after.get(line.id)?.state !== line.state)
      yield `job ${line.id} was told to be ${line.state}, and is ${after.get(line.id)?.state}`
    if (OVER.includes(before.get(line.id)?.state ?? '')) yield `job ${line.id} was over before, and ended again`
  }
}
