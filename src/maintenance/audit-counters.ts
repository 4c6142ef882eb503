/** Holds the store's counters against what a look through the whole store has found, and makes them anew. Part of the store audit. */
import type { FinalState } from '../job/job-info.js'

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

interface Counters extends Recount {
  nextSeq: number
  nextBatch: number
  nextBlock: number
  epoch: number
}

/** @param keepsAll - nothing was ever pruned, so that the totals are what is there */
export function checkCounters(
  record: Buffer | undefined,
  recount: Recount,
  highest: Highest,
  keepsAll: boolean,
): { readonly problems: readonly string[]; readonly rebuilt: Buffer } {
  const read = readCounters(record)
  const counters = typeof read === 'string' ? {} : read
  const problems = typeof read === 'string' ? [read] : [...miscounts(read, recount, keepsAll), ...usedNumbers(read, highest)]
  return { problems, rebuilt: Buffer.from(JSON.stringify(rebuild(counters, recount, highest)), 'utf8') }
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

function* miscounts(counters: Partial<Counters>, recount: Recount, keepsAll: boolean): Generator<string> {
  for (const state of STATES) {
    const counted = counters[state]
    const found = recount[state]
    // Of jobs that are over the counter tells how many there ever were, and some may have been pruned.
    const isTotal = !keepsAll && FINAL_STATES.includes(state as FinalState)
    const isRight = isTotal ? isCount(counted) && found <= counted : counted === found
    if (!isRight) yield `counter ${state} is ${counted}, a recount gives ${found}`
  }
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

function rebuild(counters: Partial<Counters>, recount: Recount, { seq, block, batch, epoch }: Highest): Counters {
  const atLeast = (value: number | undefined, least: number): number => (isCount(value) ? Math.max(value, least) : least)
  return {
    nextSeq: atLeast(counters.nextSeq, seq + 1),
    nextBatch: atLeast(counters.nextBatch, batch + 1),
    nextBlock: atLeast(counters.nextBlock, block + 1),
    epoch: atLeast(counters.epoch, epoch),
    scheduled: recount.scheduled,
    waiting: recount.waiting,
    retryable: recount.retryable,
    completed: atLeast(counters.completed, recount.completed),
    cancelled: atLeast(counters.cancelled, recount.cancelled),
    discarded: atLeast(counters.discarded, recount.discarded),
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
