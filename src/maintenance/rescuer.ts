/**
 * Finds, at open, what a dead process held. Everything claimed belongs to it: one process owns the store, so there are no leases
 * to wait out.
 *
 * If exactly one job was in flight, or the batch was a suspect that ran alone, that job took the process down or died with it: it
 * is charged a crash. If there were several, nobody can tell: each becomes a suspect.
 */
import { entryOffset } from '../codec/page.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'

export interface InFlightJob {
  readonly page: PageRef
  readonly index: number
  readonly offset: number
  /** Epoch ms. */
  readonly claimedAt: number
}

export interface InFlight {
  readonly jobs: readonly InFlightJob[]
  readonly batchIds: readonly number[]
  /** The one job ran alone. */
  readonly alone: boolean
}

/** More batches than any executor holds at once. */
const MAX_CLAIMS = 100_000

export function findInFlight(store: JobStore): InFlight {
  const claims = store.readClaims(MAX_CLAIMS)
  const pages = new Map<string, PageRef | undefined>()
  const seen = new Set<number>()
  const jobs: InFlightJob[] = []
  let alone = false
  for (const claim of claims) {
    alone ||= claim.alone
    for (const { key, from, to } of claim.slices) {
      const name = key.toString('latin1')
      if (!pages.has(name)) pages.set(name, store.readPage(key))
      const page = pages.get(name)
      if (page === undefined) continue
      const bytes = store.bytesOf(page)
      for (let index = from; index < Math.min(to, page.header.count); index++) {
        const seq = page.seqOf(index)
        // A job that was taken back from one batch and claimed again is in two claims.
        if (page.isDone(index) || seen.has(seq)) continue
        seen.add(seq)
        jobs.push({ page, index, offset: entryOffset(bytes, index), claimedAt: claim.claimedAt })
      }
    }
  }
  return { jobs, batchIds: claims.map(({ batchId }) => batchId), alone: jobs.length === 1 || (alone && jobs.length > 0) }
}
