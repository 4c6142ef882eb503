/**
 * Whether a series is flat: the median of its last third against that of its first. Medians, because a series that is collected now
 * and then looks like a saw; thirds, because what grows grows over the whole time and what settles does so in the first part.
 */

/** How much more the last third may be than the first. */
export interface Margin {
  /** A share of the first third's median. */
  readonly share: number
  /** In the unit of the series. */
  readonly least: number
}

export interface Trend {
  readonly first: number
  readonly last: number
  readonly isFlat: boolean
}

/** Fewer tell nothing: neither that something grew, nor that it did not. */
export const LEAST_SAMPLES = 9

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

/**
 * @param series - after the settling time
 * @throws RangeError when it has fewer than `LEAST_SAMPLES`
 */
export function trendOf(series: readonly number[], { share, least }: Margin): Trend {
  if (series.length < LEAST_SAMPLES) throw new RangeError(`${series.length} samples tell nothing; ${LEAST_SAMPLES} are the least`)
  const third = Math.floor(series.length / 3)
  const first = median(series.slice(0, third))
  const last = median(series.slice(-third))
  return { first, last, isFlat: last <= first + Math.max(least, first * share) }
}
