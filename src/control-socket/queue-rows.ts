/** Queues as an operator sees them: what was set of each, what waits, and what became of its jobs of late. */
import type { Executor } from '../executor/executor.js'
import type { ExecutorStats } from '../executor/stats.js'
import type { Tally } from '../telemetry/counts.js'

/** A queue as an operator sees it. */
export interface QueueRow {
  readonly name: string
  readonly isPaused: boolean
  /** Jobs that may run at a time; null: as many as there are threads. */
  readonly concurrency: number | null
  readonly available: number
  /** Handed to threads, which is the state `running`. */
  readonly running: number
  /** Of `running`, those that a thread is at. */
  readonly atWork: number
  /** Of `running`, those that no thread has begun: they wait in one behind the job that it is at. */
  readonly heldAhead: number
  readonly scheduled: number
  readonly retryable: number
  /** How long the job that has waited longest could have run; null when none waits. */
  readonly oldestWaitingMs: number | null
  /** When nothing would be waiting any more if no more came; null when that is unknown. */
  readonly drainMs: number | null
  /** Since the store counts them: see `stats().since`. */
  readonly totals: QueueTally
  readonly lastHour: QueueTally
}

export interface QueueTally {
  readonly enqueued: number
  readonly completed: number
  /** Attempts that failed, timeouts included. */
  readonly failed: number
  readonly discarded: number
}

/** The queues with these names, which the executor has. */
export function queueRows(executor: Executor, names: readonly string[], { queues }: Pick<ExecutorStats, 'queues'>): QueueRow[] {
  return names.flatMap((name) => {
    const told = queues[name]
    if (told === undefined) return []
    const { waiting, running, atWork, heldAhead, scheduled, retryable, oldestWaitingMs, drainMs, totals, windows } = told
    const { paused, concurrency } = executor.queue(name)
    return {
      name,
      isPaused: paused,
      concurrency: concurrency === Infinity ? null : concurrency,
      available: waiting - running,
      running,
      atWork,
      heldAhead,
      scheduled,
      retryable,
      oldestWaitingMs: oldestWaitingMs ?? null,
      drainMs: drainMs === undefined || drainMs === Infinity ? null : drainMs,
      totals: tallyOf(totals),
      lastHour: tallyOf(windows.hour),
    }
  })
}

function tallyOf({ enqueued, completed, failed, timedOut, discarded }: Tally): QueueTally {
  return { enqueued, completed, failed: failed + timedOut, discarded }
}
