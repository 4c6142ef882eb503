/**
 * The soak: mixed work for minutes or hours, with everything that could grow looked at all the while. After a settling time, a fifth of
 * the run, each measure has to be flat (margins in `samples.ts`), and every job has ended as it was told to.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Rung, RungOptions, RungReport } from '../rung.js'
import { FAULTS } from './faults.js'
import { Load, type LoadOptions } from './load.js'
import { toSvg } from './plot.js'
import { growths, MARGINS, takeSample, toCsv, type Measure, type Sample } from './samples.js'
import { LEAST_SAMPLES, trendOf } from './trend.js'

/** Samples of a whole run, and the longest time between two. */
const SAMPLES = 120
const LONGEST_STEP_MS = 5000
/** Violations that are told at once. A long run is not to be waited for in vain. */
const TOLD_MOST = 20
/** Rounds after which the store is closed and opened again. */
const ROUNDS_OPEN = 25

export interface Soaked {
  readonly samples: readonly Sample[]
  readonly settled: readonly Sample[]
  readonly load: Load
}

export async function soak(
  seconds: number,
  options: Omit<LoadOptions, 'directory'>,
  progress: (line: string) => void,
): Promise<Soaked> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-soak-'))
  const load = new Load({ ...options, directory })
  const samples: Sample[] = []
  const stepMs = Math.min((seconds * 1000) / SAMPLES, LONGEST_STEP_MS)
  const began = performance.now()
  let told = 0
  try {
    await load.open()
    for (let rounds = 1; performance.now() - began < seconds * 1000; rounds++) {
      await load.round()
      const elapsed = performance.now() - began
      for (; told < Math.min(load.violations.length, TOLD_MOST); told++)
        progress(`${Math.round(elapsed / 1000)} s, VIOLATION ${load.violations[told]}`)
      // Between rounds, so that every sample sees the same: nothing in flight.
      if (elapsed >= samples.length * stepMs) {
        samples.push(takeSample(load, elapsed / 1000))
        if (samples.length % 20 === 0)
          progress(`${Math.round(elapsed / 1000)} s, ${load.jobs} jobs, ${load.violations.length} violations`)
      }
      if (rounds % ROUNDS_OPEN === 0) {
        await load.close()
        await load.open()
      }
    }
    await load.close()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return { samples, settled: samples.slice(Math.floor(samples.length / 5)), load }
}

async function run({ seed, minutes, progress, extra }: RungOptions): Promise<RungReport> {
  const out = extra?.['out'] ?? (await mkdtemp(join(tmpdir(), 'millrace-soak-out-')))
  const { samples, settled, load } = await soak(minutes * 60, { seed }, progress)
  await mkdir(out, { recursive: true })
  await writeFile(join(out, 'soak.csv'), toCsv(samples))
  await writeFile(join(out, 'soak.svg'), toSvg(samples, settled[0]?.seconds ?? 0))
  const violations = [...load.violations]
  if (settled.length < LEAST_SAMPLES) violations.push(`${settled.length} samples are too few to tell: give it more minutes`)
  else violations.push(...growths(settled))
  const figures: Record<string, string | number> = {
    jobs: load.jobs,
    ...load.ended,
    copies: load.copies,
    samples: samples.length,
  }
  for (const name of Object.keys(MARGINS) as Measure[]) {
    const { first, last } = trendOf(
      settled.map((sample) => sample[name]),
      MARGINS[name],
    )
    figures[`${name}, first and last third`] = `${first.toFixed(1)} ${last.toFixed(1)}`
  }
  return { figures: { ...figures, written: out }, violations }
}

export const rung: Rung = {
  name: 'soak',
  summary: 'mixed work for minutes or hours: every job ends as told, and no memory, file, handle or thread grows',
  defaultMinutes: 10,
  run,
  faults: FAULTS.map(({ name, plant }) => ({
    name,
    run: async ({ seed, progress }) => {
      const { stop, ...planted } = plant()
      const { settled, load } = await soak(30, { seed, ...planted }, progress).finally(stop)
      return [...load.violations, ...growths(settled)]
    },
  })),
}
