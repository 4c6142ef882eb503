/**
 * How long something takes, as counts in buckets whose width grows with the value: eight to each doubling. A value read from them is
 * within 6 % of the measured one (half a bucket: 1/17), from a microsecond to 139 years; shorter ones count as 0.
 *
 * The bucket of a value follows from the bits of its 32-bit float: the exponent and the first three bits of the fraction, side by side,
 * are its number. A logarithm would cost ten times as much, and this is done twice for every job.
 *
 * Counts are kept for a quarter of an hour each, and go when they are older than an hour, so that what is told of them is of late:
 * percentiles since the store was made would hide that everything is slow today.
 */

/** Buckets to each doubling, in bits. */
const FINE_BITS = 3
const FRACTION_BITS = 23
const EXPONENT_BIAS = 127
/** The first bucket ends at 2 to this, in ms. */
const LOWEST_EXPONENT = -10
const DOUBLINGS = 52
const SHIFT = FRACTION_BITS - FINE_BITS
const FIRST = ((EXPONENT_BIAS + LOWEST_EXPONENT) << FINE_BITS) - 1
export const BUCKETS: number = (DOUBLINGS << FINE_BITS) + 1
const LAST = BUCKETS - 1

/** How far a value told may be from the one measured, as a share of it. */
export const RELATIVE_ERROR: number = 1 / ((2 << FINE_BITS) + 1)

/** Written and read within one call of `bucketOf`. */
const scratch = new Float32Array(1)
const scratchBits = new Int32Array(scratch.buffer)

/** The bucket of a time in ms. A bucket takes in its upper bound. The first is also that of negative times, which a clock set back gives. */
export function bucketOf(ms: number): number {
  if (!(ms > 0)) return 0
  scratch[0] = ms
  const bucket = (((scratchBits[0] ?? 0) - 1) >> SHIFT) - FIRST
  return bucket < 0 ? 0 : bucket > LAST ? LAST : bucket
}

/** The bucket that ends at 2 to `exponent`, in ms. */
export function bucketEndingAt(exponent: number): number {
  return (exponent - LOWEST_EXPONENT) << FINE_BITS
}

/** The highest value of a bucket, in ms. */
export function upperBoundMs(bucket: number): number {
  const fine = bucket & ((1 << FINE_BITS) - 1)
  return 2 ** ((bucket >> FINE_BITS) + LOWEST_EXPONENT) * (1 + fine / (1 << FINE_BITS))
}

/** What stands for a bucket's values: as far from its least as from its highest, as a share of them. */
function valueOf(bucket: number): number {
  if (bucket === 0) return 0
  const low = upperBoundMs(bucket - 1)
  const high = upperBoundMs(bucket)
  return (2 * low * high) / (low + high)
}

/** How long the counts of a generation are added to. */
export const GENERATION_MS: number = 15 * 60_000
/** Generations that count, beside the one under way. */
const KEPT = 4

export interface Generation {
  /** Its number, counted from the epoch. */
  readonly slot: number
  readonly counts: Uint32Array
  /** Of what was measured, in ms. */
  sumMs: number
}

/** What is told of times, in ms. */
export interface Distribution {
  /** How many were measured. */
  readonly count: number
  /** Exact. */
  readonly meanMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
}

export class Histogram {
  /** The generation under way: whoever measures adds to it. Another one after `roll`. */
  open: Generation
  #closed: Generation[]
  /** Of generations closed since the executor opened, and of the open one as it was then, negative. */
  #before: { readonly counts: Float64Array; sumMs: number } | undefined

  /** @param stored - generations of an earlier process, oldest first */
  constructor(stored: readonly Generation[] = []) {
    this.#closed = stored.slice(0, -1)
    this.open = stored.at(-1) ?? emptyGeneration(0)
    if (stored.length > 0) this.#account(this.open, -1)
  }

  /** Begins a generation if it is time to. Called before what is measured at `at` is added. */
  roll(at: number): void {
    const slot = Math.floor(at / GENERATION_MS)
    if (slot <= this.open.slot) return
    if (this.open.sumMs > 0 || this.open.counts.some((count) => count > 0)) {
      this.#closed.push(this.open)
      this.#account(this.open, 1)
    }
    this.#closed = this.#closed.filter((generation) => generation.slot >= slot - KEPT)
    this.open = emptyGeneration(slot)
  }

  add(ms: number): void {
    const { open } = this
    const bucket = bucketOf(ms)
    open.counts[bucket] = (open.counts[bucket] ?? 0) + 1
    open.sumMs += Math.max(0, ms)
  }

  /** What is worth keeping, oldest first. */
  get generations(): readonly Generation[] {
    return [...this.#closed, this.open]
  }

  /** Adds what was measured within the last hour, to a quarter of an hour, to `into`. Returns the sum of it in ms. */
  addRecent(into: Float64Array, at: number): number {
    const oldest = Math.floor(at / GENERATION_MS) - KEPT
    let sumMs = 0
    for (const generation of this.generations) {
      if (generation.slot < oldest) continue
      addCounts(into, generation.counts, 1)
      sumMs += generation.sumMs
    }
    return sumMs
  }

  /** What was measured since the executor opened: counts that only grow as long as it is open. */
  get sinceOpen(): { readonly counts: Float64Array; readonly sumMs: number } {
    const counts = this.#before?.counts.slice() ?? new Float64Array(BUCKETS)
    addCounts(counts, this.open.counts, 1)
    return { counts, sumMs: (this.#before?.sumMs ?? 0) + this.open.sumMs }
  }

  #account({ counts, sumMs }: Generation, sign: 1 | -1): void {
    this.#before ??= { counts: new Float64Array(BUCKETS), sumMs: 0 }
    addCounts(this.#before.counts, counts, sign)
    this.#before.sumMs += sign * sumMs
  }
}

export function emptyGeneration(slot: number): Generation {
  return { slot, counts: new Uint32Array(BUCKETS), sumMs: 0 }
}

/** What several histograms have measured within the last hour, as one; undefined when they have not. */
export function recentOf(histograms: Iterable<Histogram>, at: number): Distribution | undefined {
  const counts = new Float64Array(BUCKETS)
  let sumMs = 0
  for (const histogram of histograms) sumMs += histogram.addRecent(counts, at)
  const count = counts.reduce((sum, each) => sum + each, 0)
  if (count === 0) return undefined
  return {
    count,
    meanMs: sumMs / count,
    p50Ms: quantile(counts, count * 0.5),
    p90Ms: quantile(counts, count * 0.9),
    p99Ms: quantile(counts, count * 0.99),
  }
}

/** The value of which `rank` are at or below it. */
function quantile(counts: Float64Array, rank: number): number {
  let below = 0
  for (const [bucket, count] of counts.entries()) {
    below += count
    if (below >= rank && below > 0) return valueOf(bucket)
  }
  return valueOf(LAST)
}

function addCounts(into: Float64Array, counts: ArrayLike<number>, sign: 1 | -1): void {
  for (let bucket = 0; bucket < BUCKETS; bucket++) into[bucket] = (into[bucket] ?? 0) + sign * (counts[bucket] ?? 0)
}
