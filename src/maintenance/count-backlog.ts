/**
 * Counts, once, the jobs of a store that is older than its statistics: those that wait in it, by queue and definition. It takes as long
 * as reading them does, so it goes in steps, between which the event loop turns; nothing else is done with the store meanwhile.
 */
import { ENTRY_RETRY, PAGE_HEADER_BYTES } from '../codec/page.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'

/** Pages a step: some milliseconds. */
const STEP_PAGES = 64
/** Of an entry, behind its length and its definition. */
const FLAGS_OFFSET = 6

export function* countBacklog(store: JobStore): Generator<void, void> {
  let after: Buffer | undefined
  do {
    const pages = store.readPages(after, STEP_PAGES)
    for (const page of pages) store.stats.found(page, 'waiting')
    after = pages.length < STEP_PAGES ? undefined : pages.at(-1)?.key
    yield
  } while (after !== undefined)
  do {
    const scheduled = store.scheduled.read(after, STEP_PAGES)
    for (const { key, queueId, rank, header, bytes } of scheduled) {
      const page = new PageRef(queueId, rank, 0, 0, header, bytes, -1)
      const marks = store.readMarks(key)
      if (marks !== undefined) page.restoreMarks(marks)
      const isRetry = ((bytes[PAGE_HEADER_BYTES + FLAGS_OFFSET] ?? 0) & ENTRY_RETRY) !== 0
      store.stats.found(page, isRetry ? 'retryable' : 'scheduled')
    }
    after = scheduled.length < STEP_PAGES ? undefined : scheduled.at(-1)?.key
    yield
  } while (after !== undefined)
}
