/**
 * Every error the library throws, rejects with, or records for an attempt. The codes are the contract: they are stable,
 * a program branches on them, and the messages may change.
 *
 * A `MillraceError` is recognised by a brand in the global symbol registry, so `isMillraceError` also answers for an
 * error that comes from a second installed copy of the package.
 */

const BRAND = Symbol.for('millrace.error')

/** What went wrong with a call, the store, or the executor itself. */
export type CallErrorCode =
  /** A job definition is not usable; the message lists every problem. */
  | 'MILLRACE_INVALID_DEFINITION'
  /** Options of `openExecutor`, `enqueue` or another call are not usable; the message lists every problem. */
  | 'MILLRACE_INVALID_OPTIONS'
  /** The input does not fit the definition's schema. `issues` lists what the schema found. */
  | 'MILLRACE_INVALID_INPUT'
  /** The queue is not among the executor's `queues`. */
  | 'MILLRACE_UNKNOWN_QUEUE'
  /** The definition was not given to `openExecutor`. */
  | 'MILLRACE_UNKNOWN_DEFINITION'
  /** The string is not a job id of this store. */
  | 'MILLRACE_INVALID_ID'
  /** The value cannot be stored: a function, a symbol, a host object. */
  | 'MILLRACE_PAYLOAD_UNENCODABLE'
  /** The encoded value is larger than `limits.payloadBytes`. */
  | 'MILLRACE_PAYLOAD_TOO_LARGE'
  /** `openExecutor` was called in one of an executor's own threads. */
  | 'MILLRACE_OPEN_IN_THREAD'
  /** Too many calls of `enqueue` wait for the disk without being awaited. */
  | 'MILLRACE_BACKPRESSURE'
  /** Another job holds the unique key, and `onConflict` is `'reject'`. `jobId` tells which job. */
  | 'MILLRACE_DUPLICATE'
  /** The executor is closing or closed. */
  | 'MILLRACE_CLOSED'
  /** Another executor holds the directory. `holderPid` tells which process. */
  | 'MILLRACE_LOCKED'
  /** The path cannot be used as a store: not a directory, not writable, not a Millrace store. */
  | 'MILLRACE_STORE_UNUSABLE'
  /** The store was written by a newer version of the package. */
  | 'MILLRACE_STORE_TOO_NEW'
  /** A commit failed. Nothing is acknowledged any more; reopen the executor. */
  | 'MILLRACE_STORE_FAILED'
  /** The store holds bytes that this version cannot have written. */
  | 'MILLRACE_STORE_CORRUPT'
  /** A backup or a compacted copy could not be made. The store is as it was. */
  | 'MILLRACE_COPY_FAILED'

/** Why `job.result()` rejects. */
export type ResultErrorCode =
  /** The job is over without an output: out of retries, fatal, unfit, or quarantined. */
  | 'MILLRACE_JOB_FAILED'
  /** The job was cancelled, by `cancel()` or by its handler. */
  | 'MILLRACE_JOB_CANCELLED'
  /** The job ended, and its record has left the store by the rule of `retain`. */
  | 'MILLRACE_JOB_PRUNED'
  /** The executor closed first. The job lives on in the store. */
  | 'MILLRACE_RESULT_PENDING'

/** What ended an attempt, as the `code` of its recorded error. A handler's own error keeps its own code. */
export type AttemptErrorCode =
  /** The attempt ran longer than its timeout; its thread was terminated. */
  | 'MILLRACE_TIMEOUT'
  /** The handler called `process.exit()`. */
  | 'MILLRACE_PROCESS_EXIT'
  /** The thread reached its JavaScript heap limit (`resourceLimits`). */
  | 'MILLRACE_OUT_OF_MEMORY'
  /** A promise that the handler left behind was rejected while the job ran. */
  | 'MILLRACE_UNHANDLED_REJECTION'
  /** An exception outside the handler's own call, from a timer or an emitter, arose while the job ran. */
  | 'MILLRACE_UNCAUGHT_EXCEPTION'
  /** The handler's return value cannot be stored. */
  | 'MILLRACE_OUTPUT_UNENCODABLE'
  /** The handler's return value is larger than `limits.payloadBytes`. */
  | 'MILLRACE_OUTPUT_TOO_LARGE'
  /** The handler's module could not be loaded in the thread: not found, a syntax error, or it threw. */
  | 'MILLRACE_MODULE_FAILED'
  /** The handler's module loaded, but does not hold the job. */
  | 'MILLRACE_HANDLER_MISSING'
  /** The definition's `setup` threw. */
  | 'MILLRACE_SETUP_FAILED'
  /** The thread died for a reason of its own. */
  | 'MILLRACE_THREAD_DIED'
  /** The whole process died while the job ran alone. */
  | 'MILLRACE_PROCESS_CRASHED'
  /** The job took the process down `maxCrashes` times. */
  | 'MILLRACE_QUARANTINED'
  /** Somebody ended the job by `discard()` or `discardMany()`. */
  | 'MILLRACE_DISCARDED'
  /** The stored input does not fit the definition's schema any more. */
  | 'MILLRACE_INPUT_MISMATCH'
  /** The job had not begun its first run by its `startBefore`. */
  | 'MILLRACE_EXPIRED'

export type MillraceErrorCode = CallErrorCode | ResultErrorCode | AttemptErrorCode

/** The base of every error of the library. */
export class MillraceError extends Error {
  static {
    this.prototype.name = 'MillraceError'
  }

  /** The stable name of what went wrong. */
  readonly code: MillraceErrorCode
  /** Marks the error for copies of the package other than the one that made it. */
  readonly [BRAND] = true

  /** Never throws, whatever it is given: the error would not be the one that was meant. */
  constructor(code: MillraceErrorCode, message: string, options?: { cause?: unknown }) {
    super(textOf(message), causeOf(options))
    this.code = code
  }
}

function textOf(message: unknown): string | undefined {
  try {
    return message === undefined ? undefined : String(message)
  } catch {
    return 'a message that cannot be shown'
  }
}

function causeOf(options: unknown): { cause: unknown } | undefined {
  try {
    const { cause } = Object(options) as { readonly cause?: unknown }
    return cause === undefined ? undefined : { cause }
  } catch {
    return undefined // A proxy that throws tells no cause.
  }
}

/** One thing a schema found wrong with an input. */
export interface InputIssue {
  readonly message: string
  /** Where in the input, outermost first. Empty for the input itself. */
  readonly path: readonly (string | number)[]
}

/** The input does not fit the definition's schema. Nothing was stored. */
export class InvalidInputError extends MillraceError {
  static {
    this.prototype.name = 'InvalidInputError'
  }

  readonly issues: readonly InputIssue[]

  constructor(message: string, issues: readonly InputIssue[]) {
    super('MILLRACE_INVALID_INPUT', message)
    this.issues = issues
  }
}

/** Another executor holds the directory. */
export class LockedError extends MillraceError {
  static {
    this.prototype.name = 'LockedError'
  }

  /** The process that holds the directory. */
  readonly holderPid: number

  constructor(message: string, holderPid: number) {
    super('MILLRACE_LOCKED', message)
    this.holderPid = holderPid
  }
}

/** Another job holds the unique key. Nothing was stored. */
export class DuplicateJobError extends MillraceError {
  static {
    this.prototype.name = 'DuplicateJobError'
  }

  /** The job that holds the key; undefined when two inputs of the call itself have the same. */
  readonly jobId: string | undefined
  readonly key: string

  constructor(message: string, jobId: string | undefined, key: string) {
    super('MILLRACE_DUPLICATE', message)
    this.jobId = jobId
    this.key = key
  }
}

/** A failure as it crosses threads and lies in the store: a plain record, bounded in size. */
export interface ErrorRecord {
  /** The class's name, such as `TypeError`. For a thrown value that is no error: its type, such as `string`. */
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** The error's own `code`, or one of {@link AttemptErrorCode}. */
  readonly code?: string
  readonly cause?: ErrorRecord
  /** Own fields of the error that fit into JSON. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** The job is over without an output. */
export class JobFailedError extends MillraceError {
  static {
    this.prototype.name = 'JobFailedError'
  }

  readonly jobId: string
  /** The name of the job's definition. */
  readonly jobName: string
  /** What ended the last attempt. */
  readonly error: ErrorRecord

  constructor(message: string, jobId: string, jobName: string, error: ErrorRecord) {
    super('MILLRACE_JOB_FAILED', message)
    this.jobId = jobId
    this.jobName = jobName
    this.error = error
  }
}

/**
 * Whether `error` is one of this library's, and of the given code if one is given. Also true for errors made by another
 * installed copy of the package.
 */
export function isMillraceError(error: unknown, code?: MillraceErrorCode): error is MillraceError {
  try {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false
    return code === undefined || (error as MillraceError).code === code
  } catch {
    return false // A proxy that throws is none of ours.
  }
}
