/** The store's counters: one record, written with every commit. */
import { MillraceError } from '../base/errors.js'
import type { FinalState } from '../job/job-info.js'

/** Kept in memory, written with every commit that changed them. */
export interface Counters {
  nextSeq: number
  nextBatch: number
  nextBlock: number
  /** How often the store was opened. */
  epoch: number
  scheduled: number
  /** Available and running. */
  waiting: number
  retryable: number
  /** Since the store was made. */
  completed: number
  cancelled: number
  discarded: number
  /** Undefined until it is known how many there were when the account began. */
  gone?: Gone | undefined
}

/**
 * Jobs that were counted as over and are in no block of finished jobs: never kept, pruned, purged, or brought back. With it those that
 * are there follow from what was counted, and one that is lost shows.
 *
 * A version that does not know it leaves it as it was, and may prune. Each opening that writes counts `epoch` up, so the account is that
 * of the store only if it tells the same one; otherwise it begins anew, with what is there.
 */
export type Gone = { epoch: number } & Record<FinalState, number>

type Numbers = Omit<Counters, 'gone'>

/** Those of a store that was just made. */
export function firstCounters(): Numbers {
  return {
    nextSeq: 1,
    nextBatch: 1,
    nextBlock: 1,
    epoch: 0,
    scheduled: 0,
    waiting: 0,
    retryable: 0,
    completed: 0,
    cancelled: 0,
    discarded: 0,
  }
}

/**
 * The counters of a store that was there before.
 * @throws MillraceError `MILLRACE_STORE_CORRUPT` when they are not all there: a number given out twice would be two jobs of one id
 */
export function storedCounters(record: unknown, where: string): Counters {
  const stored = (typeof record === 'object' ? record : undefined) as Partial<Counters> | undefined
  const wrong = (Object.keys(firstCounters()) as (keyof Numbers)[]).filter((name) => !((stored?.[name] ?? -1) >= 0))
  if (stored === undefined || wrong.length > 0) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `The store in ${where} has lost its counters (${wrong.join(', ')}). \`millrace doctor --repair\` makes them anew from the jobs.`,
    )
  }
  return { ...firstCounters(), ...stored, gone: knownGone(stored) }
}

/** The account that the counters hold, if it is that of the store. */
export function knownGone({ epoch, gone }: Partial<Counters>): Gone | undefined {
  if (typeof gone !== 'object' || gone === null || gone.epoch !== epoch) return undefined
  const isWhole = [gone.completed, gone.cancelled, gone.discarded].every((jobs) => Number.isSafeInteger(jobs) && jobs >= 0)
  return isWhole ? gone : undefined
}

/** Goes on with the account, or begins it. @param kept - jobs in blocks, at the opening */
export function openGone(counters: Counters, kept: Readonly<Record<FinalState, number>>): void {
  const { epoch } = counters
  const since = (state: FinalState): number => Math.max(0, counters[state] - kept[state])
  counters.gone = counters.gone
    ? { ...counters.gone, epoch }
    : { epoch, completed: since('completed'), cancelled: since('cancelled'), discarded: since('discarded') }
}
