/** The statistics of a store that keeps everything, counted anew from its jobs and their histories. */
import { isDeepStrictEqual } from 'node:util'
import { ATTEMPTS_KEPT } from '../../src/base/limits.js'
import type { Executor, JobInfo, JobState, JobStatistics, Tally } from '../../src/index.js'
import { isFinal } from '../../src/job/job-state.js'
import { COUNTS, tallyOf } from '../../src/telemetry/counts.js'

/** As what a job had ended each time that it was brought back, and after how many attempts. */
type EndsOf = (info: JobInfo) => readonly { readonly state: JobState; readonly attempts: number }[]

type Counts = Record<keyof Tally, number>

interface Recount {
  readonly totals: Counts
  waiting: number
  scheduled: number
  retryable: number
}

/**
 * What is wrong with `stats()`. Nothing may have been pruned, and nothing may happen meanwhile.
 * @param begun - jobs that are at work and have begun, by the id of each
 * @param endsOf - how often a job was over and was brought back
 */
export function statisticsProblems(
  executor: Executor,
  infos: readonly JobInfo[],
  begun: ReadonlySet<string>,
  endsOf: EndsOf = () => [],
): string[] {
  // Of longer histories something was left out.
  if (infos.some(({ attempts }) => attempts.length >= ATTEMPTS_KEPT)) return []
  const stats = executor.stats()
  return [
    ...compare(
      'queue',
      stats.queues,
      recount(infos, begun, endsOf, ({ queue }) => queue),
    ),
    ...compare(
      'definition',
      stats.definitions,
      recount(infos, begun, endsOf, ({ name }) => name),
    ),
  ]
}

function recount(
  infos: readonly JobInfo[],
  begun: ReadonlySet<string>,
  endsOf: EndsOf,
  nameOf: (info: JobInfo) => string,
): Map<string, Recount> {
  const found = new Map<string, Recount>()
  for (const info of infos) {
    let each = found.get(nameOf(info))
    if (each === undefined) {
      each = { totals: { ...tallyOf(() => 0) }, waiting: 0, scheduled: 0, retryable: 0 }
      found.set(nameOf(info), each)
    }
    addJob(each, info, endsOf(info), begun.has(info.id))
  }
  return found
}

function addJob(into: Recount, { state, attempts }: JobInfo, ends: ReturnType<EndsOf>, isAtWork: boolean): void {
  const { totals } = into
  totals.enqueued += 1 + ends.length
  for (const each of ends) if (isFinal(each.state)) totals[each.state]++
  // The failures after which there was no retry.
  const last = ends.filter((each) => each.state === 'discarded').map((each) => each.attempts)
  if (state === 'discarded') last.push(attempts.length)
  if (isFinal(state)) totals[state]++
  else if (state === 'available' || state === 'running') into.waiting++
  else into[state]++
  totals.started += attempts.length + (isAtWork ? 1 : 0)
  for (const [index, { outcome }] of attempts.entries()) {
    // Those that ended the job are counted by its state.
    if (outcome !== 'completed' && outcome !== 'cancelled') totals[outcome]++
    const isFailure = outcome === 'failed' || outcome === 'timedOut'
    if (isFailure && !last.includes(index + 1)) totals.retried++
  }
}

function compare(what: string, told: Readonly<Record<string, JobStatistics>>, found: Map<string, Recount>): string[] {
  const problems: string[] = []
  for (const name of new Set([...Object.keys(told), ...found.keys()])) {
    const { totals, waiting = 0, scheduled = 0, retryable = 0 } = told[name] ?? {}
    const counted = found.get(name) ?? { totals: tallyOf(() => 0), waiting: 0, scheduled: 0, retryable: 0 }
    for (const count of COUNTS)
      if ((totals?.[count] ?? 0) !== counted.totals[count])
        problems.push(`${what} ${name} tells of ${totals?.[count]} ${count}, its jobs of ${counted.totals[count]}`)
    const gauges = { waiting, scheduled, retryable }
    const { totals: _totals, ...rest } = counted
    if (!isDeepStrictEqual(gauges, rest))
      problems.push(`${what} ${name} tells of ${JSON.stringify(gauges)}, its jobs of ${JSON.stringify(rest)}`)
  }
  return problems
}
