/**
 * What a hard timeout costs: how long after its end the thread of an endless loop is gone, and what is left for good jobs when one
 * in a hundred is such a loop.
 *
 *   npm run bench -- timeouts [--threads <cores>] [--rounds 5] [--loops 30] [--good 1500] [--timeout 50] [--job 1]
 *
 * Overshoot. A loop tells the instant of the monotonic clock at which it began, so its timeout ends at that instant + `timeout`.
 * From there it is measured to
 *   thread gone      the `exit` event of its worker, seen through Node's own `process.on('worker')`
 *   outcome on disk  the executor's event `failed`, which follows the commit that recorded the timeout
 * with one loop at a time, and with every thread in a loop all the time.
 *
 * Good jobs. `good` jobs of `job` ms, and one loop for every hundred of them at seeded places among them, all enqueued at once.
 * What the good jobs need is their thread time in a run without loops, in the same round. What was left for them is
 *   wall × threads − loops × (timeout)              strictly, or
 *   wall × threads − loops × (timeout + respawn)    when the time without which no thread can follow another is not counted as
 *                                                   left either: from `terminate()` to the first task on the next worker of a
 *                                                   bare Piscina of one thread, measured in the same round with nothing else to do.
 * Beside it what a program would do by hand, with nothing stored: raw Piscina, a task for each free thread, each loop's task
 * aborted by a timer.
 */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Worker } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { openExecutor } from '../src/index.js'
import { arithmetic } from './jobs/arithmetic.js'
import { spin } from './jobs/spin.js'
import { BareThreads } from './support/bare-threads.js'
import { median, quantile } from './support/measure.js'
import { monotonicMs } from './support/monotonic.js'
import { surroundings, table } from './support/report.js'
import { seeded } from './support/seeded.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    loops: { type: 'string', default: '30' },
    good: { type: 'string', default: '1500' },
    timeout: { type: 'string', default: '50' },
    job: { type: 'string', default: '1' },
  },
})
const threads = Number(values.threads)
const rounds = Number(values.rounds)
const loops = Number(values.loops)
const good = Number(values.good)
const timeoutMs = Number(values.timeout)
const jobMs = Number(values.job)
const loopsAmong = Math.round(good / 100)

const RAW_SPIN = new URL('./jobs/raw-spin.js', import.meta.url).href
const RAW_ARITHMETIC = new URL('./jobs/raw-arithmetic.js', import.meta.url).href

/** When each worker was gone, by its thread id. */
const exits = new Map<number, number>()
process.on('worker', (worker: Worker) => {
  const { threadId } = worker
  worker.once('exit', () => exits.set(threadId, monotonicMs()))
})

const calibration = new BareThreads(threads)
const iterations = Math.round(jobMs * (await calibration.iterationsPerMs()))
await calibration.close()
const directory = temporaryDirectory()
const executor = await openExecutor({ path: directory.path, jobs: [spin, arithmetic], threads })

interface Overshoot {
  /** Loops whose thread did not load their module within the timeout. */
  notBegun: number
  readonly goneMs: number[]
  readonly toldMs: number[]
}
const oneAtATime: Overshoot = { notBegun: 0, goneMs: [], toldMs: [] }
const allThreads: Overshoot = { notBegun: 0, goneMs: [], toldMs: [] }
const shares = {
  strict: [] as number[],
  fair: [] as number[],
  byHandStrict: [] as number[],
  byHandFair: [] as number[],
  respawnMs: [] as number[],
  lostMs: [] as number[],
}
const pool = new Piscina({
  filename: RAW_SPIN,
  minThreads: threads,
  maxThreads: threads,
  idleTimeout: Infinity,
  recordTiming: false,
})
pool.on('error', () => undefined)

await measureOvershoot(threads * 2, threads, { notBegun: 0, goneMs: [], toldMs: [] })
await run(0, 1)
await runByHand(1, 1)
for (let round = 0; round < rounds; round++) {
  await measureOvershoot(loops, 1, oneAtATime)
  await measureOvershoot(loops * threads, threads, allThreads)
  await measureGood(round)
  process.stderr.write(`round ${round + 1} of ${rounds}\n`)
}
await executor.close()
await pool.destroy()
directory.remove()
report()

/** Runs loops, `width` at a time. */
async function measureOvershoot(count: number, width: number, into: Overshoot): Promise<void> {
  const began = new Map<string, { atMs: number; threadId: number }>()
  const threadOf = new Map<string, number>()
  const onStarted = (event: { job: { id: string }; threadId: number }): void => void threadOf.set(event.job.id, event.threadId)
  const onLog = ({ jobId, data }: { jobId: string; data: unknown }): void =>
    void began.set(jobId, { atMs: data as number, threadId: threadOf.get(jobId) ?? -1 })
  const onFailed = ({ job, timedOut }: { job: { id: string }; timedOut: boolean }): void => {
    const toldMs = monotonicMs()
    const loop = began.get(job.id)
    const goneMs = exits.get(loop?.threadId ?? -1)
    if (!timedOut || loop === undefined || goneMs === undefined) {
      // Its thread was ended before the handler began: loading a module has the same limit as the run.
      into.notBegun++
      return
    }
    into.goneMs.push(goneMs - loop.atMs - timeoutMs)
    into.toldMs.push(toldMs - loop.atMs - timeoutMs)
  }
  executor.on('started', onStarted).on('log', onLog).on('failed', onFailed)
  let left = count
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) {
        const handle = await executor.enqueue(spin, left, { timeout: timeoutMs })
        await handle.result().catch(() => undefined)
      }
    }),
  )
  executor.off('started', onStarted).off('log', onLog).off('failed', onFailed)
}

/** Wall time in ms of all the good jobs, with so many loops among them. */
async function run(loopCount: number, seed: number): Promise<number> {
  const total = good + loopCount
  const places = placesOfLoops(loopCount, seed)
  const quiet = (): void => undefined
  executor.on('log', quiet)
  const beganMs = monotonicMs()
  const sent: Promise<unknown>[] = []
  for (let place = 0; place < total; place++) {
    sent.push(
      places.has(place) ? executor.enqueue(spin, place, { timeout: timeoutMs }) : executor.enqueue(arithmetic, iterations),
    )
  }
  await Promise.all(sent)
  await executor.drain()
  executor.off('log', quiet)
  return monotonicMs() - beganMs
}

function placesOfLoops(loopCount: number, seed: number): Set<number> {
  const random = seeded(seed)
  const places = new Set<number>()
  while (places.size < loopCount) places.add(Math.floor(random() * (good + loopCount)))
  return places
}

/** The same through raw Piscina. */
async function runByHand(loopCount: number, seed: number): Promise<number> {
  const places = placesOfLoops(loopCount, seed)
  const beganMs = monotonicMs()
  let next = 0
  await Promise.all(
    Array.from({ length: threads }, async () => {
      while (next < good + loopCount) {
        if (places.has(next++)) await abortedLoop()
        else await pool.run(iterations, { filename: RAW_ARITHMETIC })
      }
    }),
  )
  return monotonicMs() - beganMs
}

async function abortedLoop(): Promise<void> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), timeoutMs)
  await pool.run(true, { signal: controller.signal }).catch(() => undefined)
  clearTimeout(timer)
}

async function measureGood(round: number): Promise<void> {
  const neededMs = (await run(0, round)) * threads
  const wallMs = await run(loopsAmong, round)
  const neededByHandMs = (await runByHand(0, round)) * threads
  const leftByHandMs = (await runByHand(loopsAmong, round)) * threads - loopsAmong * timeoutMs
  const respawnMs = await measureRespawn()
  const leftMs = wallMs * threads - loopsAmong * timeoutMs
  shares.strict.push(neededMs / leftMs)
  shares.fair.push(neededMs / (leftMs - loopsAmong * respawnMs))
  shares.byHandStrict.push(neededByHandMs / leftByHandMs)
  shares.byHandFair.push(neededByHandMs / (leftByHandMs - loopsAmong * respawnMs))
  shares.respawnMs.push(respawnMs)
  shares.lostMs.push((leftMs - neededMs) / loopsAmong)
}

/** From `terminate()` of a looping thread to the first task on the worker that follows it, in raw Piscina; median of 7. */
async function measureRespawn(): Promise<number> {
  const pool = new Piscina({
    filename: RAW_SPIN,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Infinity,
    recordTiming: false,
  })
  pool.on('error', () => undefined)
  const respawnMs: number[] = []
  await pool.run(false)
  for (let time = 0; time < 7; time++) {
    pool.run(true).catch(() => undefined)
    await pause(20)
    const [worker] = pool.threads
    if (worker === undefined) throw new Error('the pool has no thread')
    const endedMs = monotonicMs()
    void worker.terminate()
    await once(worker, 'exit')
    respawnMs.push(((await pool.run(false)) as number) - endedMs)
  }
  await pool.destroy()
  return median(respawnMs)
}

function report(): void {
  console.log(`\n${surroundings()}`)
  console.log(`${threads} threads, timeout ${timeoutMs} ms, ${rounds} rounds, durability 'disk'\n`)
  const row = (what: string, sample: readonly number[], target: string): string[] => [
    what,
    String(sample.length),
    ...[quantile(sample, 0.5), quantile(sample, 0.99), Math.max(...sample)].map((value) => value.toFixed(1)),
    target,
  ]
  console.log(
    table(
      ['ms after the end of the timeout', 'loops', 'p50', 'p99', 'max', 'target'],
      [
        row('one loop at a time: thread gone', oneAtATime.goneMs, 'p99 ≤ 10'),
        row('one loop at a time: outcome on disk', oneAtATime.toldMs, ''),
        row('every thread in a loop: thread gone', allThreads.goneMs, 'p99 ≤ 10'),
        row('every thread in a loop: outcome on disk', allThreads.toldMs, ''),
      ],
    ),
  )
  const percents = (sample: readonly number[]): string[] => [
    `${(median(sample) * 100).toFixed(1)} %`,
    `${(Math.min(...sample) * 100).toFixed(1)} – ${(Math.max(...sample) * 100).toFixed(1)} %`,
  ]
  const notBegun = oneAtATime.notBegun + allThreads.notBegun
  if (notBegun > 0) console.log(`\nloops whose module was not loaded within the timeout, left out: ${notBegun}`)
  console.log(`\n${good} good jobs of ${jobMs} ms and ${loopsAmong} endless loops a round:\n`)
  console.log(
    table(
      ['good jobs of the thread time left', 'median', 'lowest – highest', 'target'],
      [
        ['Millrace; a loop costs its timeout and the respawn of a bare thread', ...percents(shares.fair), '≥ 95 %'],
        ['Millrace; a loop costs its timeout only', ...percents(shares.strict), ''],
        ['by hand; its timeout and the respawn', ...percents(shares.byHandFair), ''],
        ['by hand; its timeout only', ...percents(shares.byHandStrict), ''],
      ],
    ),
  )
  console.log(
    `\nthread time a loop cost beyond its timeout: ${median(shares.lostMs).toFixed(1)} ms; ` +
      `respawn of a bare Piscina thread: ${median(shares.respawnMs).toFixed(1)} ms`,
  )
}
