/** What a handler is handed. Types only; `workers/` makes the objects. */
import type { ScheduledRun } from './job-info.js'

/** The thread that `setup` runs in. */
export interface ThreadInfo {
  /** Node's `worker_threads.threadId`. Never used twice in one process. */
  readonly threadId: number
}

/** The running job, as its handler sees it. */
export interface JobReference {
  readonly id: string
  /** The definition's name. */
  readonly name: string
  readonly queue: string
  /** See {@link JobContext.attempt}. */
  readonly attempt: number
  /** Epoch ms of the commit that stored the job. */
  readonly enqueuedAt: number
  /** Present when the job is a run of a schedule. */
  readonly schedule?: ScheduledRun
}

/** Log lines that carry the job's id, name and attempt. Sent to the main thread; not stored. */
export interface JobLog {
  /** `data`: what JSON can show of it, bounded in size; logging never fails a job. */
  debug(message: string, data?: unknown): void
  info(message: string, data?: unknown): void
  warn(message: string, data?: unknown): void
  error(message: string, data?: unknown): void
}

/** The second argument of `run`. */
export interface JobContext<State = unknown> {
  /** What the definition's `setup` returned in this thread; `undefined` without a `setup`. Shared by the thread's jobs of this definition. */
  readonly state: State
  /**
   * Aborted at `softTimeout`, on `cancel()` and on close. The thread is terminated later, at `timeout` or after `abortGrace`,
   * whether the handler listens or not.
   */
  readonly signal: AbortSignal
  readonly job: JobReference
  /** 1 for the first run, one more after each failed or timed-out one; the same again after a snooze or an interruption. */
  readonly attempt: number
  /**
   * Reports how far the job is. Sent at most every 50 ms, the latest wins; not stored.
   * @param fraction - From 0 to 1; clamped. NaN counts as 0.
   */
  progress(fraction: number, message?: string): void
  readonly log: JobLog
}
