/** What is looked at while the soak goes on, each with the margin within which it counts as flat. */
import { liveThreads } from '../../support/open.js'
import type { Load } from './load.js'
import { trendOf, type Margin } from './trend.js'

const MB = 2 ** 20

export interface Sample {
  readonly seconds: number
  readonly rssMb: number
  readonly heapMb: number
  readonly externalMb: number
  readonly fileMb: number
  readonly handles: number
  readonly threads: number
  readonly readers: number
  readonly oldestWaitMs: number
  readonly jobs: number
}

export type Measure = Exclude<keyof Sample, 'seconds' | 'jobs'>

export const MARGINS: Readonly<Record<Measure, Margin>> = {
  // The system gives memory back when it likes.
  rssMb: { share: 0.25, least: 40 },
  heapMb: { share: 0.25, least: 6 },
  externalMb: { share: 0.35, least: 16 },
  fileMb: { share: 0.25, least: 8 },
  handles: { share: 0, least: 2 },
  threads: { share: 0, least: 1 },
  readers: { share: 0, least: 0 },
  oldestWaitMs: { share: 1, least: 3000 },
}

/** While nothing is in flight, by what the process and the store's own figures tell. */
export function takeSample(load: Load, seconds: number): Sample {
  const { rss, heapUsed, external } = process.memoryUsage()
  return {
    seconds,
    rssMb: rss / MB,
    heapMb: heapUsed / MB,
    externalMb: external / MB,
    fileMb: load.executor.stats().store.sizeBytes / MB,
    handles: process.getActiveResourcesInfo().length,
    threads: liveThreads().length,
    readers: load.readers,
    oldestWaitMs: load.takeOldestWait(),
    jobs: load.jobs,
  }
}

/** Every measure that has grown, one line each. */
export function growths(samples: readonly Sample[]): string[] {
  return (Object.entries(MARGINS) as [Measure, Margin][]).flatMap(([name, margin]) => {
    const { first, last, isFlat } = trendOf(
      samples.map((sample) => sample[name]),
      margin,
    )
    if (isFlat) return []
    return [
      `${name} grew: median ${first.toFixed(1)} in the first third, ${last.toFixed(1)} in the last, of ${samples.length} samples`,
    ]
  })
}

export function toCsv(samples: readonly Sample[]): string {
  const names = ['seconds', ...Object.keys(MARGINS), 'jobs'] as (keyof Sample)[]
  const rows = samples.map((sample) => names.map((name) => Number(sample[name].toFixed(2))).join(','))
  return `${[names.join(','), ...rows].join('\n')}\n`
}
