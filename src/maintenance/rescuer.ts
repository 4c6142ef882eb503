/**
 * Finds, at open, what a dead process held. Everything claimed belongs to it: one process owns the store, so there are no leases
 * to wait out.
 *
 * If exactly one job was in flight, or a job was a suspect that ran alone, that job took the process down or died with it: it
 * is charged a crash. If there were several, nobody can tell: each becomes a suspect. Beside a suspect there may be what native code went
 * on with beyond its end, and since then others; they are not charged.
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
  /** It ran alone. */
  readonly alone: boolean
}

export interface InFlight {
  readonly jobs: readonly InFlightJob[]
  readonly batchIds: readonly number[]
}

/** More batches than any executor holds at once. */
const MAX_CLAIMS = 100_000

export function findInFlight(store: JobStore): InFlight {
  const claims = store.readClaims(MAX_CLAIMS)
  const pages = new Map<string, PageRef | undefined>()
  const seen = new Set<number>()
  const jobs: InFlightJob[] = []
  for (const claim of claims) {
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
        jobs.push({ page, index, offset: entryOffset(bytes, index), claimedAt: claim.claimedAt, alone: claim.alone })
      }
    }
  }
  const batchIds = claims.map(({ batchId }) => batchId)
  return { jobs: jobs.length === 1 ? jobs.map((job) => ({ ...job, alone: true })) : jobs, batchIds }
}
