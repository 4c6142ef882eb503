/** Holds what a job has behind it against its entry in a page. Part of the store audit. */
import { ENTRY_RETRY, ENTRY_SUSPECT } from '../codec/page.js'
import type { JobLedger } from '../job/job-state.js'

/** What is wrong. @param solo - the job has a page of its own */
export function* ledgerProblems(ledger: JobLedger | undefined, flags: number, solo: boolean): Generator<string> {
  if (solo !== (ledger !== undefined)) yield `${solo ? 'is alone and has no' : 'is with others and has a'} history`
  if ((flags & ENTRY_RETRY) !== 0 && !solo) yield 'is a retry among others'
  if (((flags & ENTRY_SUSPECT) !== 0) !== (ledger?.suspect ?? false)) yield 'is a suspect by half'
  const charged = ledger?.attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'timedOut').length ?? 0
  const told = (ledger?.charged ?? 0) + (ledger?.forgiven ?? 0)
  if (charged > told) yield `was charged ${told} attempts of ${charged}`
}

/** Whether the job was over before any run, and was brought back: it has a history, and nothing behind it. */
export function isNew(ledger: JobLedger | undefined): boolean {
  return ledger?.ended !== undefined && ledger.attempts.length === 0
}
