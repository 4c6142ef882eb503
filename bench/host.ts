/**
 * What the host's event loop feels of it while the threads are saturated.
 *
 *   npm run bench -- host [--threads <cores>] [--rounds 3] [--seconds 2] [--requests 250]
 *
 * An HTTP server runs in the host; another process asks it `requests` times a second at a steady pace, and counts each latency
 * from the instant the request was to be sent. Meanwhile, with one thread fewer than cores and with as many:
 *   nothing           the server alone
 *   bare threads      threads at arithmetic without end, that the main thread has nothing to do with: what the mere lack of a
 *                     free core costs, on this machine
 *   10 ms jobs        Millrace, always 20 jobs waiting
 *   no-op flood       Millrace, `enqueueMany` of 1,000 jobs that do nothing, as fast as it goes
 *   no-op, single     Millrace, 200 `enqueue` calls under way all the time
 *
 * Event-loop delay: `monitorEventLoopDelay` with a resolution of 1 ms, less that millisecond. Loop turn: from a `setImmediate` to
 * its callback, asked every 2 ms: how long everything else that was due in that turn took.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Executor } from '../src/index.js'
import { openExecutor } from '../src/index.js'
import { arithmetic } from './jobs/arithmetic.js'
import { noop, noopInput } from './jobs/noop.js'
import { BareThreads } from './support/bare-threads.js'
import { median, quantile } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    requests: { type: 'string', default: '250' },
  },
})
const most = Number(values.threads)
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const perSecond = Number(values.requests)
const CLIENT = fileURLToPath(new URL('./jobs/host-client.js', import.meta.url))
const JOB_MS = 10

/** What goes on beside the server until `stop`; resolves to jobs done. */
interface Burden {
  readonly name: string
  readonly run: (isOver: () => boolean) => Promise<number>
  readonly close: () => Promise<void>
  readonly felt: { readonly delays: number[][]; readonly turns: number[]; readonly latencies: number[]; readonly rates: number[] }
}

const calibration = new BareThreads(most)
const iterationsPerMs = await calibration.iterationsPerMs()
await calibration.close()
const iterations = Math.round(JOB_MS * iterationsPerMs)

const server = createServer((_request, response) => response.end('{"ok":true}'))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const burdens: Burden[] = [
  burden(
    'nothing',
    (isOver) => until(isOver),
    () => Promise.resolve(),
  ),
]
const counts = most > 1 ? [most - 1, most] : [most]
for (const threads of counts) {
  burdens.push(bareThreads(threads), ...(await millrace(threads)))
}
for (let round = -1; round < rounds; round++) {
  for (const each of burdens) await measure(each, round >= 0)
  process.stderr.write(round < 0 ? 'warm-up\n' : `round ${round + 1} of ${rounds}\n`)
}
for (const each of burdens) await each.close()
server.close()
server.closeAllConnections()
report()

async function measure({ run, felt }: Burden, counts: boolean): Promise<void> {
  const requests = Math.round(perSecond * (counts ? seconds : 0.3))
  let over = false
  const began = performance.now()
  const done = run(() => over)
  const delays = monitorEventLoopDelay({ resolution: 1 })
  const turns: number[] = []
  delays.enable()
  const probe = setInterval(() => {
    const asked = performance.now()
    setImmediate(() => turns.push(performance.now() - asked))
  }, 2)
  const client = spawn(process.execPath, [CLIENT, String(port), String(requests), String(perSecond)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(client, 'exit')
  let text = ''
  for await (const chunk of client.stdout) text += String(chunk)
  await exited
  delays.disable()
  clearInterval(probe)
  over = true
  const jobs = await done
  if (!counts) return
  felt.delays.push([50, 99, 100].map((percentile) => Math.max(0, delays.percentile(percentile) / 1e6 - 1)))
  felt.turns.push(...turns)
  felt.latencies.push(...(JSON.parse(text) as number[]))
  felt.rates.push((jobs / (performance.now() - began)) * 1000)
}

function burden(name: string, run: Burden['run'], close: Burden['close']): Burden {
  return { name, run, close, felt: { delays: [], turns: [], latencies: [], rates: [] } }
}

function named(name: string, threads: number): string {
  return `${name}, ${threads} thread${threads === 1 ? '' : 's'}`
}

async function until(isOver: () => boolean): Promise<number> {
  while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 20))
  return 0
}

function bareThreads(threads: number): Burden {
  const bare = new BareThreads(threads)
  return burden(
    named('bare threads', threads),
    async (isOver) => {
      while (!isOver()) await bare.run(threads * 10, iterations)
      return 0
    },
    () => bare.close(),
  )
}

async function millrace(threads: number): Promise<Burden[]> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ path: directory.path, jobs: [arithmetic, noop], threads })
  const close = async (): Promise<void> => {
    await executor.close()
    directory.remove()
  }
  const nothing = (): Promise<void> => Promise.resolve()
  return [
    burden(named('10 ms jobs', threads), (isOver) => keepBusy(executor, isOver), nothing),
    burden(named('no-op flood', threads), (isOver) => flood(executor, isOver), nothing),
    burden(named('no-op, single', threads), (isOver) => floodSingly(executor, isOver), close),
  ]
}

async function keepBusy(executor: Executor, isOver: () => boolean): Promise<number> {
  let jobs = 0
  const one = async (): Promise<void> => {
    while (!isOver()) {
      const handle = await executor.enqueue(arithmetic, iterations)
      await handle.result()
      jobs++
    }
  }
  await Promise.all(Array.from({ length: 20 }, one))
  return jobs
}

async function flood(executor: Executor, isOver: () => boolean): Promise<number> {
  const inputs = Array.from({ length: 1000 }, (_, id) => noopInput(id))
  let jobs = 0
  while (!isOver()) {
    await executor.enqueueMany(noop, inputs)
    jobs += inputs.length
    // The flood is bounded: no more waits than the threads get through soon.
    if (jobs % 20_000 === 0) await executor.drain()
  }
  await executor.drain()
  return jobs
}

async function floodSingly(executor: Executor, isOver: () => boolean): Promise<number> {
  let jobs = 0
  const one = async (): Promise<void> => {
    while (!isOver()) {
      await executor.enqueue(noop, noopInput(jobs))
      jobs++
    }
  }
  await Promise.all(Array.from({ length: 200 }, one))
  await executor.drain()
  return jobs
}

function report(): void {
  console.log(`\n${surroundings()}`)
  console.log(`${rounds} rounds of ${seconds} s, ${perSecond} requests a second, durability 'disk'\n`)
  const ms = (value: number): string => value.toFixed(2)
  console.log(
    table(
      ['beside the server', 'jobs/s', 'event-loop delay p50', 'p99', 'max', 'loop turn p99', 'HTTP p50', 'p99', 'max', 'target'],
      burdens.map(({ name, felt: { delays, turns, latencies, rates } }) => [
        name,
        median(rates) > 0 ? thousands(median(rates)) : '',
        ...[0, 1].map((at) => ms(median(delays.map((round) => round[at]!)))),
        ms(Math.max(...delays.map((round) => round[2]!))),
        ms(quantile(turns, 0.99)),
        ...[quantile(latencies, 0.5), quantile(latencies, 0.99), Math.max(...latencies)].map(ms),
        /jobs|no-op/.test(name) ? 'delay p99 ≤ 5' : '',
      ]),
    ),
  )
}
