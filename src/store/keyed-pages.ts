/** Finds the lanes of limit keys among the pages of the store: one seek each, however many jobs they hold. */
import { keyedEnd, lanePageKey, readPageKey } from '../codec/keys.js'
import type { Engine } from './engine.js'

/** The first lane of a limit key of the queue at or behind a place. */
export function nextKeyedLane(
  engine: Engine,
  queueId: number,
  rank: number,
  lane: number,
): { readonly rank: number; readonly lane: number } | undefined {
  const start = lanePageKey(queueId, rank, Math.max(1, lane), 0, 0)
  const [first] = engine.range('pages', { start, end: keyedEnd(queueId), limit: 1 })
  return first === undefined ? undefined : readPageKey(first.key)
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
