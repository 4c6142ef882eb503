/** Which jobs threads are at. Not always one of a thread's first batch: that may have run out, with its result still on its way. */
import type { Batch } from '../dispatcher/batch.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'

export interface RunningJob {
  readonly batch: Batch
  readonly slot: ThreadSlot
  /** In the batch. */
  readonly index: number
}

/** Those included that native code holds in a thread which another one has replaced. */
export function* runningJobs(dispatcher: Dispatcher): Generator<RunningJob> {
  for (const { batch, slot } of dispatcher.batches) {
    // Of one that was not sent yet the memory is that of the batch before.
    if (batch.sentAt === 0 || batch.end !== undefined) continue
    // Read once: the thread goes on.
    const index = batch.running
    if (index >= 0 && index < batch.limit) yield { batch, slot, index }
  }
}
