/** What comes next in a lane, beside jobs that were ended while they waited: those are passed over, and leave the lane. */
import type { Slice } from '../store/page-ref.js'
import { hasJobs, type Lane } from './lane.js'

/** The first slice with a job that is not over; undefined when there is none, or none that can be read before the commit. */
export function liveFront(lane: Lane): Slice | undefined {
  while (lane.isReadable) {
    const front = lane.front()
    if (front === undefined) continue
    if (hasJobs(front)) return front
    lane.shift(undefined)
  }
  return undefined
}
