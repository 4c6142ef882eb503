/** Moves a page that waits in `scheduled` to the end of its lane: its jobs are due, or somebody says that they are. */
import { INDEX_GROUP, INDEX_SOLO } from '../codec/keys.js'
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
 * @returns how many jobs have moved
 */
export function promotePage(
  scheduled: ScheduledPage,
  waiting: PageRef,
  writes: WriteBatch,
  { store, ready }: PromotionOptions,
): number {
  const { counters } = store
  const { header, bytes, queueId, rank } = scheduled
  const page = new PageRef(queueId, rank, counters.nextSeq++, 0, header, bytes, -1)
  if (waiting.doneCount > 0) {
    page.restoreMarks(waiting.marks())
    writes.remove('marks', scheduled.key)
    writes.put('marks', page.key, page.marks())
  }
  const left = header.count - page.doneCount
  writes.remove('scheduled', scheduled.key)
  store.putPage(writes, page)
  store.putLocation(writes, header.solo ? INDEX_SOLO : INDEX_GROUP, header.firstSeq, page.key)
  if (isRetry(bytes)) counters.retryable -= left
  else counters.scheduled -= left
  counters.waiting += left
  ready.append(page)
  return left
}

/** Whether the page is of one job that waits for its next attempt. */
export function isRetry(bytes: Buffer): boolean {
  return ((bytes[PAGE_HEADER_BYTES + 6] ?? 0) & ENTRY_RETRY) !== 0
}
