/** What `stats()` and `counts()` tell: what lies in memory, and counts as of the last commit. Nothing here reads jobs. */
import { PHASE_LOADING, PHASE_SETUP } from '../codec/batch-control.js'
import { formatJobId } from '../job/job-id.js'
import type { JobState } from '../job/job-info.js'
import type { ExecutorParts } from './parts.js'
import { definitionStatistics, type JobStatistics, queueStatistics, type QueueStatistics } from './job-statistics.js'

/** What one thread is doing. */
export interface ThreadStats {
  readonly threadId: number
  /** `idle`, `starting` a handler (loading its module, running `setup`), `running` a job, or being `terminating`. */
  readonly state: 'idle' | 'starting' | 'running' | 'terminating'
  /** Present while it is at a job. */
  readonly job?: {
    readonly id: string
    readonly name: string
    readonly queue: string
    /** Since its clock started, in ms. */
    readonly runMs: number
    /** `Infinity` included. */
    readonly timeoutMs: number
  }
  /** Jobs this thread has finished since it started. */
  readonly jobsDone: number
}

export interface ExecutorStats {
  readonly threads: readonly ThreadStats[]
  /** Threads that were told to end and that native code still holds. */
  readonly stuckThreads: number
  /** Jobs that were in flight at a crash and wait to be run alone. */
  readonly suspects: number
  readonly store: {
    /** Of the data file; of the bytes held for `:memory:`. */
    readonly sizeBytes: number
    readonly commits: number
    /** How long the latest commit took, syncing included, in ms. */
    readonly lastCommitMs: number
  }
  /** Since the store was made. */
  readonly totals: { readonly completed: number; readonly cancelled: number; readonly discarded: number }
  /**
   * From when `queues` and `definitions` count, in epoch ms: since the store was made, or since it was first opened by a version that
   * has them. Sums of their `completed`, `cancelled` and `discarded` are what `totals` has gained since.
   */
  readonly since: number
  /** By name: queues of this executor, and others that the store has held jobs of. */
  readonly queues: Readonly<Record<string, QueueStatistics>>
  /** By name: definitions of this executor, and others that the store has held jobs of. */
  readonly definitions: Readonly<Record<string, JobStatistics>>
}

/** How many jobs are in each state; those that are over as long as they are kept. */
export type JobCounts = Readonly<Record<JobState, number>>

export function readCounts({ turns, dispatcher, retention }: ExecutorParts): JobCounts {
  const { scheduled, waiting, retryable } = turns.durable
  let running = 0
  for (const { batch } of dispatcher.batches) running += Math.max(0, batch.limit - batch.collected)
  running = Math.min(running, waiting)
  return {
    scheduled,
    available: waiting - running,
    running,
    retryable,
    completed: retention.count('completed'),
    cancelled: retention.count('cancelled'),
    discarded: retention.count('discarded'),
  }
}

export function readStats(parts: ExecutorParts): ExecutorStats {
  const { dispatcher, ready, store, turns } = parts
  const { completed, cancelled, discarded } = turns.durable
  return {
    threads: readThreads(parts),
    stuckThreads: dispatcher.stuckThreads,
    suspects: ready.suspects.size,
    store: store.engine.stats(),
    totals: { completed, cancelled, discarded },
    since: store.stats.since?.at ?? 0,
    queues: queueStatistics(parts),
    definitions: definitionStatistics(parts),
  }
}

export function readThreads({ dispatcher, store, clock, registry }: ExecutorParts): ThreadStats[] {
  return dispatcher.slots.map((slot): ThreadStats => {
    const [batch] = slot.batches
    const base = { threadId: slot.threadId, jobsDone: slot.jobsDone + (batch?.control.finished ?? 0) }
    const running = batch?.running ?? -1
    if (batch === undefined || running < 0 || running >= batch.limit)
      return { ...base, state: slot.mode === 'terminating' || slot.isRetiring ? 'terminating' : 'idle' }
    const { page, index, offset } = batch.job(running)
    const definitionId = store.bytesOf(page).readUInt16LE(offset + 4)
    const { phase } = batch.control
    return {
      ...base,
      state:
        slot.mode === 'terminating' ? 'terminating' : phase === PHASE_LOADING || phase === PHASE_SETUP ? 'starting' : 'running',
      job: {
        id: formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark),
        name: registry.name(definitionId),
        queue: store.queueName(page.queueId),
        runMs: Math.max(0, clock.monotonicMs() - batch.control.startedMs),
        timeoutMs: registry.settings(definitionId, page.overrides(store.bytesOf(page)[offset + 7] ?? 0)).timeoutMs,
      },
    }
  })
}
