/** How a run ended, from what its thread left, in the words of `decide`. */
import { formatDuration } from '../base/duration.js'
import type { ErrorRecord } from '../base/errors.js'
import { OUTCOME_CANCELLED, OUTCOME_FATAL, OUTCOME_SNOOZED, OUTCOME_UNFIT } from '../codec/batch-control.js'
import type { BatchEnd, Stop } from '../dispatcher/batch.js'
import type { AttemptEnd } from '../job/job-state.js'
import type { OutcomeBody } from '../protocol/messages.js'

export interface Span {
  /** Epoch ms. */
  readonly startedAt: number
  /** Epoch ms. */
  readonly endedAt: number
}

/**
 * An outcome record that is not a plain completion. A job that was asked to stop and then failed is what it was to become, or
 * interrupted if it was asked for a reason that is not its own.
 */
export function endOfRecord(
  kind: number,
  body: OutcomeBody,
  span: Span,
  stop: Stop | undefined,
  interrupted: boolean,
): AttemptEnd {
  const error = body.error ?? { name: 'Error', message: 'The attempt failed.' }
  if (stop !== undefined) return stoppedEnd(span, stop)
  switch (kind) {
    case OUTCOME_FATAL:
      return { kind: 'fatal', ...span, error }
    case OUTCOME_UNFIT:
      return { kind: 'unfit', ...span, error }
    case OUTCOME_SNOOZED:
      return {
        kind: 'snoozed',
        ...span,
        afterMs: body.afterMs ?? 0,
        ...(body.reason !== undefined && { error: snoozeError(body.reason) }),
      }
    case OUTCOME_CANCELLED:
      return cancelledEnd(span, body.reason)
    default:
      if (interrupted) return { kind: 'interrupted', ...span }
      // Its definition's retryIf says that another run is of no use.
      if (body.final === true) return { kind: 'fatal', ...span, error }
      return { kind: 'failed', ...span, error, ...(body.afterMs !== undefined && { afterMs: body.afterMs }) }
  }
}

/**
 * The end of the run that a dead thread was at.
 * @param at - the job's index in its batch
 */
export function endOfDeath(
  end: BatchEnd & { kind: 'died' },
  at: number,
  span: Span,
  stop: Stop | undefined,
  timeoutMs: number,
): AttemptEnd {
  if (stop !== undefined) return stoppedEnd(span, stop)
  if (end.cause === 'timeout' && end.target === at) return { kind: 'timedOut', ...span, error: timeoutError(timeoutMs) }
  if (end.cause !== undefined) return { kind: 'interrupted', ...span }
  return { kind: 'failed', ...span, error: deathError(end) }
}

/** The error that stands for a cancellation; none when no reason was given. */
export function cancelError(reason: string | undefined): ErrorRecord | undefined {
  return reason === undefined || reason === '' ? undefined : { name: 'Cancelled', message: reason }
}

/** The error that a job is left with that somebody discarded. */
export function discardError(reason: string | undefined): ErrorRecord {
  const message = reason === undefined || reason === '' ? 'The job was discarded by a call of discard.' : reason
  return { name: 'DiscardedError', code: 'MILLRACE_DISCARDED', message }
}

/** Why the handler put its job off, where an attempt's reason is looked for. */
function snoozeError(reason: string): ErrorRecord {
  return { name: 'Snoozed', message: reason }
}

function stoppedEnd(span: Span, { state, reason }: Stop): AttemptEnd {
  if (state === 'cancelled') return cancelledEnd(span, reason)
  return { kind: 'dismissed', ...span, error: discardError(reason) }
}

function cancelledEnd(span: Span, reason: string | undefined): AttemptEnd {
  const error = cancelError(reason)
  return { kind: 'cancelled', ...span, ...(error !== undefined && { error }) }
}

/** Why a job that never ran was ended. @param startBefore - epoch ms by which it had to begin */
export function expiredError(startBefore: number, now: number): ErrorRecord {
  return {
    name: 'ExpiredError',
    code: 'MILLRACE_EXPIRED',
    message: `The job had to begin before ${new Date(startBefore).toISOString()}, and its turn came ${formatDuration(Math.max(0, now - startBefore))} later.`,
  }
}

function timeoutError(timeoutMs: number): ErrorRecord {
  return {
    name: 'TimeoutError',
    code: 'MILLRACE_TIMEOUT',
    message: `The attempt ran longer than its timeout of ${timeoutMs} ms, and its thread was terminated.`,
  }
}

function deathError({ error, exitCode }: BatchEnd & { kind: 'died' }): ErrorRecord {
  if ((error as { code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return {
      name: 'OutOfMemoryError',
      code: 'MILLRACE_OUT_OF_MEMORY',
      message: 'The thread reached its JavaScript heap limit and was ended. Raise resourceLimits, or work on less at a time.',
    }
  }
  if (error === undefined) {
    return {
      name: 'ProcessExitError',
      code: 'MILLRACE_PROCESS_EXIT',
      message: `The handler called process.exit(${exitCode}), which ended its thread.`,
    }
  }
  return { name: error.name, code: 'MILLRACE_THREAD_DIED', message: `The thread died: ${error.message}` }
}
