/**
 * How long it takes from `enqueue` to the start of the handler and to the result, idle and at half load, in ms.
 *
 *   npm run bench -- latency [--threads <cores>] [--rounds 5] [--samples 150] [--seconds 2] [--job 2] [--load 0.5]
 *
 * Beside it one bare durable put of the same bytes into LMDB (one sync), and what a program would do by hand: that put, then
 * `piscina.run()`. All handler starts are read off the process's monotonic clock, which every thread shares.
 *
 * Before anything is measured, 20,000 jobs go through in bulk and 2,000 one by one: latency is that of a program that has been at work,
 * not of its first seconds, when the compiler has not seen the code yet.
 *
 * Idle: one job at a time that does nothing, after a pause of 2 to 8 ms; the three take turns job by job, `samples` in a round.
 * Half load: jobs of `job` ms of arithmetic arrive at random (Poisson, seeded) so that `load` of the thread time is used; the
 * contestants take turns for `seconds` each, with the same arrivals. Arrivals do not wait for anything (an open loop), and the
 * time counts from the instant a job was to arrive, also when the main thread was late to notice: nothing is left out because
 * the thing measured was busy. Timers are a millisecond coarse; how late the arrivals came is in the table.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Piscina } from 'piscina'
import { openExecutor } from '../src/index.js'
import { stamp, stampInput } from './jobs/stamp.js'
import { BareThreads } from './support/bare-threads.js'
import { durablePut } from './support/durable-put.js'
import { median, quantile } from './support/measure.js'
import { monotonicMs } from './support/monotonic.js'
import { surroundings, table } from './support/report.js'
import { arrivals, seeded } from './support/seeded.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    samples: { type: 'string', default: '150' },
    seconds: { type: 'string', default: '2' },
    job: { type: 'string', default: '2' },
    load: { type: 'string', default: '0.5' },
  },
})
const threads = Number(values.threads)
const rounds = Number(values.rounds)
const samples = Number(values.samples)
const jobMs = Number(values.job)
const load = Number(values.load)

/** The instants of one job, in ms of the monotonic clock. */
interface Way {
  /** When it was to arrive. */
  readonly arrivedMs: number
  readonly durableMs: number
  readonly startedMs: number
  readonly endedMs: number
}

type Send = (iterations: number, arrivedMs: number) => Promise<Way>

const calibration = new BareThreads(threads)
const iterations = Math.round(jobMs * (await calibration.iterationsPerMs()))
await calibration.close()

const directory = temporaryDirectory()
const executor = await openExecutor({ path: directory.path, jobs: [stamp], threads })
const pool = new Piscina({
  filename: new URL('./jobs/raw-stamp.js', import.meta.url).href,
  minThreads: threads,
  maxThreads: threads,
  idleTimeout: Infinity,
  recordTiming: false,
})
const sync = durablePut()
const bytes = Buffer.from(JSON.stringify(stampInput(iterations)))

const idle = { millrace: [] as Way[], byHand: [] as Way[], sync: [] as number[] }
const loaded = { millrace: [] as Way[], byHand: [] as Way[], late: [] as number[] }
await warmUp()
await measureIdle(20, seeded(1), { millrace: [], byHand: [], sync: [] })
for (let round = 0; round < rounds; round++) {
  await measureIdle(samples, seeded(round), idle)
  process.stderr.write(`idle: round ${round + 1} of ${rounds}\n`)
}
await measureLoaded(1, 500, { millrace: [], byHand: [], late: [] })
for (let round = 0; round < rounds; round++) {
  await measureLoaded(round, Number(values.seconds) * 1000, loaded)
  process.stderr.write(`half load: round ${round + 1} of ${rounds}\n`)
}
await executor.close()
await pool.destroy()
await sync.close()
directory.remove()
report()

async function warmUp(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    const inputs = Array.from({ length: 4000 }, () => stampInput(0))
    await Promise.all((await executor.enqueueMany(stamp, inputs)).map((job) => job.result()))
  }
  for (let job = 0; job < 2000; job++) {
    await sendMillrace(0, monotonicMs())
    await sendByHand(0, monotonicMs())
  }
}

/** Millrace: the job is durable before its handler starts, and its outcome before its result is told. */
async function sendMillrace(iterations: number, arrivedMs: number): Promise<Way> {
  const handle = await executor.enqueue(stamp, stampInput(iterations))
  const durableMs = monotonicMs()
  const startedMs = await handle.result()
  return { arrivedMs, durableMs, startedMs, endedMs: monotonicMs() }
}

/** By hand: put, then run. The outcome is not stored. */
async function sendByHand(iterations: number, arrivedMs: number): Promise<Way> {
  await sync.put(bytes)
  const durableMs = monotonicMs()
  const startedMs = (await pool.run(stampInput(iterations))) as number
  return { arrivedMs, durableMs, startedMs, endedMs: monotonicMs() }
}

async function measureIdle(count: number, random: () => number, into: typeof idle): Promise<void> {
  for (let sample = 0; sample < count; sample++) {
    await pause(2 + 6 * random())
    const beganMs = monotonicMs()
    await sync.put(bytes)
    into.sync.push(monotonicMs() - beganMs)
    await pause(2 + 6 * random())
    into.millrace.push(await sendMillrace(0, monotonicMs()))
    await pause(2 + 6 * random())
    into.byHand.push(await sendByHand(0, monotonicMs()))
  }
}

async function measureLoaded(seed: number, durationMs: number, into: typeof loaded): Promise<void> {
  const schedule = arrivals((load * threads * 1000) / jobMs, durationMs, seeded(seed))
  into.millrace.push(...(await openLoop(schedule, sendMillrace, into.late)))
  into.byHand.push(...(await openLoop(schedule, sendByHand, into.late)))
}

async function openLoop(schedule: readonly number[], send: Send, late: number[]): Promise<Way[]> {
  const beganMs = monotonicMs()
  const sent: Promise<Way>[] = []
  while (sent.length < schedule.length) {
    const now = monotonicMs() - beganMs
    while (sent.length < schedule.length && schedule[sent.length]! <= now) {
      const dueMs = schedule[sent.length]!
      late.push(now - dueMs)
      sent.push(send(iterations, beganMs + dueMs))
    }
    await pause(Math.max(0, (schedule[sent.length] ?? 0) - now))
  }
  return await Promise.all(sent)
}

function report(): void {
  console.log(`\n${surroundings()}`)
  console.log(
    `${threads} threads, ${idle.millrace.length} jobs idle, ${loaded.millrace.length} at ${load * 100} % load ` +
      `(jobs of ${jobMs} ms), payload ${bytes.length} bytes, durability 'disk'\n`,
  )
  const toStart = (way: Way): number => way.startedMs - way.arrivedMs
  const p50 = quantile(idle.sync, 0.5)
  const p99 = quantile(idle.sync, 0.99)
  const started = idle.millrace.map(toStart)
  console.log(
    table(
      ['ms', '', 'p50', 'p99', 'max'],
      [
        row('idle', 'bare LMDB put: one sync', idle.sync),
        row('idle', 'Millrace: enqueue → on disk', idle.millrace, (way) => way.durableMs - way.arrivedMs),
        row('idle', 'Millrace: enqueue → handler starts', idle.millrace, toStart),
        row('idle', 'Millrace: enqueue → result, outcome on disk', idle.millrace, (way) => way.endedMs - way.arrivedMs),
        row('idle', 'by hand: put, then raw Piscina → handler starts', idle.byHand, toStart),
        row('idle', 'by hand → result, not stored', idle.byHand, (way) => way.endedMs - way.arrivedMs),
        row('half load', 'Millrace: arrival → on disk', loaded.millrace, (way) => way.durableMs - way.arrivedMs),
        row('half load', 'Millrace: arrival → handler starts', loaded.millrace, toStart),
        row('half load', 'Millrace: arrival → result, outcome on disk', loaded.millrace, (way) => way.endedMs - way.arrivedMs),
        row('half load', 'by hand: put, then raw Piscina → handler starts', loaded.byHand, toStart),
        row('half load', 'by hand → result, not stored', loaded.byHand, (way) => way.endedMs - way.arrivedMs),
        row('half load', 'how late the arrivals came', loaded.late),
      ],
    ),
  )
  const paired = median(started.map((value, index) => value - idle.sync[index]!))
  console.log(
    `\nidle, enqueue → handler starts: p50 one sync + ${(quantile(started, 0.5) - p50).toFixed(2)} ms ` +
      `(median of the differences side by side ${paired.toFixed(2)}), p99 one sync's p99 + ${(quantile(started, 0.99) - p99).toFixed(2)} ms; ` +
      'target ≤ one sync + 0.3 ms / + 3 ms',
  )
}

function row(when: string, what: string, ways: readonly number[]): string[]
function row(when: string, what: string, ways: readonly Way[], measure: (way: Way) => number): string[]
function row(when: string, what: string, ways: readonly (Way | number)[], measure?: (way: Way) => number): string[] {
  const sample = ways.map((way) => (typeof way === 'number' ? way : measure!(way)))
  return [when, what, ...[quantile(sample, 0.5), quantile(sample, 0.99), Math.max(...sample)].map((value) => value.toFixed(2))]
}
