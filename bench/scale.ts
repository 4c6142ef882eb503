/**
 * What a job costs as the executor has more to look after: queues, definitions, jobs waiting for their time, retries.
 *
 *   npm run bench -- scale [--rounds 5] [--jobs 30000] [--only queues,definitions,delayed,retries]
 *
 * Wall time is from the first enqueue to the last durable outcome, by 2 threads; CPU time is that of the whole process meanwhile,
 * which what else the machine does moves less. Both per job. Jobs are enqueued one by one, 2,000 calls to a turn of the event loop.
 *
 *   queues        each job goes to the next queue
 *   definitions   each job is of the next definition, in one queue
 *   delayed       so many jobs wait for an instant one to two hours away, a different one for each thousand of them
 *   retries       so large a share of the jobs fails at first, and is retried without delay
 */
import { parseArgs } from 'node:util'
import type { Executor, ExecutorOptions } from '../src/index.js'
import { openExecutor } from '../src/index.js'
import { flaky, many, queueName, spread } from './jobs/many.js'
import { noop, noopInput, type NoopInput } from './jobs/noop.js'
import { interleave, median, ratio, type Contestant } from './support/measure.js'
import { surroundings, table } from './support/report.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const TURN = 2000
const HOUR_MS = 3_600_000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '30000' },
    only: { type: 'string', default: 'queues,definitions,delayed,retries' },
  },
})
const rounds = Number(values.rounds)
const jobs = Number(values.jobs)

interface Level {
  readonly label: string
  readonly options: Omit<ExecutorOptions, 'path'>
  readonly enqueue: (executor: Executor, index: number) => Promise<unknown>
  readonly prepare?: (executor: Executor) => Promise<void>
}

const dimensions: Readonly<Record<string, readonly Level[]>> = {
  queues: [1, 10, 100, 1000].map((queues) => ({
    label: `${queues}`,
    options: { jobs: [spread], queues: Object.fromEntries(Array.from({ length: queues }, (_, index) => [queueName(index), {}])) },
    enqueue: (executor, index) => executor.enqueue(spread, input(index, index % queues)),
  })),
  definitions: [1, 10, 100].map((definitions) => ({
    label: `${definitions}`,
    options: { jobs: many.slice(0, definitions) },
    enqueue: (executor, index) => executor.enqueue(many[index % definitions]!, noopInput(index)),
  })),
  delayed: [0, 1000, 100_000, 1_000_000].map((delayed) => ({
    label: delayed >= 1e6 ? `${delayed / 1e6} M` : delayed >= 1000 ? `${delayed / 1000} k` : `${delayed}`,
    options: { jobs: [noop] },
    enqueue: (executor, index) => executor.enqueue(noop, noopInput(index)),
    prepare: (executor) => delay(executor, delayed),
  })),
  retries: [0, 10, 50].map((percent) => ({
    label: `${percent} %`,
    options: { jobs: [flaky] },
    enqueue: (executor, index) => executor.enqueue(flaky, input(index, index % 100 < percent ? 1 : 0)),
  })),
}

const rows: string[][] = []
for (const name of values.only.split(',')) rows.push(...(await measureDimension(name, dimensions[name] ?? [])))
console.log(`\n${surroundings()}\n${jobs} jobs a round, ${rounds} rounds, 2 threads, payload ~90 bytes, durability 'disk'\n`)
console.log(table(['', '', 'a job takes, median', 'lowest – highest', 'CPU a job', 'throughput', 'CPU'], rows))
process.exit(0)

interface Contender extends Contestant {
  readonly cpuUs: number[]
  readonly close: () => Promise<void>
}

async function measureDimension(name: string, levels: readonly Level[]): Promise<string[][]> {
  const contenders: Contender[] = []
  for (const level of levels) contenders.push(await contender(level))
  process.stderr.write(`${name}\n`)
  const measured = await interleave(contenders, rounds)
  for (const { close } of contenders) await close()
  const first = measured[0]!
  const cpu = contenders.map(({ cpuUs }) => median(cpuUs.slice(1)))
  return measured.map((entry, index) => [
    index === 0 ? name : '',
    entry.name,
    micros(entry.median),
    `${micros(entry.high)} – ${micros(entry.low)}`,
    `${cpu[index]!.toFixed(1)} µs`,
    `${ratio(entry, first).toFixed(2)} ×`,
    `${(cpu[index]! / cpu[0]!).toFixed(2)} ×`,
  ])
}

async function contender({ label, options, enqueue, prepare }: Level): Promise<Contender> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ ...options, path: directory.path, threads: 2 })
  await prepare?.(executor)
  const cpuUs: number[] = []
  return {
    name: label,
    cpuUs,
    async run() {
      const cpuBefore = process.cpuUsage()
      const began = performance.now()
      for (let from = 0; from < jobs; from += TURN) {
        await Promise.all(Array.from({ length: Math.min(TURN, jobs - from) }, (_, index) => enqueue(executor, from + index)))
      }
      await executor.drain()
      const ms = performance.now() - began
      const { user, system } = process.cpuUsage(cpuBefore)
      cpuUs.push((user + system) / jobs)
      return (jobs / ms) * 1000
    },
    async close() {
      await executor.close({ grace: 0 })
      directory.remove()
    },
  }
}

async function delay(executor: Executor, delayed: number): Promise<void> {
  const CHUNK = 1000
  for (let from = 0; from < delayed; from += CHUNK) {
    const inputs = Array.from({ length: CHUNK }, (_, index) => noopInput(from + index))
    await executor.enqueueMany(noop, inputs, { delay: HOUR_MS + Math.round((from / delayed) * HOUR_MS) })
  }
}

function input(id: number, width: number): NoopInput {
  return { ...noopInput(id), width }
}

/** Of a rate per second. */
function micros(rate: number): string {
  return `${(1e6 / rate).toFixed(1)} µs`
}
