/**
 * What calls give, as it travels and as `--json` prints it. Instants are epoch ms, spans are ms, sizes are bytes. `Infinity` is written
 * as null: no limit. Fields may be added; those that are here keep their meaning.
 */
import type { ErrorRecord } from '../base/errors.js'
import type { JobInfo } from '../job/job-info.js'
import type { ScheduleInfo } from '../job/schedule-info.js'
import { readable } from './readable.js'

/** A job in a list. */
export interface JobRow {
  readonly id: string
  readonly name: string
  readonly queue: string
  readonly priority: number
  readonly state: JobInfo['state']
  readonly attempt: number
  /** Null: no limit. */
  readonly maxRetries: number | null
  readonly enqueuedAt: number
  readonly runAt?: number
  readonly finishedAt?: number
  readonly progress?: JobInfo['progress']
  /** Of what ended it, or of the latest attempt that failed. */
  readonly error?: Pick<ErrorRecord, 'name' | 'message' | 'code'>
  readonly crashes: number
  /** Of a list with payloads, as much as is shown. */
  readonly input?: unknown
  readonly output?: unknown
}

const finite = (value: number): number | null => (value === Infinity ? null : value)

export function jobRow(job: JobInfo, withPayloads: boolean): JobRow {
  const { id, name, queue, priority, state, attempt, maxRetries, enqueuedAt, runAt, finishedAt, progress, crashes } = job
  const error = job.error ?? job.attempts.at(-1)?.error
  return {
    id,
    name,
    queue,
    priority,
    state,
    attempt,
    maxRetries: finite(maxRetries),
    enqueuedAt,
    ...(runAt !== undefined && { runAt }),
    ...(finishedAt !== undefined && { finishedAt }),
    ...(progress !== undefined && { progress }),
    ...(error !== undefined && {
      error: { name: error.name, message: error.message, ...(error.code !== undefined && { code: error.code }) },
    }),
    crashes,
    ...(withPayloads && { input: readable(job.input).value }),
    ...(withPayloads && 'output' in job && { output: readable(job.output).value }),
  }
}

/** A job with everything that is known of it. What is cut is too long or too deep to be shown. */
export type JobDetail = Omit<JobInfo, 'maxRetries' | 'timeoutMs'> & {
  readonly maxRetries: number | null
  readonly timeoutMs: number | null
  readonly inputCut?: true
  readonly outputCut?: true
}

export function jobDetail(job: JobInfo): JobDetail {
  const input = readable(job.input)
  const output = 'output' in job ? readable(job.output) : undefined
  return {
    ...job,
    maxRetries: finite(job.maxRetries),
    timeoutMs: finite(job.timeoutMs),
    input: input.value,
    ...(input.isCut && { inputCut: true }),
    ...(output !== undefined && { output: output.value }),
    ...(output?.isCut === true && { outputCut: true }),
  }
}

/** A schedule, with as much of its input as is shown. */
export type ScheduleRow = ScheduleInfo

/** Where no executor runs, each schedule waits for one: that goes without saying. */
export function scheduleRow({ waitsFor, ...schedule }: ScheduleInfo, isRunning: boolean): ScheduleRow {
  return { ...schedule, input: readable(schedule.input).value, ...(isRunning && waitsFor !== undefined && { waitsFor }) }
}
