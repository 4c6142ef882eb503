/** The store's counters: one record, written with every commit. */
import { MillraceError } from '../base/errors.js'

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
}

/** Those of a store that was just made. */
export function firstCounters(): Counters {
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
  const wrong = (Object.keys(firstCounters()) as (keyof Counters)[]).filter((name) => !((stored?.[name] ?? -1) >= 0))
  if (stored === undefined || wrong.length > 0) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `The store in ${where} has lost its counters (${wrong.join(', ')}). \`millrace doctor --repair\` makes them anew from the jobs.`,
    )
  }
  return { ...firstCounters(), ...stored }
}
