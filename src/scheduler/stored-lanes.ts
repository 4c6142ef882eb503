/** The lanes that a store holds jobs in, as it is opened: a seek for each, however many jobs there are. */
import type { JobStore } from '../store/job-store.js'
import { keyedQueues } from '../store/keyed-pages.js'

export interface StoredLane {
  readonly queueId: number
  /** Undefined for all those of a queue's limit keys, which are looked for later. */
  readonly rank: number | undefined
}

export function* storedLanes(store: JobStore): Generator<StoredLane> {
  let queueId = 0
  let rank = 0
  for (;;) {
    const found = store.nextLane(queueId, rank)
    if (found === undefined) break
    yield found
    if (found.rank === 255) {
      queueId = found.queueId + 1
      rank = 0
    } else {
      queueId = found.queueId
      rank = found.rank + 1
    }
  }
  for (const id of keyedQueues(store.engine)) yield { queueId: id, rank: undefined }
}
