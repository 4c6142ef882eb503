/**
 * What is counted of the jobs of one queue and definition, and where each count stands in its vector: first the counts, which only grow,
 * then the gauges. The order is that of the stored record (`codec/series-record`).
 */

/** Things that happen to jobs and to their attempts. */
export const COUNTS = [
  'enqueued',
  'started',
  'completed',
  'failed',
  'timedOut',
  'retried',
  'snoozed',
  'interrupted',
  'crashed',
  'cancelled',
  'discarded',
] as const

/** Jobs that are not over. `waiting`: available and running. */
export const GAUGES = ['waiting', 'scheduled', 'retryable'] as const

export type Count = (typeof COUNTS)[number]
export type Gauge = (typeof GAUGES)[number]

/** Numbers in a vector. */
export const FIELDS: number = COUNTS.length + GAUGES.length

/** Where a count or gauge stands. */
export const AT: Readonly<Record<Count | Gauge, number>> = Object.freeze({
  enqueued: 0,
  started: 1,
  completed: 2,
  failed: 3,
  timedOut: 4,
  retried: 5,
  snoozed: 6,
  interrupted: 7,
  crashed: 8,
  cancelled: 9,
  discarded: 10,
  waiting: 11,
  scheduled: 12,
  retryable: 13,
})

/** What has happened to jobs, and to their attempts. Each counts when its commit is durable; `started` also what is at work now. */
export interface Tally {
  /** Jobs stored. One that is brought back by `retry()` counts once more, as does its next end. */
  readonly enqueued: number
  /** Attempts that have ended, in whatever way, and those at work now. Jobs in flight when a process died count as well. */
  readonly started: number
  /** Jobs that completed. */
  readonly completed: number
  /** Attempts that failed, but not by their timeout. */
  readonly failed: number
  /** Attempts that timed out. */
  readonly timedOut: number
  /** Attempts that failed or timed out and are followed by another one. */
  readonly retried: number
  /** Attempts whose handler put the job off. */
  readonly snoozed: number
  /** Attempts that were stopped for a reason that is not the job's; after a crash also those of suspects. */
  readonly interrupted: number
  /** Attempts that took the process down, running alone. */
  readonly crashed: number
  /** Jobs that were cancelled, waiting or running. */
  readonly cancelled: number
  /** Jobs that were discarded. */
  readonly discarded: number
}

/** The counts that `read` gives by their place. */
export function tallyOf(read: (place: number) => number): Tally {
  return Object.fromEntries(COUNTS.map((name, place) => [name, read(place)])) as Record<Count, number>
}
