/**
 * Runs a batch: job after job, each with its own clock, each outcome left in the shared control as soon as it is there.
 *
 * A handler that returns without a promise costs no microtask. Whatever a job does (throw anything, reject, leave a promise or a
 * timer behind that fails later, return what cannot be stored) becomes that job's outcome, and the next one runs.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { heapUsed } from './heap.js'
import { ByteWriter } from '../src/codec/byte-writer.js'
import { BatchReader } from '../src/codec/batch.js'
import {
  BatchControl,
  OUTCOME_CANCELLED,
  OUTCOME_COMPLETED,
  OUTCOME_COMPLETED_APART,
  OUTCOME_EXPIRED,
  OUTCOME_FAILED,
  OUTCOME_FAILED_BESIDE,
  OUTCOME_FATAL,
  OUTCOME_SNOOZED,
  OUTCOME_UNFIT,
  PHASE_LOADING,
  PHASE_RUNNING,
  PHASE_SETUP,
  RECORD_HEADER_BYTES,
} from '../src/codec/batch-control.js'
import { errorRecord } from '../src/codec/error-record.js'
import type { EntryView } from '../src/codec/page.js'
import { ENTRY_EXTERNAL, ENTRY_SAME, ENTRY_UNFIT, readEntry } from '../src/codec/page.js'
import { readPayload, writePayload } from '../src/codec/payload.js'
import { formatIssues, toInputIssues } from '../src/job/input-issues.js'
import { isCancel, isFatalError, isRetryError, isSnooze } from '../src/job/outcome.js'
import { monotonicOffsetMs } from '../src/base/clock.js'
import { MillraceError } from '../src/base/errors.js'
import { ERROR_TEXT } from '../src/base/limits.js'
import { describeThrown, describeValue } from '../src/base/problems.js'
import type { BatchResult, BatchTask, OutcomeBody, UncaughtCode } from '../src/protocol/messages.js'
import { send } from './channel.js'
import { HandlerContext } from './job-context.js'
import type { ThreadState } from './thread-state.js'

/** Room a failure's record may need; a batch ends early when less is left. */
const FAILURE_BYTES = 64 * 1024
/** What is left of the message of a failure that would need more. */
const SHORT_CHARACTERS = 1024

const offsetMs = monotonicOffsetMs()
const scratch = new ByteWriter(4096)
/** The run that a promise, a timer or a callback comes from, also long after the run has ended. */
const owner = new AsyncLocalStorage<HandlerContext>()

/** The asynchronous run in progress, for what happens outside its own call. */
interface Run {
  /** None while the handler is being loaded. */
  readonly context: HandlerContext | undefined
  /** Ends the run as failed. */
  readonly fail: (error: unknown, code: UncaughtCode) => void
}

export class BatchRunner {
  readonly #thread: ThreadState
  #run: Run | undefined
  #retire = false
  /** A job failed by something beside its handler, which goes on: nothing else is run here any more. */
  #leftRunning = false
  #lastContext: HandlerContext | undefined
  #yields = 0
  /** The latest request to abort: it may be for a job whose handler is still being loaded. */
  #aborted: { readonly batchId: number; readonly index: number; readonly reason: string } | undefined

  constructor(thread: ThreadState) {
    this.#thread = thread
  }

  abort(batchId: number, index: number, reason: string): void {
    this.#aborted = { batchId, index, reason }
    this.#run?.context?.abort(batchId, index, reason)
  }

  /** An exception or rejection that nobody caught: the running job's fault if it comes from that run, a stray otherwise. */
  uncaught(error: unknown, code: UncaughtCode): void {
    // An exception has unwound somebody's stack half way; a rejection has only gone unheard.
    if (code === 'MILLRACE_UNCAUGHT_EXCEPTION') this.#retire = true
    const from = owner.getStore()
    if (this.#run !== undefined && (from === undefined || from === this.#run.context)) {
      this.#run.fail(error, code)
      return
    }
    const { name, message, stack } = errorRecord(error)
    send({ type: 'stray', code, jobId: (from ?? this.#lastContext)?.job.id, name, message, stack })
  }

  async run(task: BatchTask): Promise<BatchResult> {
    const control = new BatchControl(task.control)
    const reader = new BatchReader(task.entries)
    const base = control.baseMs
    // Chosen before the main thread knew that jobs come back which are to run before these; or meant for a thread that has died.
    const isStale = task.yieldsSeen < this.#yields || !control.belongsTo(task.batchId)
    let record = control.firstRecord
    let apart: ArrayBuffer | undefined
    let now = performance.now() + offsetMs
    const yieldAt = now + task.yieldAfterMs

    for (let index = 0; index < reader.jobs && apart === undefined && !this.#leftRunning && !isStale; index++) {
      if (index > 0 && (now > yieldAt || this.#retire)) break
      if (!control.fits(record, FAILURE_BYTES, reader.jobs - index)) break
      if (!control.take(now - base)) break
      const startMs = now - base
      reader.advance()
      const isLate = task.deadlines?.some((deadline) => deadline.index === index && startMs >= deadline.afterMs) === true
      if (task.announceStarts && !isLate) send({ type: 'started', batchId: task.batchId, index, at: Date.now() })

      // A handler that returns no promise is not awaited: most of the cost of a short job would be that.
      const running = isLate ? encodeBody(OUTCOME_EXPIRED, {}) : this.#runJob(task, reader, control, index)
      let kind = typeof running === 'number' ? running : await running

      now = performance.now() + offsetMs
      const bodyBytes = scratch.position
      if (control.fits(record, bodyBytes, reader.jobs - index - 1)) {
        if (bodyBytes > 0) scratch.buffer.copy(control.area, record + RECORD_HEADER_BYTES, 0, bodyBytes)
        record = control.writeRecord(record, kind, startMs, now - base - startMs, bodyBytes)
      } else {
        // Only an output can be so large: failures are bounded, and room for one was kept.
        apart = new ArrayBuffer(bodyBytes)
        scratch.buffer.copy(new Uint8Array(apart), 0, 0, bodyBytes)
        kind = OUTCOME_COMPLETED_APART
        record = control.writeRecord(record, kind, startMs, now - base - startMs, 0)
      }
      control.publish(index + 1)
    }
    if (control.hasUntaken && !isStale) this.#yields++
    return {
      yields: this.#yields,
      apart,
      heapBytes: this.#thread.measureHeap ? heapUsed() : 0,
      retire: this.#retire,
      leftRunning: this.#leftRunning,
    }
  }

  /** Runs the job the reader is at. Its outcome's body is left in `scratch`, its kind returned. */
  #runJob(task: BatchTask, reader: BatchReader, control: BatchControl, index: number): number | Promise<number> {
    scratch.position = 0
    let asked: Asked | undefined
    try {
      const entry = readEntry(reader.bytes, reader.entry)
      const loaded = this.#thread.ready(entry.definitionId)
      const trusted = reader.checked && (entry.flags & ENTRY_SAME) !== 0
      if (loaded === undefined || (loaded.handler.schema !== undefined && !trusted)) {
        return this.#runSlowly(task, reader, control, index, entry)
      }
      const input = readInput(task, index, reader.bytes, entry)
      const context = this.#contextOf(task, reader, index, entry, loaded.state)
      const { run, retryIf } = loaded.handler
      if (retryIf !== undefined) asked = { context, retryIf }
      const output = owner.run(context, run, input, context)
      if (isThenable(output)) return this.#awaited(context, output, asked)
      asked = undefined
      return encodeOutput(output, this.#thread.payloadBytes)
    } catch (error) {
      return encodeFailure(error, asked)
    }
  }

  /** The way of a job whose handler is not loaded yet, or whose input this process has not checked. */
  async #runSlowly(
    task: BatchTask,
    reader: BatchReader,
    control: BatchControl,
    index: number,
    entry: EntryView,
  ): Promise<number> {
    const elapsedMs = (): number => performance.now() + offsetMs - control.baseMs
    let asked: Asked | undefined
    try {
      const thread = this.#thread
      let loaded = thread.ready(entry.definitionId)
      if (loaded === undefined) {
        control.enter(PHASE_LOADING, elapsedMs())
        loaded = await this.#guard(
          undefined,
          thread.prepare(entry.definitionId, () => control.enter(PHASE_SETUP, elapsedMs())),
        )
        // The time that loading and setup took is not the job's.
        control.enter(PHASE_RUNNING, elapsedMs())
      }
      let input = readInput(task, index, reader.bytes, entry)
      const { schema, run, retryIf } = loaded.handler
      if (schema !== undefined) {
        const result = await schema['~standard'].validate(input)
        if (result.issues !== undefined) throw new UnfitInput(formatIssues(toInputIssues(result.issues)))
        input = result.value
      }
      const context = this.#contextOf(task, reader, index, entry, loaded.state)
      if (retryIf !== undefined) asked = { context, retryIf }
      const output = owner.run(context, run, input, context)
      if (isThenable(output)) return await this.#awaited(context, output, asked)
      asked = undefined
      return encodeOutput(output, thread.payloadBytes)
    } catch (error) {
      // The phase holds for the jobs that follow as well.
      control.enter(PHASE_RUNNING, elapsedMs())
      return encodeFailure(error, asked)
    }
  }

  async #awaited(context: HandlerContext, output: PromiseLike<unknown>, asked: Asked | undefined): Promise<number> {
    let unsettled = asked
    try {
      const value = await this.#guard(context, output)
      unsettled = undefined
      return encodeOutput(value, this.#thread.payloadBytes)
    } catch (error) {
      return encodeFailure(error, unsettled)
    }
  }

  #contextOf(task: BatchTask, reader: BatchReader, index: number, entry: EntryView, state: unknown): HandlerContext {
    const { seq, queueId, rank, attempt, enqueuedAt } = reader
    const context = new HandlerContext(
      this.#thread,
      state,
      entry.definitionId,
      seq,
      queueId,
      rank,
      attempt,
      enqueuedAt,
      task.batchId,
      index,
      task.scheduled?.find((candidate) => candidate.index === index),
    )
    this.#lastContext = context
    if (this.#aborted !== undefined) context.abort(this.#aborted.batchId, this.#aborted.index, this.#aborted.reason)
    return context
  }

  /** Awaits a job's promise, or the failure of something else it left running. */
  async #guard<T>(context: HandlerContext | undefined, promise: PromiseLike<T>): Promise<T> {
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#run = {
          context,
          fail: (error, code) => {
            this.#leftRunning = true
            reject(new LeftBehind(error, code))
          },
        }
        promise.then(resolve, reject)
      })
    } finally {
      this.#run = undefined
    }
  }
}

/** The stored input does not fit the schema any more. */
class UnfitInput extends Error {}

/** A failure outside the handler's own promise. */
class LeftBehind {
  readonly error: unknown
  readonly code: string

  constructor(error: unknown, code: string) {
    this.error = error
    this.code = code
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** @throws UnfitInput when the main thread has found the input unfit */
function readInput(task: BatchTask, index: number, bytes: Buffer, { flags, payloadFrom, end }: EntryView): unknown {
  if ((flags & ENTRY_EXTERNAL) === 0) {
    const input = readPayload(bytes, payloadFrom, end)
    if ((flags & ENTRY_UNFIT) !== 0) throw new UnfitInput(String(input))
    return input
  }
  const external = task.externals?.find((candidate) => candidate.index === index)
  if (external === undefined) throw new MillraceError('MILLRACE_STORE_CORRUPT', 'The job was sent without its payload.')
  return readPayload(Buffer.from(external.bytes), 0, external.bytes.byteLength, true)
}

/** Leaves the output in `scratch`. */
function encodeOutput(output: unknown, maxBytes: number): number {
  if (output === undefined) return OUTCOME_COMPLETED
  if (typeof output === 'object' && output !== null) {
    if (isSnooze(output)) return encodeBody(OUTCOME_SNOOZED, { afterMs: output.afterMs, ...reasonOf(output) })
    if (isCancel(output)) return encodeBody(OUTCOME_CANCELLED, reasonOf(output))
  }
  try {
    writePayload(scratch, output, maxBytes, 'output')
  } catch (error) {
    if (!isA(MillraceError, error)) throw error
    const code = error.code === 'MILLRACE_PAYLOAD_TOO_LARGE' ? 'MILLRACE_OUTPUT_TOO_LARGE' : 'MILLRACE_OUTPUT_UNENCODABLE'
    throw new MillraceError(code, error.message, { cause: error.cause })
  }
  return OUTCOME_COMPLETED
}

/** Who is to be asked whether another run may help, while the handler itself is at work. */
interface Asked {
  readonly context: HandlerContext
  readonly retryIf: (error: unknown) => unknown
}

/** What `retryIf` says of an error. In doubt the job is retried. */
function verdict({ context, retryIf }: Asked, thrown: unknown): Pick<OutcomeBody, 'final' | 'problem'> {
  try {
    const answer: unknown = owner.run(context, retryIf, thrown)
    if (answer === false) return { final: true }
    if (isThenable(answer)) answer.then(undefined, () => undefined)
    return answer === true ? {} : { problem: `it returned ${describeValue(answer)}, neither true nor false; the job is retried` }
  } catch (error) {
    return { problem: `it threw ${describeThrown(error)}; the job is retried` }
  }
}

/** Leaves the failure in `scratch`. */
function encodeFailure(thrown: unknown, asked?: Asked): number {
  scratch.position = 0
  if (isA(UnfitInput, thrown)) {
    return encodeBody(OUTCOME_UNFIT, {
      error: {
        name: 'InvalidInputError',
        code: 'MILLRACE_INPUT_MISMATCH',
        message: `The stored input does not fit the schema any more: ${thrown.message}`,
      },
    })
  }
  if (isA(LeftBehind, thrown))
    return encodeBody(OUTCOME_FAILED_BESIDE, { error: { ...errorRecord(thrown.error), code: thrown.code } })
  const error = errorRecord(thrown)
  if (isFatalError(thrown)) return encodeBody(OUTCOME_FATAL, { error })
  if (isRetryError(thrown))
    return encodeBody(OUTCOME_FAILED, { error, ...(thrown.afterMs !== undefined && { afterMs: thrown.afterMs }) })
  return encodeBody(OUTCOME_FAILED, { error, ...(asked !== undefined && verdict(asked, thrown)) })
}

/** Never more than `FAILURE_BYTES`: characters that JSON escapes take six times their number. */
function encodeBody(kind: number, body: OutcomeBody): number {
  scratch.position = 0
  let bytes = Buffer.from(JSON.stringify(body), 'utf8')
  if (bytes.length > FAILURE_BYTES) bytes = Buffer.from(JSON.stringify(shortened(body)), 'utf8')
  scratch.bytes(bytes)
  return kind
}

/** Without what is a help only: the stack, the data, the causes. */
function shortened({ error, ...rest }: OutcomeBody): OutcomeBody {
  if (error === undefined) return rest
  const { name, code, message } = error
  return { ...rest, error: { name, message: message.slice(0, SHORT_CHARACTERS), ...(code !== undefined && { code }) } }
}

function reasonOf({ reason }: { readonly reason?: string }): { reason?: string } {
  return reason === undefined ? {} : { reason: reason.slice(0, ERROR_TEXT.message) }
}

/** `instanceof` for what a job has thrown: a proxy may throw at the question. */
function isA<T>(type: abstract new (...args: never[]) => T, thrown: unknown): thrown is T {
  try {
    return thrown instanceof type
  } catch {
    return false
  }
}
