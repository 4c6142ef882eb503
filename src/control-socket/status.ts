/** How an executor stands, in one answer: what `millrace status` and `millrace top` show. Costs the same whatever the backlog. */
import type { Executor } from '../executor/executor.js'
import type { ExecutorStats, JobCounts, ThreadStats } from '../executor/stats.js'
import { type QueueRow, queueRows } from './queue-rows.js'

/** What the executor itself does not tell. */
export interface StatusFacts {
  /** Undefined: nobody runs it, and it is only looked at. */
  readonly running: { readonly pid: number; readonly openedAt: number } | undefined
  readonly version: string
  readonly directory: string
  /** Names of those that can be asked for. */
  readonly queues: readonly string[]
  readonly now: () => number
}

export interface Status {
  /** Of the package that answers. */
  readonly version: string
  readonly directory: string
  /** When this was so, in epoch ms. */
  readonly at: number
  /** Null when no executor has the store open. */
  readonly running: NonNullable<StatusFacts['running']> | null
  readonly counts: JobCounts
  /** Since the store was made. */
  readonly totals: ExecutorStats['totals']
  readonly queues: readonly QueueRow[]
  readonly threads: readonly ThreadRow[]
  readonly stuckThreads: number
  readonly suspects: number
  /** Jobs that were in flight when the process died, and that the next executor will rescue. */
  readonly inFlightAtDeath: number
  readonly store: ExecutorStats['store']
}

/** As `ThreadStats`; `timeoutMs` is null where there is none. */
export interface ThreadRow extends Omit<ThreadStats, 'job'> {
  readonly job?: Omit<NonNullable<ThreadStats['job']>, 'timeoutMs'> & { readonly timeoutMs: number | null }
}

export async function readStatus(executor: Executor, facts: StatusFacts): Promise<Status> {
  const { running, version, directory, now } = facts
  const counts = await executor.counts()
  const stats = executor.stats()
  const { threads, stuckThreads, suspects, store, totals } = stats
  return {
    version,
    directory,
    at: now(),
    running: running ?? null,
    counts,
    totals,
    queues: queueRows(executor, facts.queues, stats),
    threads: threads.map(threadRow),
    stuckThreads,
    suspects,
    inFlightAtDeath: running === undefined ? executor.recovery.rescued.length : 0,
    store,
  }
}

function threadRow({ job, ...thread }: ThreadStats): ThreadRow {
  if (job === undefined) return thread
  return { ...thread, job: { ...job, timeoutMs: job.timeoutMs === Infinity ? null : job.timeoutMs } }
}
