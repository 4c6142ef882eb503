/**
 * Fails when Millrace has become slower: compares its throughput as a multiple of raw Piscina's, both measured here and now in
 * turns, with the multiple on record.
 *
 *   npm run bench:guard [-- --rounds 5 --jobs 100000]
 *   npm run bench:guard -- --record      writes bench/recorded.json anew
 *
 * The multiple is the median of those of the rounds, so that what else the machine does hits both sides. Other processes still hit
 * Millrace harder, which has one more thread at work. So a loss over 10 % is looked at again with more rounds, and counts only when
 * the fastest rounds of each show it too: a slower program has no fast rounds, a busy machine has some. Bulk enqueues, 2 threads,
 * durability 'disk'; raw Piscina at the fastest setting that `npm run bench -- throughput` has found, which is on record too.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { millrace, rawPiscina } from './support/contestants.js'
import { interleave, median } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'

const RECORD = new URL('../../bench/recorded.json', import.meta.url)
const LOSS_ALLOWED = 0.1
/** How often a loss is looked at again. */
const SECOND_LOOKS = 2

interface Recorded {
  /** Median over the rounds. */
  readonly ratio: number
  /** Of the fastest round of each. */
  readonly fastest: number
  readonly rawPiscina: { readonly threads: number; readonly perThread: number; readonly atomics: 'sync' | 'async' | 'disabled' }
  /** Of what machine and when; for people. */
  readonly measured: Readonly<Record<string, unknown>>
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '100000' },
    record: { type: 'boolean', default: false },
  },
})
const rounds = Math.max(5, Number(values.rounds))
const jobs = Number(values.jobs)
const recorded = JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded
const { threads, perThread, atomics } = recorded.rawPiscina

const own = await millrace('Millrace, bulk, 2 threads', 2, jobs, 'bulk')
const raw = rawPiscina(
  `raw Piscina, ${threads} threads, ${perThread} tasks each, atomics ${atomics}`,
  threads,
  jobs,
  perThread,
  atomics,
)
const rates: readonly [number[], number[]] = [[], []]
for (let look = 0; ; look++) {
  // A record is made of as many rounds as the longest look at a loss.
  const measured = await interleave([own, raw], values.record ? rounds * (1 + SECOND_LOOKS) : rounds, look === 0 ? 2 : 0)
  for (const [index, rate] of rates.entries()) rate.push(...measured[index]!.values)
  if (values.record || !isLoss() || look === SECOND_LOOKS) break
  process.stderr.write('slower than on record: another look\n')
}
await own.close()
await raw.close()

console.log(`\n${surroundings()}\n${jobs} jobs a round, ${rates[0].length} rounds, payload ~90 bytes, durability 'disk'\n`)
console.log(
  table(
    ['', 'jobs/s, median', 'lowest – highest'],
    [own, raw].map(({ name }, index) => {
      const rate = rates[index]!
      return [name, thousands(median(rate)), `${thousands(Math.min(...rate))} – ${thousands(Math.max(...rate))}`]
    }),
  ),
)
const found = `${times(ratio())} raw Piscina, ${times(fastest())} in the fastest rounds`
const onRecord = `on record are ${times(recorded.ratio)} and ${times(recorded.fastest)}`
if (values.record) {
  const [cpu] = cpus()
  const measured = {
    node: process.version,
    cpu: `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}`,
    rounds: rates[0].length,
    jobs,
  }
  const record: Recorded = {
    ratio: Number(ratio().toFixed(2)),
    fastest: Number(fastest().toFixed(2)),
    rawPiscina: recorded.rawPiscina,
    measured,
  }
  writeFileSync(RECORD, `${JSON.stringify(record, null, 2)}\n`)
  console.log(`\nrecorded: ${found}`)
} else if (isLoss()) {
  console.log(`\nFAILED: ${found}; ${onRecord}. Both are more than ${LOSS_ALLOWED * 100} % lower.`)
  process.exit(1)
} else {
  console.log(`\npassed: ${found}; ${onRecord}.`)
}
process.exit(0)

function ratio(): number {
  return median(rates[0].map((rate, round) => rate / (rates[1][round] ?? Number.NaN)))
}

function fastest(): number {
  return Math.max(...rates[0]) / Math.max(...rates[1])
}

function isLoss(): boolean {
  return ratio() < recorded.ratio * (1 - LOSS_ALLOWED) && fastest() < recorded.fastest * (1 - LOSS_ALLOWED)
}

function times(value: number): string {
  return `${value.toFixed(2)} ×`
}
