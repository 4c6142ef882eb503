/**
 * Holds the store's counters against what a look through the whole store has found, and makes them anew. Part of the store audit.
 *
 * Of jobs that are over a counter tells how many there ever were. Those that are kept are these without the ones that have left, as the
 * counters' account of them says (`store/counters`): of a store that has it, one that is lost shows. A repair cannot bring it back; it
 * puts it down as gone, so that the next one shows too.
 */
import type { FinalState } from '../job/job-info.js'
import { type Counters, type Gone, knownGone } from '../store/counters.js'

const FINAL_STATES = ['completed', 'cancelled', 'discarded'] as const
const STATES = ['waiting', 'scheduled', 'retryable', ...FINAL_STATES] as const

/** Jobs found. `waiting`: available and running. */
export type Recount = Record<(typeof STATES)[number], number>

/** The highest numbers that are in use. */
export interface Highest {
  readonly seq: number
  readonly block: number
  readonly batch: number
  readonly epoch: number
}

/** What a look through the store has found of jobs. */
export interface CountedJobs {
  /** Those that are there. */
  readonly kept: Recount
  /** The same, and each time that a job of them was over and was brought back. */
  readonly totals: Recount
}

/** @param keepsAll - nothing was ever pruned, so that the totals are what is there */
export function checkCounters(
  record: Buffer | undefined,
  jobs: CountedJobs,
  highest: Highest,
  keepsAll: boolean,
): { readonly problems: readonly string[]; readonly rebuilt: Buffer } {
  const read = readCounters(record)
  const counters = typeof read === 'string' ? {} : read
  const problems = typeof read === 'string' ? [read] : [...miscounts(read, jobs, keepsAll), ...usedNumbers(read, highest)]
  return { problems, rebuilt: Buffer.from(JSON.stringify(rebuild(counters, jobs, highest)), 'utf8') }
}

function readCounters(record: Buffer | undefined): Partial<Counters> | string {
  if (record === undefined) return 'meta has no counters'
  try {
    const counters: unknown = JSON.parse(record.toString('utf8'))
    return typeof counters === 'object' && counters !== null ? counters : 'meta counters are no counters'
  } catch (error) {
    return `meta counters cannot be read: ${(error as Error).message}`
  }
}

function* miscounts(counters: Partial<Counters>, { kept, totals }: CountedJobs, keepsAll: boolean): Generator<string> {
  const gone = knownGone(counters)
  for (const state of STATES) {
    const counted = counters[state]
    const found = totals[state]
    // Of jobs that are over the counter tells how many there ever were, and some may have been pruned.
    const isTotal = !keepsAll && isFinal(state)
    const isRight = isTotal ? isCount(counted) && found <= counted : counted === found
    if (!isRight) yield `counter ${state} is ${counted}, a recount gives ${found}`
    else if (gone !== undefined && isFinal(state)) yield* losses(state, counted ?? 0, gone[state], kept[state])
  }
}

function* losses(state: FinalState, counted: number, gone: number, kept: number): Generator<string> {
  const lost = counted - gone - kept
  const figures = `of ${counted} counted, ${gone} have left and ${kept} are there`
  if (lost === 1) yield `1 ${state} job is lost: ${figures}; only a backup may have it`
  else if (lost > 0) yield `${lost} ${state} jobs are lost: ${figures}; only a backup may have them`
  else if (lost === -1) yield `1 ${state} job should be gone and is there: ${figures}`
  else if (lost < 0) yield `${-lost} ${state} jobs should be gone and are there: ${figures}`
}

function* usedNumbers(counters: Partial<Counters>, { seq, block, batch, epoch }: Highest): Generator<string> {
  for (const [name, used] of [
    ['nextSeq', seq],
    ['nextBlock', block],
    ['nextBatch', batch],
  ] as const) {
    const next = counters[name]
    if (!(isCount(next) && next > used)) yield `counter ${name} is ${next}, and ${used} is in use`
  }
  if (!(isCount(counters.epoch) && counters.epoch >= epoch))
    yield `counter epoch is ${counters.epoch}, and a page was written in ${epoch}`
}

function rebuild(counters: Partial<Counters>, { kept, totals }: CountedJobs, { seq, block, batch, epoch }: Highest): Counters {
  const atLeast = (value: number | undefined, least: number): number => (isCount(value) ? Math.max(value, least) : least)
  const rebuilt = {
    nextSeq: atLeast(counters.nextSeq, seq + 1),
    nextBatch: atLeast(counters.nextBatch, batch + 1),
    nextBlock: atLeast(counters.nextBlock, block + 1),
    epoch: atLeast(counters.epoch, epoch),
    scheduled: totals.scheduled,
    waiting: totals.waiting,
    retryable: totals.retryable,
    completed: atLeast(counters.completed, totals.completed),
    cancelled: atLeast(counters.cancelled, totals.cancelled),
    discarded: atLeast(counters.discarded, totals.discarded),
  }
  if (knownGone(counters) === undefined) return rebuilt
  const gone: Gone = { epoch: rebuilt.epoch, completed: 0, cancelled: 0, discarded: 0 }
  for (const state of FINAL_STATES) gone[state] = rebuilt[state] - kept[state]
  return { ...rebuilt, gone }
}

function isFinal(state: (typeof STATES)[number]): state is FinalState {
  return FINAL_STATES.includes(state as FinalState)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
