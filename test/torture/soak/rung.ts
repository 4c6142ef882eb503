/**
 * The soak: mixed work for minutes or hours, with everything that could grow looked at all the while. After a settling time each measure
 * has to be flat (margins in `samples.ts`), and every job has ended as it was told to.
 */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tooFew, type PlantedFault, type Rung, type RungOptions, type RungReport } from '../rung.js'
import { FAULTS, type SoakFault } from './faults.js'
import { toSvg } from './plot.js'
import { judge, MARGINS, measured, MEASURES, seriesOf, toCsv } from './samples.js'
import { LEAST_SAMPLES, trendOf } from './trend.js'
import { soak, type Soaked } from './watch.js'

/**
 * Of a proof, with a sample after each; and of a run at least, however little time it is given. With fewer, what settles slowly would be
 * taken for a leak now and then.
 */
const ROUNDS = 44
const LEAST = { 'judged samples': LEAST_SAMPLES, completed: 300, discarded: 1, copies: 2 }

async function run({ seed, minutes, progress, extra }: RungOptions): Promise<RungReport> {
  const out = extra?.['out'] ?? (await mkdtemp(join(tmpdir(), 'millrace-soak-out-')))
  const soaked = await soak({ seed, rounds: ROUNDS, seconds: minutes * 60, progress })
  const { samples, settled } = soaked
  await mkdir(out, { recursive: true })
  await writeFile(join(out, 'soak.csv'), toCsv(samples))
  await writeFile(join(out, 'soak.svg'), toSvg(samples, settled[0]?.seconds ?? 0))
  const skipped = MEASURES.filter((name) => !measured(samples).includes(name)).map((name) => `${name}: the system does not tell`)
  return { figures: { ...figuresOf(soaked), written: out }, violations: violationsOf(soaked), skipped }
}

export function figuresOf({ figures: ofLoad, samples, settled }: Soaked): Record<string, string | number> {
  const figures: Record<string, string | number> = { ...ofLoad, samples: samples.length, 'judged samples': settled.length }
  if (settled.length < LEAST_SAMPLES) return figures
  for (const name of measured(settled)) {
    const { first, last } = trendOf(seriesOf(settled, name), MARGINS[name])
    figures[`${name}, first and last third`] = `${first.toFixed(1)} ${last.toFixed(1)}`
  }
  return figures
}

function violationsOf({ violations, settled }: Soaked): string[] {
  return [...violations, ...judge(settled)]
}

async function control({ seed, progress }: RungOptions): Promise<readonly string[]> {
  const soaked = await soak({ seed, rounds: ROUNDS, seconds: 0, progress })
  return [...violationsOf(soaked), ...tooFew({ least: LEAST }, figuresOf(soaked))]
}

/** A fault has to be seen by all that it should be seen by. */
export function planted({ name, grows = [], says, rounds = ROUNDS, silence }: SoakFault): PlantedFault {
  const signs = [...grows.map((measure) => new RegExp(`^${measure} grew`)), ...(says === undefined ? [] : [says])]
  const [seenBy] = signs
  return {
    name,
    ...(seenBy !== undefined && { seenBy }),
    run: async ({ seed, progress }) => {
      const found = violationsOf(await soak({ seed, rounds, seconds: 0, fault: name, progress, silence }))
      const unseen = signs.filter((sign) => !found.some((violation) => sign.test(violation)))
      if (unseen.length === 0) return found
      return [`not seen by ${unseen.join(', nor by ')}`, ...found.filter((violation) => seenBy?.test(violation) !== true)]
    },
  }
}

export const rung: Rung = {
  name: 'soak',
  summary: 'mixed work for minutes or hours: every job ends as told, and no memory, file, handle, thread, reader or wait grows',
  defaultMinutes: 30,
  run,
  least: LEAST,
  control,
  faults: FAULTS.map(planted),
}
