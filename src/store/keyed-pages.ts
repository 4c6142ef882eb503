/** Finds the lanes of limit keys among the pages of the store: one seek each, however many jobs they hold. */
import { isKeyed, keyedEnd, laneEnd, lanePageKey, pageKey, readPageKey } from '../codec/keys.js'
import { readPageHeader } from '../codec/page.js'
import type { Engine, Entry } from './engine.js'

export interface FoundLane {
  readonly rank: number
  readonly lane: number
  /** Epoch ms from which on its first jobs can run. */
  readonly since: number
}

/** The first lane of a limit key of the queue at or behind a place. */
export function nextKeyedLane(engine: Engine, queueId: number, rank: number, lane: number): FoundLane | undefined {
  const start = lanePageKey(queueId, rank, Math.max(1, lane), 0, 0)
  const [first] = engine.range('pages', { start, end: keyedEnd(queueId), limit: 1 })
  if (first === undefined) return undefined
  const { enqueuedAt, runAt } = readPageHeader(first.value)
  const found = readPageKey(first.key)
  return { rank: found.rank, lane: found.lane, since: Math.max(enqueuedAt, runAt) }
}

/** The queues that hold jobs with limit keys. */
export function keyedQueues(engine: Engine): number[] {
  const found: number[] = []
  let start = lanePageKey(0, 0, 1, 0, 0)
  for (;;) {
    const [first] = engine.range('pages', { start, limit: 1 })
    if (first === undefined) return found
    const { queueId } = readPageKey(first.key)
    found.push(queueId)
    start = keyedEnd(queueId)
  }
}

/**
 * Records of a queue's pages from `start` on, or from its first one on. They lie in two places: behind the jobs without a limit key of
 * all queues come the others.
 */
export function pagesOfQueue(engine: Engine, queueId: number, start: Buffer | undefined, limit: number): Entry[] {
  const keyedFrom = lanePageKey(queueId, 0, 1, 0, 0)
  const end = keyedEnd(queueId)
  if (start !== undefined && isKeyed(start)) return engine.range('pages', { start, end, limit })
  const found = engine.range('pages', { start: start ?? pageKey(queueId, 0, 0, 0), end: laneEnd(queueId, 255), limit })
  if (found.length === limit) return found
  return [...found, ...engine.range('pages', { start: keyedFrom, end, limit: limit - found.length })]
}
