/**
 * Promise 2: a job never runs twice at the same time, and each run that was given out has one outcome. Two ways to break it are tried:
 * jobs that native code holds beyond their timeout are retried, and jobs that wait behind a slow one are taken back and given to
 * another thread. What a run leaves behind outside of the process tells whether another one of its job was there.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sole, written } from '../../fixtures/torture/victims.js'
import { Arena, discards } from './arena.js'

/** Longer than the timeout of `sole` and the wait for an exit together. */
const HELD_MS = 2000
const RETRIES = 1
const HELD_JOBS = 3
/** Much longer than a job that nobody has measured is thought to take. */
const SLOW_MS = 120
const GROUPS = 3
const BEHIND = 7

export interface LeaseFigures {
  /** Runs that native code went on with beyond their timeout. */
  readonly heldRuns: number
  /** Runs of jobs that came in groups of a slow one and others behind it. */
  readonly writtenRuns: number
}

/** @param scale - how many times the jobs of the quick form */
export async function leases(scale: number): Promise<{ readonly figures: LeaseFigures; readonly violations: readonly string[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-leases-'))
  const arena = await Arena.open({ jobs: [sole, written], threads: 2, maxStuckThreads: 2 })
  try {
    const heldRuns = await hold(arena, directory, HELD_JOBS * scale)
    const writtenRuns = await takeBack(arena, join(directory, 'written'), GROUPS * scale)
    await arena.drained()
    await arena.judge()
    return { figures: { heldRuns, writtenRuns }, violations: arena.violations.map((violation) => `leases: ${violation}`) }
  } finally {
    await arena.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Each run has a place of its job's own as long as it lasts: two at a time would share it. */
async function hold(arena: Arena, directory: string, jobs: number): Promise<number> {
  const handles = await Promise.all(
    Array.from({ length: jobs }, (_, index) =>
      arena.executor.enqueue(sole, { place: join(directory, `place-${index}`), ms: HELD_MS }, { maxRetries: RETRIES }),
    ),
  )
  for (const { id } of handles) arena.expect(id, discards('timedOut', RETRIES, 'MILLRACE_TIMEOUT'))
  await arena.drained()
  let held = 0
  for (const file of await readdir(directory)) {
    if (file.endsWith('.shared')) arena.blame(`a job ran twice at the same time: ${file}`)
    if (file.endsWith('.held')) held += (await readFile(join(directory, file))).length
  }
  if (held === 0) arena.blame('too little happened: no run was held by native code')
  return held
}

/** Behind a slow job others wait, which are taken back for the other thread: each runs once nevertheless. */
async function takeBack(arena: Arena, file: string, groups: number): Promise<number> {
  const { executor } = arena
  let jobs = 0
  for (let group = 0; group < groups; group++) {
    const inputs = Array.from({ length: 1 + BEHIND }, (_, index) => ({ file, ms: index === 0 ? SLOW_MS : 0 }))
    const handles = await executor.enqueueMany(written, inputs)
    for (const { id } of handles) arena.expect(id, { state: 'completed', attempts: ['1 completed'] })
    jobs += handles.length
  }
  await arena.drained()
  const runs = new Map<string, number>()
  for (const run of (await readFile(file, 'utf8')).trim().split('\n')) runs.set(run, (runs.get(run) ?? 0) + 1)
  for (const [run, times] of runs) if (times > 1) arena.blame(`job ${run.replace(' ', ', attempt ')}, ran ${times} times`)
  return jobs
}
