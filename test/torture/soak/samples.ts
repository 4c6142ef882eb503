/** What is looked at while the soak goes on, each with the margin within which it counts as flat. */
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { DataFile } from '../../../src/store/lmdb/data-file.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import { checkStructure } from '../../../src/store/lmdb/structure.js'
import { liveThreads } from '../../support/open.js'
import { LANES, type Lane, type Load } from './load.js'
import { LEAST_SAMPLES, trendOf, type Margin } from './trend.js'

const MB = 2 ** 20

/** A lane's is the longest wait of its jobs since the sample before, from when they were due to their first start. */
export type Measure =
  | 'rssMb'
  | 'heapMb'
  | 'externalMb'
  | 'fileMb'
  | 'usedPages'
  | 'freePages'
  | 'files'
  | 'handles'
  | 'threads'
  | 'readers'
  | `waitMs ${Lane}`

export interface Sample {
  readonly seconds: number
  readonly jobs: number
  /** Undefined, and then in every sample: the system does not tell. */
  readonly values: Readonly<Partial<Record<Measure, number>>>
}

const WAIT: Margin = { share: 1, least: 3000 }

export const MARGINS = {
  // The system gives memory back when it likes.
  rssMb: { share: 0.25, least: 40 },
  heapMb: { share: 0.25, least: 6 },
  externalMb: { share: 0.35, least: 16 },
  fileMb: { share: 0.25, least: 8 },
  // Of 4 KiB: the same 8 MB.
  usedPages: { share: 0.25, least: 2000 },
  freePages: { share: 0.25, least: 2000 },
  files: { share: 0, least: 4 },
  handles: { share: 0, least: 2 },
  threads: { share: 0, least: 1 },
  readers: { share: 0, least: 0 },
  ...(Object.fromEntries(LANES.map((lane) => [`waitMs ${lane}`, WAIT])) as Record<`waitMs ${Lane}`, Margin>),
} satisfies Record<Measure, Margin>

export const MEASURES = Object.keys(MARGINS) as readonly Measure[]

/** While nothing is in flight, by what the process, the system and the store's own file tell. */
export function takeSample(load: Load, seconds: number): Sample {
  const { rss, heapUsed, external } = process.memoryUsage()
  const { used, free } = pagesOf(load.path)
  const files = openFiles()
  return {
    seconds,
    jobs: load.jobs,
    values: {
      rssMb: rss / MB,
      heapMb: heapUsed / MB,
      externalMb: external / MB,
      fileMb: load.executor.stats().store.sizeBytes / MB,
      usedPages: used,
      freePages: free,
      ...(files !== undefined && { files }),
      // Of those that keep the process alive; the others hold a file open or are threads.
      handles: process.getActiveResourcesInfo().length,
      threads: liveThreads().length,
      readers: load.readers,
      ...load.takeLongestWaits(),
    },
  }
}

/** By a walk through the file. One commit may end meanwhile, and leaves what it replaced as it was. */
function pagesOf(path: string): { readonly used: number; readonly free: number } {
  const file = DataFile.open(join(path, DATA_FILE))
  try {
    return checkStructure(file).pages
  } finally {
    file.close()
  }
}

/** Descriptors, but for modules: Node leaves one open when a thread is ended while it reads it, and nobody else can close it. */
function openFiles(): number | undefined {
  for (const directory of ['/proc/self/fd', '/dev/fd']) {
    try {
      return readdirSync(directory).filter((file) => !/\.[cm]?js$/.test(linkOf(join(directory, file)))).length
    } catch {
      // Not on this system.
    }
  }
  return undefined
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** What every sample tells. */
export function measured(samples: readonly Sample[]): Measure[] {
  return MEASURES.filter((name) => samples.every(({ values }) => values[name] !== undefined))
}

export function seriesOf(samples: readonly Sample[], name: Measure): number[] {
  return samples.map(({ values }) => values[name] ?? NaN)
}

/** Every measure that has grown, one line each; or that there is too little to tell, which is no growth. */
export function judge(samples: readonly Sample[]): string[] {
  if (samples.length < LEAST_SAMPLES) return [`nothing is proven: ${samples.length} samples, of at least ${LEAST_SAMPLES}`]
  return measured(samples).flatMap((name) => {
    const { first, last, isFlat } = trendOf(seriesOf(samples, name), MARGINS[name])
    if (isFlat) return []
    return [
      `${name} grew: median ${first.toFixed(1)} in the first third, ${last.toFixed(1)} in the last, of ${samples.length} samples`,
    ]
  })
}

export function toCsv(samples: readonly Sample[]): string {
  const names = measured(samples)
  const rows = samples.map(({ seconds, jobs, values }) =>
    [seconds, ...names.map((name) => values[name] ?? NaN), jobs].map((value) => Number(value.toFixed(2))).join(','),
  )
  return `${[['seconds', ...names, 'jobs'].join(','), ...rows].join('\n')}\n`
}
