/** Settles at open what a dead process held, in one commit. */
import type { ErrorRecord } from '../base/errors.js'
import { formatJobId } from '../job/job-id.js'
import { findInFlight, type InFlightJob } from '../maintenance/rescuer.js'
import { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'
import type { SettlementOptions } from './settlement.js'
import { Settlement } from './settlement.js'

/** What `openExecutor` found in flight. */
export interface Recovery {
  /** Ids of jobs that were in flight when the process died, and are available again. */
  readonly rescued: readonly string[]
  /** Those of them that ran beside others: each is run alone, once, so that the one that crashes the process shows itself. */
  readonly suspects: readonly string[]
  /** Ids of jobs that were discarded because they took the process down too often. */
  readonly quarantined: readonly string[]
}

const CRASHED: ErrorRecord = {
  name: 'ProcessCrashError',
  code: 'MILLRACE_PROCESS_CRASHED',
  message: 'The process died while this job ran alone.',
}

/** What `recover` would find, that nobody has quarantined yet. Changes nothing. */
export function peek(store: JobStore): Recovery {
  const { jobs } = findInFlight(store)
  const idOf = ({ page, index }: InFlightJob): string => formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark)
  return { rescued: jobs.map(idOf), suspects: jobs.filter(({ alone }) => !alone).map(idOf), quarantined: [] }
}

export async function recover(options: SettlementOptions, now: number): Promise<Recovery> {
  const { store } = options
  const { jobs, batchIds } = findInFlight(store)
  const rescued: string[] = []
  const suspects: string[] = []
  const quarantined: string[] = []
  const writes = new WriteBatch()
  store.stats.begin(now)
  const settlement = new Settlement(options, writes, now, 0)
  for (const { page, index, offset, claimedAt, alone } of jobs) {
    const id = formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark)
    const before = store.counters.discarded
    const span = { startedAt: claimedAt, endedAt: now }
    settlement.end({ page, index, offset }, alone ? { kind: 'crashed', ...span, error: CRASHED } : { kind: 'suspect', ...span })
    if (store.counters.discarded > before) {
      quarantined.push(id)
    } else {
      rescued.push(id)
      if (!alone) suspects.push(id)
    }
  }
  settlement.write()
  for (const batchId of batchIds) store.removeClaim(writes, batchId)
  store.writeMeta(writes)
  await store.engine.commit(writes)
  store.committed()
  return { rescued, suspects, quarantined }
}
