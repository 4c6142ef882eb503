/** Everything the package exports. */
export { defineJob, handlerOf } from './job/define-job.js'
export type { HandlerType, JobDefinition } from './job/define-job.js'
export { cancel, FatalError, RetryError, snooze } from './job/outcome.js'
export type { Cancel, Snooze } from './job/outcome.js'
export type { Backoff, BackoffFailure } from './job/backoff.js'
export type { UniqueConflict, UniqueOptions, UniqueWhile } from './job/unique.js'
export type { JobContext, JobLog, JobReference, ThreadInfo } from './job/job-context-types.js'
export type { Attempt, AttemptOutcome, FinalState, JobInfo, JobProgress, JobState, ScheduledRun } from './job/job-info.js'
export type { StartBefore } from './job/job-settings.js'
export type { ScheduleRule } from './job/recurrence.js'
export type { ScheduleInfo } from './job/schedule-info.js'
export type { Misfire } from './job/schedule-plan.js'
export type { Duration } from './base/duration.js'
export {
  DuplicateJobError,
  InvalidInputError,
  isMillraceError,
  JobFailedError,
  LockedError,
  MillraceError,
} from './base/errors.js'
export type {
  AttemptErrorCode,
  CallErrorCode,
  ErrorRecord,
  InputIssue,
  MillraceErrorCode,
  ResultErrorCode,
} from './base/errors.js'
export type { EnqueueOptions } from './options/enqueue-options.js'
export type { ScheduleOptions } from './options/schedule-options.js'
export type { ExecutorOptions, RetainOptions, RetainRule } from './options/executor-options.js'
export type { QueueOptions, ReserveOptions } from './options/queue-options.js'
export type { Limit, Rate } from './job/limit.js'
export { openExecutor } from './open.js'
export { doctor } from './maintenance/doctor.js'
export type { DoctorOptions, DoctorProblem, DoctorReport, StoreFacts } from './maintenance/doctor-report.js'
export type { BackupReport } from './maintenance/backup.js'
export type { BulkFilter, BulkOptions, BulkReport, BulkStopOptions, JobFilter } from './executor/bulk-options.js'
export type { CloseOptions } from './executor/call-options.js'
export type { EnqueueArguments, ScheduleArguments } from './executor/call-arguments.js'
export type { Executor } from './executor/executor.js'
export type { JobPurge, PauseOptions, Queue, QueueInfo } from './executor/queue.js'
export type { QueueCounts } from './executor/queue-control.js'
export type { CloseReport } from './executor/shut-down.js'
export type { JobHandle } from './executor/job-handle.js'
export type { StoredJob } from './executor/stored-job.js'
export type { Recovery } from './executor/recovery.js'
export type { ExecutorStats, JobCounts, ThreadStats } from './executor/stats.js'
export type { JobStatistics, QueueStatistics } from './executor/job-statistics.js'
export type { Tally } from './telemetry/counts.js'
export type { Distribution } from './telemetry/histogram.js'
export type { EventJob, EventListener, EventName, ExecutorEvents } from './executor/events.js'
export type { ListFilter } from './executor/inspect.js'
