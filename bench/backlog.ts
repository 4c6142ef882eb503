/**
 * What a large backlog costs: 1 thousand, 100 thousand, 1 million jobs waiting (10 million with --huge), against 1 thousand.
 *
 *   npm run bench -- backlog [--rounds 5] [--huge]
 *
 * Every measurement is a process of its own. A store gets its backlog from an executor whose two threads are held by the first
 * jobs, so that all the others wait; it is closed in order, which gives those two back.
 *
 *   enqueue       enqueueMany of 5,000, nothing else going on
 *   throughput    100,000 jobs completed, oldest first, while as many are enqueued behind, so that the backlog stays what it was;
 *                 after a warm-up of 50,000. The payload is ~90 bytes, there are 2 threads, durability is 'disk'.
 *   CPU           of the whole process in that time, per job: unlike the rate not moved by what else the machine does
 *   memory        with the jobs waiting, right after they were enqueued by the same process, and after the store was reopened:
 *                 the main thread's heap in use and what it holds outside (external, array buffers included), after a collection
 *   first start   from the call of openExecutor to the start of the first handler, its module's loading included
 */
import { parseArgs } from 'node:util'
import type { Executor } from '../src/index.js'
import { openExecutor } from '../src/index.js'
import { noopInput } from './jobs/noop.js'
import { HOLD, waiting } from './jobs/waiting.js'
import { childTask, runSelf, tellParent } from './support/child.js'
import { median } from './support/measure.js'
import { megabytes, megabytesMore, readMemory, type Memory } from './support/memory.js'
import { surroundings, table, thousands } from './support/report.js'
import { SteadyStream } from './support/steady.js'
import { temporaryDirectory } from './support/temporary-directory.js'

interface Task {
  readonly kind: 'fill' | 'reopen' | 'drain'
  readonly path: string
  readonly backlog: number
}
interface Filled {
  readonly jobsPerSecond: number
  readonly memory: Memory
  readonly sizeBytes: number
}
interface Reopened {
  readonly firstStartMs: number
  readonly memory: Memory
}
interface Drained {
  readonly jobsPerSecond: number
  readonly cpuUsPerJob: number
}

const CHUNK = 5000
const WARM_UP_JOBS = 50_000
const MEASURED_JOBS = 100_000
const EXPOSE_GC = { execArgv: ['--expose-gc'] }

const task = childTask<Task>()
if (task === undefined) await main()
else if (task.kind === 'fill') await tellParent(await fill(task))
else if (task.kind === 'reopen') await tellParent(await reopen(task))
else await tellParent(await drain(task))
process.exit(0)

interface Level {
  readonly backlog: number
  readonly directory: { readonly path: string; readonly remove: () => void }
  readonly reopened: Reopened[]
  readonly drained: Drained[]
  filled: Filled | undefined
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '5' }, huge: { type: 'boolean', default: false } },
  })
  const rounds = Number(values.rounds)
  // One job waiting stands for an empty store: there must be one whose start can be seen.
  const sizes = [1, 1000, 100_000, 1_000_000, ...(values.huge ? [10_000_000] : [])]
  const levels = sizes.map((backlog): Level => ({
    backlog,
    directory: temporaryDirectory(),
    reopened: [],
    drained: [],
    filled: undefined,
  }))
  try {
    for (const level of levels) {
      level.filled = await child<Filled>('fill', level)
      process.stderr.write(`${level.backlog} waiting\n`)
    }
    for (let round = 0; round < rounds; round++) {
      for (const level of levels) level.reopened.push(await child<Reopened>('reopen', level))
      for (const level of levels) if (level.backlog > 1) level.drained.push(await child<Drained>('drain', level))
      process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    }
    report(levels, rounds)
  } finally {
    for (const { directory } of levels) directory.remove()
  }
}

async function child<Result>(kind: Task['kind'], { backlog, directory }: Level): Promise<Result> {
  return await runSelf<Result>(import.meta.url, { kind, backlog, path: directory.path } satisfies Task, EXPOSE_GC)
}

function report(levels: readonly Level[], rounds: number): void {
  const [empty, few] = levels
  const rows = levels.map((level) => {
    const { backlog, filled, reopened, drained } = level
    const rates = drained.map(({ jobsPerSecond }) => jobsPerSecond)
    const shares = rates.map((rate, round) => rate / (few?.drained[round]?.jobsPerSecond ?? Number.NaN))
    const later = reopened.map(({ firstStartMs }, round) => firstStartMs - (empty?.reopened[round]?.firstStartMs ?? Number.NaN))
    const more = (filled?.memory.mainBytes ?? 0) - (few?.filled?.memory.mainBytes ?? 0)
    const afterReopen = median(reopened.map(({ memory }) => memory.mainBytes))
    return [
      label(backlog),
      backlog === 1 ? '' : `${thousands(filled?.jobsPerSecond ?? 0)}/s`,
      megabytes(filled?.sizeBytes ?? 0),
      backlog === 1 ? '' : `${thousands(median(rates))}/s`,
      backlog === 1 ? '' : `${median(shares).toFixed(2)} ×`,
      backlog === 1 ? '' : `${median(drained.map(({ cpuUsPerJob }) => cpuUsPerJob)).toFixed(2)} µs`,
      `${megabytes(filled?.memory.mainBytes ?? 0)} (${megabytesMore(more)})`,
      megabytes(afterReopen),
      megabytes(filled?.memory.privateBytes ?? 0),
      megabytes(filled?.memory.rssBytes ?? 0),
      `${median(reopened.map(({ firstStartMs }) => firstStartMs)).toFixed(0)} ms (${sign(median(later))} ms)`,
    ]
  })
  console.log(
    `\n${surroundings()}\n${rounds} rounds, a fresh process per measurement, 2 threads, payload ~90 bytes, durability 'disk'\n`,
  )
  console.log(
    table(
      [
        'waiting',
        'enqueue',
        'file',
        'throughput',
        'of that at 1 k',
        'CPU a job',
        'main thread (beyond 1 k)',
        'after reopen',
        'process, private',
        'rss',
        'first start (beyond empty)',
      ],
      rows,
    ),
  )
  console.log('\nTargets at 1 M: throughput ≥ 0.9 ×, main thread ≤ + 64 MB, first start ≤ + 200 ms')
}

function label(backlog: number): string {
  if (backlog === 1) return 'empty (1)'
  return backlog >= 1e6 ? `${backlog / 1e6} M` : `${backlog / 1000} k`
}

function sign(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(0)}`
}

async function open(path: string, hold: boolean): Promise<Executor> {
  return await openExecutor({ path, jobs: [waiting], threads: 2, abortGrace: 0, ...(hold && { env: { [HOLD]: '1' } }) })
}

async function fill({ path, backlog }: Task): Promise<Filled> {
  const executor = await open(path, true)
  let ms = 0
  for (let from = 0; from < backlog; from += CHUNK) {
    const inputs = Array.from({ length: Math.min(CHUNK, backlog - from) }, (_, index) => noopInput(from + index))
    const began = performance.now()
    await executor.enqueueMany(waiting, inputs)
    ms += performance.now() - began
  }
  const memory = await readMemory()
  await executor.close({ grace: 0 })
  const { sizeBytes } = executor.stats().store
  return { jobsPerSecond: (backlog / ms) * 1000, memory, sizeBytes }
}

async function reopen({ path }: Task): Promise<Reopened> {
  const began = performance.now()
  const executor = await open(path, true)
  await new Promise<void>((resolve) => executor.on('started', () => resolve()))
  const firstStartMs = performance.now() - began
  const memory = await readMemory()
  await executor.close({ grace: 0 })
  return { firstStartMs, memory }
}

async function drain({ path, backlog }: Task): Promise<Drained> {
  const executor = await open(path, false)
  let next = 0
  const stream = new SteadyStream(executor, {
    backlog,
    slack: 3 * CHUNK,
    chunk: CHUNK,
    enqueue: (count) =>
      executor.enqueueMany(
        waiting,
        Array.from({ length: count }, () => noopInput(next++)),
      ),
  })
  await stream.run(WARM_UP_JOBS)
  const { jobs, ms, cpuMs } = await stream.run(MEASURED_JOBS)
  await executor.close({ grace: 0 })
  return { jobsPerSecond: (jobs / ms) * 1000, cpuUsPerJob: (cpuMs / jobs) * 1000 }
}
