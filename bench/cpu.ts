/**
 * How much of the processor is left for the work itself, when the work is arithmetic of 0.1 to 100 ms a job and there are as many
 * threads as cores.
 *
 *   npm run bench -- cpu [--threads <cores>] [--rounds 5] [--seconds 0.8] [--sizes 0.1,1,10,100]
 *
 * The ideal: bare threads, as many, that take the next job from a shared counter, with nobody to feed them and nothing stored. It
 * runs in the same rounds and does the same count of iterations, so that what the machine does meanwhile hits it too. With as
 * many threads as cores the main thread has no core of its own: what it needs is taken from the jobs, and counts as lost here.
 *
 * Columns
 *   of the ideal rate   jobs per second, from the first enqueue to the last durable outcome, as a share of the ideal's
 *   of the CPU time     CPU time of the ideal's process per job, as a share of this one's: unlike the rate not moved by waiting,
 *                       nor by other processes
 *   in handlers         run time that the handlers measured, as a share of wall time × threads
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Piscina } from 'piscina'
import { openExecutor } from '../src/index.js'
import { arithmetic } from './jobs/arithmetic.js'
import { BareThreads } from './support/bare-threads.js'
import type { Closable } from './support/contestants.js'
import { interleave, median, ratio } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '0.8' },
    sizes: { type: 'string', default: '0.1,1,10,100' },
  },
})
const threads = Number(values.threads)
const rounds = Number(values.rounds)
const RAW_ARITHMETIC = new URL('./jobs/raw-arithmetic.js', import.meta.url).href
/** DESIGN §7, in percent of the ideal rate. */
const TARGETS: Readonly<Record<number, number>> = { 1: 95, 10: 99, 100: 99.5 }

interface Contender extends Closable {
  readonly cpuMsPerJob: number[]
  /** Share of the thread time spent in handlers. */
  readonly inHandlers: number[]
}

const bare = new BareThreads(threads)
const iterationsPerMs = await bare.iterationsPerMs()
const rows: string[][] = []
for (const sizeMs of values.sizes.split(',').map(Number)) rows.push(...(await measureSize(sizeMs)))
await bare.close()

console.log(
  `\n${surroundings()}\n${threads} threads, ${rounds} rounds, 1 ms = ${thousands(iterationsPerMs)} iterations, durability 'disk'\n`,
)
console.log(
  table(
    [
      'job',
      '',
      'jobs/s, median',
      'of the ideal rate',
      'lowest – highest',
      'of the CPU time',
      'in handlers',
      'target of the rate',
    ],
    rows,
  ),
)

async function measureSize(sizeMs: number): Promise<string[][]> {
  const iterations = Math.round(sizeMs * iterationsPerMs)
  // A backlog is meant, and each round has an end: once no more waits than the threads hold, each outcome is stored at once, some 15
  // commits for jobs of 10 ms; and the last job of a thread may leave the others idle. Long jobs need longer rounds for that.
  const seconds = Number(values.seconds) * (sizeMs >= 50 ? 8 : sizeMs >= 5 ? 6 : sizeMs >= 0.5 ? 3 : 1)
  const jobs = threads * Math.max(2, Math.round((seconds * 1000) / sizeMs))
  const ideal = idealThreads(jobs, iterations)
  const contenders = [await millrace(jobs, iterations), await bestRawPiscina(sizeMs, jobs, iterations), ideal]
  process.stderr.write(`jobs of ${sizeMs} ms\n`)
  const measured = await interleave(contenders, rounds)
  for (const contender of contenders) await contender.close()
  const idealMeasured = measured.at(-1)!
  const idealCpuMs = median(ideal.cpuMsPerJob.slice(1))
  return contenders.map(({ name, cpuMsPerJob, inHandlers }, index) => {
    const entry = measured[index]!
    const shares = entry.values.map((value, round) => value / idealMeasured.values[round]!)
    const target = TARGETS[sizeMs]
    return [
      `${sizeMs} ms`,
      name,
      entry.median.toFixed(entry.median < 1000 ? 1 : 0),
      percent(ratio(entry, idealMeasured)),
      `${percent(Math.min(...shares))} – ${percent(Math.max(...shares))}`,
      percent(idealCpuMs / median(cpuMsPerJob.slice(1))),
      inHandlers.length === 0 ? '' : percent(median(inHandlers.slice(1))),
      index === 0 && target !== undefined ? `≥ ${target} %` : '',
    ]
  })
}

/** Runs `once`, which gives the handlers' mean run time in ms, and keeps account. */
function contender(
  name: string,
  jobs: number,
  once: () => Promise<() => Promise<number> | number>,
  close: () => Promise<void>,
): Contender {
  const cpuMsPerJob: number[] = []
  const inHandlers: number[] = []
  return {
    name,
    cpuMsPerJob,
    inHandlers,
    async run() {
      const cpuBefore = process.cpuUsage()
      const began = performance.now()
      const meanRunMs = await once()
      const wallMs = performance.now() - began
      const { user, system } = process.cpuUsage(cpuBefore)
      cpuMsPerJob.push((user + system) / 1000 / jobs)
      const runMs = await meanRunMs()
      if (runMs > 0) inHandlers.push((runMs * jobs) / (wallMs * threads))
      return (jobs / wallMs) * 1000
    },
    close,
  }
}

async function millrace(jobs: number, iterations: number): Promise<Contender> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ path: directory.path, jobs: [arithmetic], threads })
  const inputs = Array.from({ length: jobs }, () => iterations)
  await executor.enqueueMany(arithmetic, warmUp())
  await executor.drain()
  return contender(
    'Millrace',
    jobs,
    async () => {
      await executor.enqueueMany(arithmetic, inputs)
      await executor.drain()
      return meanOfKept
    },
    async () => {
      await executor.close()
      directory.remove()
    },
  )

  /** Of the jobs of this run that the store has kept: all of them, or the last 1,000. */
  async function meanOfKept(): Promise<number> {
    const runMs: number[] = []
    for await (const { output } of executor.list({ state: 'completed' })) runMs.push(output as number)
    return mean(runMs.slice(-jobs))
  }
}

async function rawPiscina(
  name: string,
  jobs: number,
  iterations: number,
  perThread: number,
  atomics: 'sync' | 'disabled',
  warmUpWith: readonly number[] = [],
): Promise<Contender> {
  const pool = new Piscina({
    filename: RAW_ARITHMETIC,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: perThread,
    idleTimeout: Infinity,
    atomics,
    recordTiming: false,
  })
  await Promise.all(warmUpWith.map((few) => pool.run(few)))
  return contender(
    name,
    jobs,
    async () => {
      const runMs = (await Promise.all(Array.from({ length: jobs }, () => pool.run(iterations)))) as number[]
      return () => mean(runMs)
    },
    () => pool.destroy(),
  )
}

/** Piscina's best setting for jobs of this size, searched for on fewer of them. */
async function bestRawPiscina(sizeMs: number, jobs: number, iterations: number): Promise<Contender> {
  let best: { perThread: number; atomics: 'sync' | 'disabled' } = { perThread: 2, atomics: 'sync' }
  let fastest = 0
  // What is best for 10 ms is as good as any for more.
  const fewer = Math.ceil(threads * Math.max(10, 150 / sizeMs))
  const searched = sizeMs > 10 ? Math.ceil((iterations * 10) / sizeMs) : iterations
  for (const perThread of [1, 2, 16]) {
    for (const atomics of ['sync', 'disabled'] as const) {
      const pool = await rawPiscina('', fewer, searched, perThread, atomics)
      await pool.run()
      const rate = Math.max(await pool.run(), await pool.run())
      await pool.close()
      if (rate <= fastest) continue
      fastest = rate
      best = { perThread, atomics }
    }
  }
  const { perThread, atomics } = best
  const name = `raw Piscina, best of 6 settings: ${perThread} tasks each, atomics ${atomics}`
  return rawPiscina(name, jobs, iterations, perThread, atomics, warmUp())
}

function idealThreads(jobs: number, iterations: number): Contender {
  return contender(
    'ideal: bare threads',
    jobs,
    async () => {
      await bare.run(jobs, iterations)
      return () => 0
    },
    () => Promise.resolve(),
  )
}

/** Jobs of next to nothing, so that what is measured is not the compiler: a process that has run for a minute is past it. */
function warmUp(): number[] {
  return Array.from({ length: 30_000 }, () => Math.round(iterationsPerMs / 1000))
}

function mean(sample: readonly number[]): number {
  return sample.reduce((sum, value) => sum + value, 0) / sample.length
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
