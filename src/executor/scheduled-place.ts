import { scheduledKey } from '../codec/keys.js'
import { PAGE_HEADER_BYTES, readPageHeader } from '../codec/page.js'
import { PageRef } from '../store/page-ref.js'
import type { Place } from './locate.js'

/** Where a job is that the commit under way puts into `scheduled`, alone. */
export function scheduledPlace(runAt: number, queueId: number, rank: number, bytes: Buffer): Place {
  const header = readPageHeader(bytes)
  const key = scheduledKey(runAt, header.firstSeq, header.solo)
  const page = new PageRef(queueId, rank, 0, 0, header, bytes, -1)
  return { at: 'scheduled', scheduled: { key, runAt, queueId, rank, bytes, header }, page, index: 0, offset: PAGE_HEADER_BYTES }
}
