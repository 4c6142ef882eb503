/** Finds where a job is right now. Called while no commit is under way, so that memory and store agree. */
import { readPageKey } from '../codec/keys.js'
import { entryOffset, PAGE_HEADER_BYTES } from '../codec/page.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { JobAddress } from '../job/job-id.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { ScheduledPage } from '../codec/scheduled-record.js'
import type { JobStore } from '../store/job-store.js'
import { PageRef } from '../store/page-ref.js'

export type Place =
  | { readonly at: 'page'; readonly page: PageRef; readonly index: number; readonly offset: number }
  | {
      readonly at: 'scheduled'
      readonly scheduled: ScheduledPage
      readonly page: PageRef
      readonly index: number
      readonly offset: number
    }

export interface LocateOptions {
  readonly store: JobStore
  readonly ready: ReadyQueues
  readonly dispatcher: Dispatcher
}

/** The place of a job that is not over, or undefined. */
export function locate(address: JobAddress, options: LocateOptions): Place | undefined {
  const { store } = options
  const location = store.locate(address.seq)
  if (location?.table === 'scheduled') return inScheduled(address.seq, location.key, options)
  const key = location?.key ?? store.homePage(address.queueId, address.rank, address.seq)
  const page = key === undefined ? undefined : pageAt(key, options)
  if (page === undefined) return undefined
  const index = address.seq - page.header.firstSeq
  if (index < 0 || index >= page.header.count || page.isDone(index)) return undefined
  const offset = index === 0 ? PAGE_HEADER_BYTES : entryOffset(store.bytesOf(page), index)
  store.bytesOf(page)
  return { at: 'page', page, index, offset }
}

/** The page at a key: the one in memory if there is one, because it knows of marks that are not written yet. */
function pageAt(key: Buffer, { store, ready, dispatcher }: LocateOptions): PageRef | undefined {
  const place = readPageKey(key)
  return dispatcher.findPage(place.ord, place.sub) ?? ready.findPage(place) ?? store.readPage(key)
}

function inScheduled(seq: number, key: Buffer, { store }: LocateOptions): Place | undefined {
  const scheduled = store.scheduled.readAt(key)
  if (scheduled === undefined) return undefined
  const page = scheduledPageRef(store, scheduled)
  const index = seq - page.header.firstSeq
  if (index < 0 || index >= page.header.count || page.isDone(index)) return undefined
  return { at: 'scheduled', scheduled, page, index, offset: entryOffset(scheduled.bytes, index) }
}

/** A scheduled page as a page that has no place in a lane yet, with its marks; the same one for all of a turn that changes it. */
export function scheduledPageRef(store: JobStore, scheduled: ScheduledPage): PageRef {
  const changed = store.scheduled.changed(scheduled.key)
  if (changed !== undefined) return changed
  const page = new PageRef(scheduled.queueId, scheduled.rank, 0, 0, scheduled.header, scheduled.bytes, -1)
  const marks = store.readMarks(scheduled.key)
  if (marks !== undefined) page.restoreMarks(marks)
  return page
}
