/** Interleaved measuring: every contestant once per round, in turn, so that what the machine does meanwhile hits all alike. */

export interface Contestant {
  readonly name: string
  /** Runs once; gives what is compared, higher is better. */
  readonly run: () => Promise<number>
}

export interface Measured {
  readonly name: string
  readonly values: readonly number[]
  readonly median: number
  readonly low: number
  readonly high: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

/** The value below which the given share of the sorted sample lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export async function interleave(contestants: readonly Contestant[], rounds: number, warmups = 1): Promise<Measured[]> {
  const values = contestants.map((): number[] => [])
  for (let round = -warmups; round < rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      const value = await contestant.run()
      if (round >= 0) values[index]?.push(value)
    }
    process.stderr.write(`${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}\n`)
  }
  return contestants.map(({ name }, index) => {
    const sample = values[index] ?? []
    return { name, values: sample, median: median(sample), low: Math.min(...sample), high: Math.max(...sample) }
  })
}

/** Median over the rounds of the ratio within each round: noise that lasts longer than a round cancels out. */
export function ratio(measured: Measured, against: Measured): number {
  return median(measured.values.map((value, round) => value / (against.values[round] ?? Number.NaN)))
}
