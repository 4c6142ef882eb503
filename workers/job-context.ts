/** The second argument of a handler. Made per job, its costly parts only when they are asked for. */
import { formatJobId } from '../src/job/job-id.js'
import type { JobContext, JobLog, JobReference } from '../src/job/job-context-types.js'
import type { ScheduledRun } from '../src/job/job-info.js'
import type { LogLevel } from '../src/protocol/messages.js'
import { PROGRESS_INTERVAL_MS } from '../src/base/limits.js'
import { send } from './channel.js'
import type { ThreadState } from './thread-state.js'

const LOG_DATA_CHARACTERS = 16 * 1024

export class HandlerContext implements JobContext<unknown> {
  readonly state: unknown
  readonly attempt: number
  readonly #thread: ThreadState
  readonly #definitionId: number
  readonly #seq: number
  readonly #queueId: number
  readonly #rank: number
  readonly #enqueuedAt: number
  readonly #batchId: number
  readonly #index: number
  readonly #scheduled: ScheduledRun | undefined
  #controller: AbortController | undefined
  #abortReason: string | undefined
  #job: JobReference | undefined
  #log: JobLog | undefined
  #progressAt = -Infinity
  #progress: { readonly fraction: number; readonly message: string | undefined } | undefined
  #progressTimer: NodeJS.Timeout | undefined
  #isAtEnd = false

  constructor(
    thread: ThreadState,
    state: unknown,
    definitionId: number,
    seq: number,
    queueId: number,
    rank: number,
    attempt: number,
    enqueuedAt: number,
    batchId: number,
    index: number,
    scheduled: ScheduledRun | undefined,
  ) {
    this.#scheduled = scheduled
    this.#thread = thread
    this.state = state
    this.#definitionId = definitionId
    this.#seq = seq
    this.#queueId = queueId
    this.#rank = rank
    this.attempt = attempt
    this.#enqueuedAt = enqueuedAt
    this.#batchId = batchId
    this.#index = index
  }

  get job(): JobReference {
    const scheduled = this.#scheduled
    this.#job ??= Object.freeze({
      id: formatJobId(this.#seq, this.#queueId, this.#rank, this.#thread.storeMark),
      name: this.#thread.definitionName(this.#definitionId),
      queue: this.#thread.queueName(this.#queueId),
      attempt: this.attempt,
      enqueuedAt: this.#enqueuedAt,
      ...(scheduled !== undefined && { schedule: Object.freeze({ name: scheduled.name, plannedAt: scheduled.plannedAt }) }),
    })
    return this.#job
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(abortError(this.#abortReason))
    }
    return this.#controller.signal
  }

  get log(): JobLog {
    this.#log ??= Object.freeze({
      debug: (message: string, data?: unknown) => this.#write('debug', message, data),
      info: (message: string, data?: unknown) => this.#write('info', message, data),
      warn: (message: string, data?: unknown) => this.#write('warn', message, data),
      error: (message: string, data?: unknown) => this.#write('error', message, data),
    })
    return this.#log
  }

  progress(fraction: number, message?: string): void {
    const shown = Math.max(0, Math.min(1, numberOf(fraction)))
    this.#progress = { fraction: shown, message: message === undefined ? undefined : textOf(message) }
    const waitMs = this.#progressAt + PROGRESS_INTERVAL_MS - performance.now()
    // The end is told at once, but not over and over.
    if (waitMs <= 0 || (shown === 1 && !this.#isAtEnd)) this.#sendProgress()
    else this.#progressTimer ??= setTimeout(() => this.#sendProgress(), waitMs).unref()
  }

  #sendProgress(): void {
    clearTimeout(this.#progressTimer)
    this.#progressTimer = undefined
    this.#progressAt = performance.now()
    if (this.#progress === undefined) return
    this.#isAtEnd = this.#progress.fraction === 1
    send({ type: 'progress', batchId: this.#batchId, index: this.#index, ...this.#progress })
  }

  /** Aborts the signal, if the message is for this very run. */
  abort(batchId: number, index: number, reason: string): void {
    if (batchId !== this.#batchId || index !== this.#index || this.#abortReason !== undefined) return
    this.#abortReason = reason
    this.#controller?.abort(abortError(reason))
  }

  #write(level: LogLevel, message: string, data: unknown): void {
    let text: string | undefined
    if (data !== undefined) {
      try {
        text = JSON.stringify(data) as string | undefined
      } catch {
        text = JSON.stringify(textOf(data))
      }
    }
    if (text !== undefined && text.length > LOG_DATA_CHARACTERS) text = JSON.stringify(`${text.slice(0, LOG_DATA_CHARACTERS)}…`)
    const { id, name } = this.job
    send({ type: 'log', jobId: id, jobName: name, level, message: textOf(message), data: text })
  }
}

/** Never throws: neither a log line nor a progress message fails a job. */
function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return 'a value that cannot be shown'
  }
}

/** As little: what is no number counts as 0. */
function numberOf(value: unknown): number {
  try {
    return Number(value) || 0
  } catch {
    return 0
  }
}

function abortError(reason: string): DOMException {
  return new DOMException(reason, 'AbortError')
}
