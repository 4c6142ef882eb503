/** Takes a waiting job out of the reach of threads, so that this turn can change it. */
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { PageRef } from '../store/page-ref.js'

interface Waiting {
  readonly page: PageRef
  readonly index: number
}

interface Holders {
  readonly dispatcher: Dispatcher
  readonly ready: ReadyQueues
}

/** True when the job was waiting, in its lane or inside a batch, and no thread can begin it any more; false when one has. */
export function withdraw({ page, index }: Waiting, { dispatcher, ready }: Holders): boolean {
  const held = dispatcher.find(page, index)
  if (held !== undefined && held.index < held.batch.limit) {
    // From every batch of the thread: those behind this one would overtake what comes back.
    if (held.index >= held.batch.control.taken) ready.putBack([...held.slot.takeBack().values(), held.batch.steal()].flat())
    if (held.index < held.batch.limit) return false
  }
  ready.withdrawn(page, index)
  return true
}

/** Whether a thread has begun the job, or is about to and cannot be kept from it. */
export function hasBegun({ page, index }: Waiting, { dispatcher }: Holders): boolean {
  const held = dispatcher.find(page, index)
  return held !== undefined && held.index < held.batch.control.taken
}
