/** What must be found in a poisoned store at the end: exactly the guilty are quarantined, and no innocent was charged anything. */
import { systemClock } from '../../../src/base/clock.js'
import { openExecutor, type JobInfo } from '../../../src/index.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { poison } from '../../fixtures/torture/poison.js'
import { checkStore } from '../../support/store-check.js'

export const MAX_CRASHES = 3

/**
 * @param guilty - how many poisons were enqueued
 * @param acknowledged - ids of jobs that must be there. What was enqueued just before a death may be there as well
 */
export async function judgeStore(
  path: string,
  guilty: number,
  acknowledged: readonly string[],
): Promise<{ readonly found: readonly string[]; readonly innocents: number }> {
  const found: string[] = []
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  found.push(...checkStore(engine, { keepsAll: true, crashed: true }).map((problem) => `store: ${problem}`))
  await engine.close()
  // No definition is here: nothing runs while it is looked at, and nothing is blamed at open any more.
  const executor = await openExecutor({
    path,
    jobs: [],
    threads: 1,
    maxCrashes: Infinity,
    retain: { jobs: Infinity, age: Infinity },
  })
  const missing = new Set(acknowledged)
  let poisons = 0
  let innocents = 0
  for await (const info of executor.list()) {
    missing.delete(info.id)
    if (info.name === poison.name) poisons++
    else innocents++
    found.push(...(info.name === poison.name ? guiltyOne(info) : innocentOne(info)))
  }
  await executor.close({ grace: 0 })
  if (poisons !== guilty) found.push(`${poisons} poisons are stored, ${guilty} were enqueued`)
  for (const id of missing) found.push(`job ${id} was acknowledged and is lost`)
  return { found, innocents }
}

function guiltyOne({ id, state, crashes, error }: JobInfo): string[] {
  const is = `${state}, ${crashes} crashes, ${error?.code ?? 'no error'}`
  return is === `discarded, ${MAX_CRASHES} crashes, MILLRACE_QUARANTINED` ? [] : [`guilty ${id} is ${is}`]
}

function innocentOne({ id, state, crashes, attempt, attempts }: JobInfo): string[] {
  const outcomes = attempts.map(({ outcome }) => outcome)
  const isUncharged =
    attempt === 1 && crashes === 0 && outcomes.every((outcome) => outcome === 'interrupted' || outcome === 'completed')
  return state === 'completed' && isUncharged
    ? []
    : [`innocent ${id} is ${state}, attempt ${attempt}, ${crashes} crashes, ${outcomes.join()}`]
}
