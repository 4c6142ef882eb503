/** What users are shown of a job: its states, its attempts, the record `get` and `list` return. Types only. */
import type { ErrorRecord } from '../base/errors.js'

/** Where a job stands. */
export const JOB_STATES = ['scheduled', 'available', 'running', 'retryable', 'completed', 'cancelled', 'discarded'] as const

/**
 * - `scheduled`: waits for its `runAt`.
 * - `available`: waits for a thread.
 * - `running`: handed to a thread. It may wait there behind the batch-mates it was handed over with.
 * - `retryable`: failed or snoozed; waits for its next attempt.
 * - `completed`: ended with an output.
 * - `cancelled`: ended by `cancel()` or by its handler's `cancel`.
 * - `discarded`: ended without an output: out of retries, fatal, unfit, expired before its first run, quarantined, or by `discard()`.
 */
export type JobState = (typeof JOB_STATES)[number]

/** The states a job never leaves by itself: `retry()` brings back what was cancelled or discarded. */
export type FinalState = 'completed' | 'cancelled' | 'discarded'

/** How one run of a job ended. Only `failed` and `timedOut` use up a retry. */
export type AttemptOutcome =
  | 'completed'
  | 'failed'
  | 'timedOut'
  | 'cancelled'
  | 'snoozed'
  /** Stopped for a reason that is not the job's: a close, a pause, a batch-mate's termination, a crash with several jobs in flight. */
  | 'interrupted'
  /** The process died while this job ran alone. */
  | 'crashed'

/** One run of a job. */
export interface Attempt {
  /** 1 for the first, also of those after a `retry()` by hand. The same number again after a run that was not charged. */
  readonly attempt: number
  /** Epoch ms, when the thread started the job. */
  readonly startedAt: number
  /** Epoch ms. */
  readonly endedAt: number
  readonly outcome: AttemptOutcome
  readonly error?: ErrorRecord
}

/** The latest `ctx.progress()` of a running job. Not stored. */
export interface JobProgress {
  /** From 0 to 1. */
  readonly fraction: number
  readonly message?: string
}

/** Which run of which schedule a job is. */
export interface ScheduledRun {
  /** Of the schedule. */
  readonly name: string
  /** Epoch ms of the planned instant that the run stands for: the day of a daily report, however late it runs. */
  readonly plannedAt: number
}

/** A job as it stands in the store. */
export interface JobInfo<Input = unknown, Output = unknown> {
  readonly id: string
  /** The definition's name. */
  readonly name: string
  readonly queue: string
  readonly priority: number
  readonly state: JobState
  /** The number of the current or next run; of the last one when the job is over. */
  readonly attempt: number
  /** The runs that have ended, oldest first. Capped: the first and the latest ones are kept. */
  readonly attempts: readonly Attempt[]
  /** Retries the job is allowed, `Infinity` included. */
  readonly maxRetries: number
  /** Hard limit of one run in ms, `Infinity` included. */
  readonly timeoutMs: number
  /** The key under which it is limited together with others; absent without one. */
  readonly limitKey?: string
  /** Threads it counts as while it runs; absent for one. */
  readonly weight?: number
  /** Epoch ms of the commit that stored the job. */
  readonly enqueuedAt: number
  /** Epoch ms of the next attempt: present while `scheduled` or `retryable`. */
  readonly runAt?: number
  /** Epoch ms by which the first run must begin, of a job that has none behind it and is not over. */
  readonly startBefore?: number
  /** Present when the job is a run of a schedule. */
  readonly schedule?: ScheduledRun
  /** Epoch ms: present when the job is over. */
  readonly finishedAt?: number
  /** What was enqueued, before the schema's transformations. */
  readonly input: Input
  /** Present when `completed`. */
  readonly output?: Output
  /** What ended the job without an output, or the reason it was cancelled for. */
  readonly error?: ErrorRecord
  readonly progress?: JobProgress
  /** How often the job took the process down, since it was enqueued or brought back by `retry()`. */
  readonly crashes: number
}
