/** Moves a page that waits in `scheduled` to the end of its lane: its jobs are due, or somebody says that they are. */
import { INDEX_GROUP, INDEX_SOLO } from '../codec/keys.js'
import { laneOfPage } from '../codec/limit-lane.js'
import { ENTRY_RETRY, PAGE_HEADER_BYTES } from '../codec/page.js'
import type { ScheduledPage } from '../codec/scheduled-record.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'

export interface PromotionOptions {
  readonly store: JobStore
  readonly ready: ReadyQueues
}

/**
 * @param waiting - stands in for the record, with its marks
 * @returns the page in its lane
 */
export function promotePage(
  scheduled: ScheduledPage,
  waiting: PageRef,
  writes: WriteBatch,
  { store, ready }: PromotionOptions,
): PageRef {
  const { header, bytes, queueId, rank } = scheduled
  const page = new PageRef(queueId, rank, store.counters.nextSeq++, 0, header, bytes, -1, laneOfPage(bytes))
  if (waiting.doneCount > 0) {
    page.restoreMarks(waiting.marks())
    writes.remove('marks', scheduled.key)
    writes.put('marks', page.key, page.marks())
  }
  writes.remove('scheduled', scheduled.key)
  store.putPage(writes, page)
  store.putLocation(writes, header.solo ? INDEX_SOLO : INDEX_GROUP, header.firstSeq, page.key)
  store.stats.moved(page, isRetry(bytes) ? 'retryable' : 'scheduled', 'waiting')
  ready.append(page)
  return page
}

/** Whether the page is of one job that waits for its next attempt. */
export function isRetry(bytes: Buffer): boolean {
  return ((bytes[PAGE_HEADER_BYTES + 6] ?? 0) & ENTRY_RETRY) !== 0
}
