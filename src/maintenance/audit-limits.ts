/**
 * What the store audit knows of limits: that a page lies in the lane of its jobs' limit key, that all jobs of a page have the same one,
 * and that records of rates can be read and belong to a queue. What was started under a rate follows from nothing else; a record that
 * cannot be read is removed by a repair, as if nothing had been started.
 */
import { laneOf } from '../codec/limit-lane.js'
import { entryEnd, PAGE_HEADER_BYTES, readOverrides, readPageHeader } from '../codec/page.js'
import type { Entry, WriteBatch } from '../store/engine.js'
import { parseRate } from '../store/rates.js'

export interface LimitProblem {
  readonly text: string
  readonly repair: (batch: WriteBatch) => void
}

/** What is wrong with where a page's jobs lie. @param lane - of the page's key; undefined for one that is in no lane yet */
export function misplacements(page: Buffer, lane?: number): string[] {
  if (page.readUInt32LE(4) === 0 && !lane) return []
  const overrides = readOverrides(page)
  const lanes = new Set<number>()
  let offset = PAGE_HEADER_BYTES
  for (let index = 0; index < readPageHeader(page).count; index++) {
    const key = overrides[(page[offset + 7] ?? 0) - 1]?.limitKey
    lanes.add(key === undefined ? 0 : laneOf(key))
    offset = entryEnd(page, offset)
  }
  const problems: string[] = []
  if (lanes.size > 1) problems.push('holds jobs of different limit keys')
  const [right] = lanes
  if (lane !== undefined && right !== undefined && lanes.size === 1 && lane !== right)
    problems.push(`lies in lane ${lane}, and its limit key has lane ${right}`)
  return problems
}

export function* auditRates(records: readonly Entry[], queues: ReadonlySet<number>): Generator<LimitProblem> {
  for (const { key, value } of records) {
    const name = key.toString('utf8').slice('rate:'.length)
    const repair = (batch: WriteBatch): void => batch.remove('meta', key)
    const [, queue] = /^(\d+)(?:\.[\da-f]{12})?$/.exec(name) ?? []
    if (queue === undefined) yield { text: `meta rate "${name}" has no name of a rate`, repair }
    else if (!queues.has(Number(queue))) yield { text: `meta rate "${name}" is of an unknown queue`, repair }
    try {
      parseRate(name, value)
    } catch {
      yield { text: `meta rate "${name}" cannot be read`, repair }
    }
  }
}
