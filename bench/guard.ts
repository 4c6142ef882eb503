/**
 * Fails when Millrace has become slower: compares its throughput as a multiple of raw Piscina's, both measured here and now in
 * turns, with the multiple on record.
 *
 *   npm run bench:guard [-- --rounds 7 --jobs 100000 --seconds 60]
 *   npm run bench:guard -- --record      writes bench/recorded.json anew; only on a machine that does nothing else
 *
 * The multiple is the median of those of the rounds. Rounds in which other processes used more than a tenth of the cores do not
 * count and are repeated: they hit Millrace harder, which has a main thread at work beside the two others. When the machine has
 * not been quiet for enough rounds within `--seconds`, the processor time a job takes is compared instead, again as a multiple of
 * raw Piscina's: that hardly moves with the load, but does not show time lost in waiting; it is said which of the two was judged.
 * Bulk enqueues, 2 threads, durability 'disk'; raw Piscina at the fastest setting that `npm run bench -- throughput` has found.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { millrace, rawPiscina, type Closable } from './support/contestants.js'
import { MachineLoad } from './support/machine-load.js'
import { median } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'

const RECORD = new URL('../../bench/recorded.json', import.meta.url)
const LOSS_ALLOWED = 0.1
const OTHERS_ALLOWED = 0.1
const LEAST_ROUNDS = 5
const WARM_UPS = 2

interface Recorded {
  /** Millrace's jobs per second / raw Piscina's. */
  readonly ratio: number
  /** Raw Piscina's processor time per job / Millrace's. */
  readonly cpuRatio: number
  readonly rawPiscina: { readonly threads: number; readonly perThread: number; readonly atomics: 'sync' | 'async' | 'disabled' }
  /** Of what machine; for people. */
  readonly measured: Readonly<Record<string, unknown>>
}

interface Run {
  readonly jobsPerSecond: number
  readonly cpuUsPerJob: number
}
interface Round {
  readonly own: Run
  readonly raw: Run
  readonly othersShare: number
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    jobs: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '60' },
    record: { type: 'boolean', default: false },
  },
})
const wanted = Math.max(LEAST_ROUNDS, Number(values.rounds)) * (values.record ? 2 : 1)
const jobs = Number(values.jobs)
const recorded = JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded

const rounds = await measure()
const quiet = rounds.filter(({ othersShare }) => othersShare <= OTHERS_ALLOWED)
const isQuiet = quiet.length >= LEAST_ROUNDS
const counted = isQuiet ? quiet : rounds
const ratio = median(counted.map(({ own, raw }) => own.jobsPerSecond / raw.jobsPerSecond))
const cpuRatio = median(counted.map(({ own, raw }) => raw.cpuUsPerJob / own.cpuUsPerJob))
report()
if (values.record) record()
else judge()
process.exit()

async function measure(): Promise<Round[]> {
  const { threads, perThread, atomics } = recorded.rawPiscina
  const own = await millrace('Millrace', 2, jobs, 'bulk')
  const raw = rawPiscina('raw Piscina', threads, jobs, perThread, atomics)
  const found: Round[] = []
  const until = performance.now() + Number(values.seconds) * 1000
  for (let round = -WARM_UPS; ; round++) {
    const load = new MachineLoad()
    const result = { own: await once(own), raw: await once(raw), othersShare: load.othersShare }
    if (round >= 0) found.push(result)
    const count = found.filter(({ othersShare }) => othersShare <= OTHERS_ALLOWED).length
    if (count >= wanted || (found.length >= wanted && performance.now() > until)) break
  }
  await own.close()
  await raw.close()
  return found
}

async function once(contestant: Closable): Promise<Run> {
  const before = process.cpuUsage()
  const jobsPerSecond = await contestant.run()
  const { user, system } = process.cpuUsage(before)
  return { jobsPerSecond, cpuUsPerJob: (user + system) / jobs }
}

function report(): void {
  const { threads, perThread, atomics } = recorded.rawPiscina
  const names = {
    own: 'Millrace, bulk, 2 threads',
    raw: `raw Piscina, ${threads} threads, ${perThread} tasks each, atomics ${atomics}`,
  }
  const rows = (['own', 'raw'] as const).map((who) => {
    const rates = counted.map((round) => round[who].jobsPerSecond)
    const spread = `${thousands(Math.min(...rates))} – ${thousands(Math.max(...rates))}`
    return [
      names[who],
      thousands(median(rates)),
      spread,
      `${median(counted.map((round) => round[who].cpuUsPerJob)).toFixed(2)} µs`,
    ]
  })
  console.log(`\n${surroundings()}\n${jobs} jobs a round, ${counted.length} rounds, payload ~90 bytes, durability 'disk'`)
  console.log(`${rounds.length - quiet.length} of ${rounds.length} rounds were disturbed by other processes\n`)
  console.log(table(['', 'jobs/s, median', 'lowest – highest', 'CPU a job'], rows))
  console.log(`\nMillrace has ${times(ratio)} the throughput of raw Piscina, whose jobs take ${times(cpuRatio)} the CPU time.`)
}

function record(): void {
  if (!isQuiet) {
    console.log('NOT recorded: other processes were at work. Try again on a quiet machine.')
    process.exitCode = 1
    return
  }
  const [cpu] = cpus()
  const measured = {
    node: process.version,
    cpu: `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}`,
    rounds: counted.length,
    jobs,
  }
  const rounded = { ratio: Number(ratio.toFixed(2)), cpuRatio: Number(cpuRatio.toFixed(2)) }
  const anew: Recorded = { ...rounded, rawPiscina: recorded.rawPiscina, measured }
  writeFileSync(RECORD, `${JSON.stringify(anew, null, 2)}\n`)
  console.log('recorded')
}

function judge(): void {
  const [found, onRecord] = isQuiet ? [ratio, recorded.ratio] : [cpuRatio, recorded.cpuRatio]
  const what = isQuiet ? 'throughput' : 'CPU time, as the machine was too busy for the throughput to tell'
  const verdict = `Judged by ${what}: ${times(found)}, on record ${times(onRecord)}`
  if (found < onRecord * (1 - LOSS_ALLOWED)) {
    console.log(`FAILED. ${verdict}: a loss of ${((1 - found / onRecord) * 100).toFixed(0)} %, over ${LOSS_ALLOWED * 100} %.`)
    process.exitCode = 1
  } else {
    console.log(`passed. ${verdict}.`)
  }
}

function times(value: number): string {
  return `${value.toFixed(2)} ×`
}
