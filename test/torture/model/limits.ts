/**
 * What the documents say of limits: how many jobs of a key run, how much jobs weigh, how many begin in a span of time; and which jobs
 * could run while nothing moves. Where several limits meet, the model promises less than is kept.
 */
import type { JobInfo } from '../../../src/index.js'

interface ModelLimit {
  readonly key: string
  readonly max: number
  readonly rate?: { readonly max: number; readonly per: number }
}

const CUT_OFF: readonly string[] = ['interrupted', 'crashed']

/** Long beside what a run takes on a slow machine: runs are timed by a clock that is not turned. */
const SPAN_MS = 1_800_000
const SLACK_MS = 600_000

export const LIMITS = {
  one: { key: 'one', max: 1 },
  two: { key: 'two', max: 2 },
  paced: { key: 'paced', max: Infinity, rate: { max: 3, per: SPAN_MS } },
} as const satisfies Record<string, ModelLimit>

export type LimitName = keyof typeof LIMITS

export const LIMIT_NAMES = Object.keys(LIMITS) as LimitName[]

/** How a running or waiting job counts in an executor of so many threads. */
export function weightOf({ weight }: { readonly weight?: number | undefined }, threads: number, concurrency: number): number {
  return Math.min(weight ?? 1, threads, concurrency)
}

/** What nobody may see while nothing moves. @param held - the jobs that run */
export function limitProblems(held: readonly JobInfo[], threads: number, isRebounded: boolean): string[] {
  const problems: string[] = []
  for (const [key, infos] of byKey(held)) {
    const { max } = LIMITS[infos[0]?.limitKey as LimitName]
    if (infos.length > max) problems.push(`${infos.length} jobs of ${key} run, and ${max} may`)
  }
  // A queue that was narrower when a job began has let it count as less than it would by now.
  const load = held.reduce((sum, info) => sum + weightOf(info, threads, info.queue === 'narrow' ? 1 : Infinity), 0)
  if (!isRebounded && load > threads) problems.push(`jobs that count as ${load} run in ${threads} threads`)
  return problems
}

/**
 * Whether more jobs have begun than their rate lets.
 * @param infos - of which it is known that they had their limit all the time
 * @param isTold - whether all attempts of a job are known to have begun; of others those that a death or a thread's end cut off may not
 */
export function rateProblems(infos: readonly JobInfo[], isTold: (info: JobInfo) => boolean): string[] {
  const problems: string[] = []
  for (const [key, limited] of byKey(infos)) {
    const limit: ModelLimit = LIMITS[limited[0]?.limitKey as LimitName]
    if (limit.rate === undefined) continue
    const starts = limited
      .flatMap((info) => info.attempts.filter(({ outcome }) => !CUT_OFF.includes(outcome) || isTold(info)))
      .map(({ startedAt }) => startedAt)
      .sort((left, right) => left - right)
    for (const [index, from] of starts.entries()) {
      const next = starts[index + limit.rate.max]
      if (next !== undefined && next - from < SPAN_MS - SLACK_MS)
        problems.push(`${limit.rate.max + 1} jobs of ${key} began within ${next - from} ms`)
    }
  }
  return problems
}

/** Whether a job may have to wait for others of its limit key, those before it in its lane included. */
export function isLimited(info: JobInfo, infos: readonly JobInfo[]): boolean {
  if (info.limitKey === undefined) return false
  const limit: ModelLimit = LIMITS[info.limitKey as LimitName]
  const same = infos.filter(({ queue, limitKey }) => queue === info.queue && limitKey === info.limitKey)
  if (limit.rate !== undefined) return true
  return same.filter(({ state }) => state === 'running').length >= limit.max
}

function byKey(infos: readonly JobInfo[]): Map<string, JobInfo[]> {
  const found = new Map<string, JobInfo[]>()
  for (const info of infos) {
    if (info.limitKey === undefined) continue
    const name = `${info.limitKey} in ${info.queue}`
    found.set(name, [...(found.get(name) ?? []), info])
  }
  return found
}
