/**
 * How many durable jobs that do nothing go from `enqueue` to a durable outcome in a second, beside raw Piscina, which stores
 * nothing, a bare LMDB put and remove of the same bytes, which runs nothing, and queues in memory, which do neither: they call a
 * function on the main thread. Those are among the peers' packages, and left out where these are not installed.
 *
 *   npm run bench -- throughput [--jobs 100000] [--rounds 5]
 */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Closable } from './support/contestants.js'
import { bareLmdb, millrace, rawPiscina } from './support/contestants.js'
import { runProgram } from './support/child.js'
import { interleave, ratio } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '100000' }, rounds: { type: 'string', default: '5' } },
})
const jobs = Number(values.jobs)
const rounds = Number(values.rounds)

const BARE_LMDB = 'bare LMDB put + remove, durable'
const PEERS = new URL('../../bench/peers/', import.meta.url)
const raw = await bestRawPiscina()
const contestants: Closable[] = [
  await millrace('Millrace, bulk, 2 threads', 2, jobs, 'bulk'),
  await millrace('Millrace, bulk, 1 thread', 1, jobs, 'bulk'),
  await millrace('Millrace, single, 2 threads', 2, jobs, 'single'),
  await millrace('Millrace, single, 1 thread', 1, jobs, 'single'),
  raw,
  bareLmdb(BARE_LMDB, jobs),
  ...inMemory(['p-queue', 'fastq']),
]
const measured = await interleave(contestants, rounds)
for (const contestant of contestants) await contestant.close()

const piscina = measured.find(({ name }) => name === raw.name)
const lmdb = measured.find(({ name }) => name === BARE_LMDB)
console.log(`\n${surroundings()}\n${jobs} jobs a round, ${rounds} rounds, payload ~90 bytes, durability 'disk'\n`)
console.log(
  table(
    ['', 'jobs/s, median', 'lowest – highest', '× raw Piscina', '× bare LMDB'],
    measured.map((entry) => [
      entry.name,
      thousands(entry.median),
      `${thousands(entry.low)} – ${thousands(entry.high)}`,
      piscina === undefined ? '' : ratio(entry, piscina).toFixed(2),
      lmdb === undefined ? '' : ratio(entry, lmdb).toFixed(2),
    ]),
  ),
)

function inMemory(programs: readonly string[]): Closable[] {
  const installed = programs.filter((program) => existsSync(new URL(`node_modules/${program}`, PEERS)))
  if (installed.length < programs.length) console.error('queues in memory: left out; npm --prefix bench/peers ci gets them')
  return installed.map((program) => ({
    name: `${program}, in memory, main thread, concurrency 64`,
    async run() {
      const { jobsPerSecond } = await runProgram<{ jobsPerSecond: number }>(new URL(`${program}.mjs`, PEERS), { jobs })
      return jobsPerSecond
    },
    close: async () => undefined,
  }))
}

/** Searches Piscina's settings for the fastest one, on a tenth of the jobs. */
async function bestRawPiscina(): Promise<Closable> {
  let best: { threads: number; perThread: number; atomics: 'sync' | 'async' | 'disabled' } = {
    threads: 2,
    perThread: 64,
    atomics: 'sync',
  }
  let fastest = 0
  for (const threads of [1, 2]) {
    for (const perThread of [1, 16, 64, 256, 1024]) {
      for (const atomics of ['sync', 'async', 'disabled'] as const) {
        const pool = rawPiscina('', threads, Math.ceil(jobs / 10), perThread, atomics)
        await pool.run()
        const rate = Math.max(await pool.run(), await pool.run())
        await pool.close()
        if (rate <= fastest) continue
        fastest = rate
        best = { threads, perThread, atomics }
      }
    }
  }
  const { threads, perThread, atomics } = best
  return rawPiscina(
    `raw Piscina, best of 30 settings: ${threads} thread${threads === 1 ? '' : 's'}, ${perThread} tasks each, atomics ${atomics}`,
    threads,
    jobs,
    perThread,
    atomics,
  )
}
