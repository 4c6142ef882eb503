/**
 * The life of a job as pure functions: which state follows which, and what the end of an attempt means for the job.
 * Nothing else in the library decides either.
 *
 *   from                                        event        to
 *   (enqueue)                                   -            scheduled if runAt is in the future, else available
 *   scheduled, retryable                        due          available
 *   available                                   claim        running
 *   available                                   expire       discarded    it had to begin its first run before now
 *   running                                     unclaim      available    given back before it began; no attempt
 *   running                                     complete     completed
 *   running                                     retry        retryable    failed or timed out, retries left
 *   scheduled, available, running, retryable    discard      discarded    out of retries, fatal, unfit, or asked for
 *   running                                     snooze       retryable
 *   running                                     interrupt    available    stopped for a reason that is not the job's
 *   running                                     crash        available    the process died while it ran alone
 *   running                                     quarantine   discarded    … for the maxCrashes-th time
 *   scheduled, available, running, retryable    cancel       cancelled
 *   cancelled, discarded                        revive       available    somebody asked for it by hand
 *
 * completed, cancelled and discarded are final: no job leaves them by itself. Everything not in the table is a defect of the library.
 */
import { assert, AssertionFailure } from '../base/assert.js'
import type { ErrorRecord } from '../base/errors.js'
import { ATTEMPTS_KEPT, MAX_INSTANT } from '../base/limits.js'
import type { Attempt, AttemptOutcome, FinalState, JobState } from './job-info.js'

export type TransitionEvent =
  | 'due'
  | 'claim'
  | 'expire'
  | 'unclaim'
  | 'complete'
  | 'retry'
  | 'discard'
  | 'snooze'
  | 'interrupt'
  | 'crash'
  | 'quarantine'
  | 'cancel'
  | 'revive'

const TABLE: { readonly [From in JobState]: { readonly [Event in TransitionEvent]?: JobState } } = {
  scheduled: { due: 'available', cancel: 'cancelled', discard: 'discarded' },
  available: { claim: 'running', expire: 'discarded', cancel: 'cancelled', discard: 'discarded' },
  running: {
    unclaim: 'available',
    complete: 'completed',
    retry: 'retryable',
    discard: 'discarded',
    snooze: 'retryable',
    interrupt: 'available',
    crash: 'available',
    quarantine: 'discarded',
    cancel: 'cancelled',
  },
  retryable: { due: 'available', cancel: 'cancelled', discard: 'discarded' },
  completed: {},
  cancelled: { revive: 'available' },
  discarded: { revive: 'available' },
}

/** The state after `event`. @throws AssertionFailure if the table has no such transition. */
export function transition(state: JobState, event: TransitionEvent): JobState {
  const next = TABLE[state][event]
  if (next === undefined)
    throw new AssertionFailure(`Millrace internal error: a job that is ${state} met "${event}". Please report this.`)
  return next
}

/** Where an enqueued job begins. @param runAt - Epoch ms; `undefined` is now. */
export function initialState(runAt: number | undefined, now: number): 'scheduled' | 'available' {
  return runAt !== undefined && runAt > now ? 'scheduled' : 'available'
}

/** Whether a job never leaves `state` by itself. */
export function isFinal(state: JobState): state is FinalState {
  return state === 'completed' || state === 'cancelled' || state === 'discarded'
}

/** What a job has behind it. Fits into JSON. */
export interface JobLedger {
  /** Retries used: the attempts that failed or timed out, since it was enqueued or brought back. */
  readonly charged: number
  /** How often it took the process down, running alone, in the same time. */
  readonly crashes: number
  /** Attempts that were charged before it was brought back. Absent: it never was. */
  readonly forgiven?: number
  /** How often it was over and was brought back, by what it had ended as. */
  readonly ended?: Readonly<Partial<Record<FinalState, number>>>
  /** It was in flight when the process died, and no attempt has ended in an orderly way since: it runs alone. */
  readonly suspect: boolean
  /** Oldest first; the first and the latest ones. */
  readonly attempts: readonly Attempt[]
}

/** Of a job that never ran. */
export const EMPTY_LEDGER: JobLedger = Object.freeze({ charged: 0, crashes: 0, suspect: false, attempts: Object.freeze([]) })

/** The number of the current or next attempt. */
export function nextAttempt(ledger: JobLedger): number {
  return ledger.charged + 1
}

/** The number that `JobInfo.attempt` shows: of the current or next attempt, and of the last one when the job is over. */
export function shownAttempt(state: JobState, ledger: JobLedger): number {
  return (isFinal(state) ? ledger.attempts.at(-1)?.attempt : undefined) ?? nextAttempt(ledger)
}

/** Of a job that is over and is brought back: it begins anew, and keeps what it has behind it. */
export function revivedLedger({ charged, forgiven = 0, ended, attempts }: JobLedger, from: FinalState): JobLedger {
  assert(transition(from, 'revive') === 'available', 'a job that is brought back waits for a thread')
  return {
    charged: 0,
    crashes: 0,
    suspect: false,
    forgiven: forgiven + charged,
    ended: { ...ended, [from]: (ended?.[from] ?? 0) + 1 },
    attempts,
  }
}

interface Span {
  /** Epoch ms. */
  readonly startedAt: number
  /** Epoch ms. */
  readonly endedAt: number
}

/** How an attempt ended. */
export type AttemptEnd = Span &
  (
    | { readonly kind: 'completed' }
    /** `afterMs`: the handler chose the wait itself (`RetryError`). */
    | { readonly kind: 'failed'; readonly error: ErrorRecord; readonly afterMs?: number }
    | { readonly kind: 'timedOut'; readonly error: ErrorRecord }
    /** The handler threw a `FatalError`. */
    | { readonly kind: 'fatal'; readonly error: ErrorRecord }
    /** The stored input does not fit the schema any more. */
    | { readonly kind: 'unfit'; readonly error: ErrorRecord }
    | { readonly kind: 'snoozed'; readonly afterMs: number; readonly error?: ErrorRecord }
    | { readonly kind: 'cancelled'; readonly error?: ErrorRecord }
    /** Somebody asked for it to be discarded. */
    | { readonly kind: 'dismissed'; readonly error: ErrorRecord }
    /** Stopped by a close, a batch-mate's termination, or a thread's recycling. */
    | { readonly kind: 'interrupted'; readonly error?: ErrorRecord }
    /** The process died while this job ran alone. */
    | { readonly kind: 'crashed'; readonly error?: ErrorRecord }
    /** The process died while this job ran beside others: one of them may be guilty. */
    | { readonly kind: 'suspect'; readonly error?: ErrorRecord }
  )

export interface AttemptPolicy {
  /** `Infinity` included. `n` allows `n + 1` charged attempts. */
  readonly maxRetries: number
  /** `Infinity` included. */
  readonly maxCrashes: number
}

/** What the end of an attempt makes of the job. */
export interface Decision {
  readonly state: JobState
  readonly ledger: JobLedger
  /** Epoch ms; present exactly when `state` is `retryable`. */
  readonly runAt?: number
  /** Present when the job is over without an output: why. */
  readonly error?: ErrorRecord
}

/** `charge`: the attempt uses up a retry. A fatal failure is one too; that nothing follows is another matter. */
const ENDS: { readonly [Kind in AttemptEnd['kind']]: { readonly outcome: AttemptOutcome; readonly charge: boolean } } = {
  completed: { outcome: 'completed', charge: false },
  failed: { outcome: 'failed', charge: true },
  timedOut: { outcome: 'timedOut', charge: true },
  fatal: { outcome: 'failed', charge: true },
  unfit: { outcome: 'failed', charge: true },
  snoozed: { outcome: 'snoozed', charge: false },
  cancelled: { outcome: 'cancelled', charge: false },
  dismissed: { outcome: 'cancelled', charge: false },
  interrupted: { outcome: 'interrupted', charge: false },
  crashed: { outcome: 'crashed', charge: false },
  suspect: { outcome: 'interrupted', charge: false },
}

/**
 * Decides over a running job whose attempt has ended.
 *
 * @param delayMs - The backoff's delay before the next retry; used if the job failed or timed out and did not choose one itself.
 */
export function decide(ledger: JobLedger, end: AttemptEnd, policy: AttemptPolicy, delayMs: number, now: number): Decision {
  const after = record(ledger, end)
  const to = (event: TransitionEvent, rest?: { runAt?: number; error?: ErrorRecord | undefined }): Decision => ({
    state: transition('running', event),
    ledger: after,
    ...(rest?.runAt !== undefined && { runAt: rest.runAt }),
    ...(rest?.error !== undefined && { error: rest.error }),
  })
  switch (end.kind) {
    case 'completed':
      return to('complete')
    case 'failed':
    case 'timedOut': {
      if (after.charged > policy.maxRetries) return to('discard', { error: end.error })
      const chosenMs = end.kind === 'failed' ? end.afterMs : undefined
      return to('retry', { runAt: instantAfter(chosenMs ?? delayMs, now) })
    }
    case 'fatal':
    case 'unfit':
    case 'dismissed':
      return to('discard', { error: end.error })
    case 'snoozed':
      return to('snooze', { runAt: instantAfter(end.afterMs, now) })
    case 'cancelled':
      return to('cancel', { error: end.error })
    case 'interrupted':
    case 'suspect':
      return to('interrupt')
    case 'crashed':
      if (after.crashes < policy.maxCrashes) return to('crash')
      return to('quarantine', { error: quarantineError(after.crashes, policy.maxCrashes) })
  }
}

function instantAfter(delayMs: number, now: number): number {
  assert(delayMs >= 0, `a delay of ${delayMs} ms`)
  return Math.min(Math.ceil(now + delayMs), MAX_INSTANT)
}

function record(ledger: JobLedger, end: AttemptEnd): JobLedger {
  const { outcome, charge } = ENDS[end.kind]
  const error = end.kind === 'completed' ? undefined : end.error
  const { startedAt, endedAt } = end
  const attempt: Attempt = { attempt: nextAttempt(ledger), startedAt, endedAt, outcome, ...(error !== undefined && { error }) }
  return {
    charged: ledger.charged + (charge ? 1 : 0),
    crashes: ledger.crashes + (end.kind === 'crashed' ? 1 : 0),
    ...(ledger.forgiven !== undefined && { forgiven: ledger.forgiven }),
    ...(ledger.ended !== undefined && { ended: ledger.ended }),
    suspect: end.kind === 'crashed' || end.kind === 'suspect',
    attempts: capped([...ledger.attempts, attempt]),
  }
}

/** Keeps the first, which tells how it began, and the latest ones. */
function capped(attempts: readonly Attempt[]): readonly Attempt[] {
  if (attempts.length <= ATTEMPTS_KEPT) return attempts
  return [...attempts.slice(0, 1), ...attempts.slice(1 - ATTEMPTS_KEPT)]
}

function quarantineError(crashes: number, maxCrashes: number): ErrorRecord {
  const times = crashes === 1 ? 'once' : `${crashes} times`
  const message = `The job took the process down ${times} while it ran alone, and maxCrashes is ${maxCrashes}: it is quarantined and will not run again.`
  return { name: 'MillraceError', message, code: 'MILLRACE_QUARANTINED' }
}
