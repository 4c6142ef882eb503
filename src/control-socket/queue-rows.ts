/** Queues as an operator sees them: what was set of each, what waits, and what became of its jobs of late. */
import type { Executor } from '../executor/executor.js'

/** A queue as an operator sees it. */
export interface QueueRow {
  readonly name: string
  readonly isPaused: boolean
  /** Jobs that may run at a time; null: as many as there are threads. */
  readonly concurrency: number | null
  readonly available: number
  readonly running: number
  readonly scheduled: number
  readonly retryable: number
  /** How long the job that has waited longest could have run; null when none waits. */
  readonly oldestWaitingMs: number | null
  /** When nothing would be waiting any more if no more came; null when that is unknown. */
  readonly drainMs: number | null
  /** Since the store counts them; null where it does not. */
  readonly totals: QueueTally | null
  readonly lastHour: QueueTally | null
}

export interface QueueTally {
  readonly enqueued: number
  readonly completed: number
  /** Attempts that failed, timeouts included. */
  readonly failed: number
  readonly discarded: number
}

/** What an executor with statistics tells of a queue. */
interface QueueStatistics {
  readonly totals: Tally
  readonly windows: { readonly hour: Tally }
  /** Jobs that are available or running. */
  readonly waiting: number
  readonly running: number
  readonly scheduled: number
  readonly retryable: number
  readonly oldestWaitingMs: number | undefined
  readonly drainMs: number | undefined
}

interface Tally extends QueueTally {
  readonly timedOut: number
}

export async function readQueues(executor: Executor, { queues }: { readonly queues: readonly string[] }): Promise<QueueRow[]> {
  const { queues: statistics = {} } = executor.stats() as { readonly queues?: Readonly<Record<string, QueueStatistics>> }
  const rows: QueueRow[] = []
  for (const name of queues) {
    const queue = executor.queue(name)
    const told = Object.hasOwn(statistics, name) ? statistics[name] : undefined
    // Without statistics what waits is counted, in steps, for as long as the queue is.
    const { available, running, scheduled, retryable } =
      told === undefined ? await queue.info() : { ...told, available: told.waiting - told.running }
    rows.push({
      name,
      isPaused: queue.paused,
      concurrency: finite(queue.concurrency) ?? null,
      available,
      running,
      scheduled,
      retryable,
      oldestWaitingMs: told?.oldestWaitingMs ?? null,
      drainMs: finite(told?.drainMs) ?? null,
      totals: told === undefined ? null : tallyOf(told.totals),
      lastHour: told === undefined ? null : tallyOf(told.windows.hour),
    })
  }
  return rows
}

function tallyOf({ enqueued, completed, failed, timedOut, discarded }: Tally): QueueTally {
  return { enqueued, completed, failed: failed + timedOut, discarded }
}

function finite(value: number | undefined): number | undefined {
  return value === Infinity ? undefined : value
}
