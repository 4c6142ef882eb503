/**
 * Whether the file and the memory stay as they are while millions of jobs pass through a small backlog.
 *
 *   npm run bench -- churn [--jobs 5000000] [--seconds 60] [--backlog 10000] [--full]
 *
 * Stops after `--jobs` or after `--seconds`, whichever comes first; with --full only after all jobs. At most `--backlog` jobs wait
 * at any time. Payload ~90 bytes, 2 threads, durability 'disk', retention as it comes: the last 1,000 completed jobs are kept.
 */
import { parseArgs } from 'node:util'
import { openExecutor } from '../src/index.js'
import { noop, noopInput } from './jobs/noop.js'
import { childTask, runSelf, tellParent } from './support/child.js'
import { median } from './support/measure.js'
import { megabytes, readMemory, type Memory } from './support/memory.js'
import { surroundings, table, thousands } from './support/report.js'
import { SteadyStream } from './support/steady.js'
import { temporaryDirectory } from './support/temporary-directory.js'

interface Task {
  readonly jobs: number
  readonly seconds: number | null
  readonly backlog: number
}
interface Sample extends Memory {
  readonly jobs: number
  readonly sizeBytes: number
  readonly jobsPerSecond: number
}

const TARGET_BYTES = 64 * 2 ** 20
const SAMPLES = 10

const task = childTask<Task>()
if (task === undefined) await main()
else await tellParent(await churn(task))
process.exit(0)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      jobs: { type: 'string', default: '5000000' },
      seconds: { type: 'string', default: '60' },
      backlog: { type: 'string', default: '10000' },
      full: { type: 'boolean', default: false },
    },
  })
  const seconds = values.full ? null : Number(values.seconds)
  const given: Task = { jobs: Number(values.jobs), seconds, backlog: Number(values.backlog) }
  const samples = await runSelf<Sample[]>(import.meta.url, given, { execArgv: ['--expose-gc'], timeoutMs: 3_600_000 })
  const jobs = samples.at(-1)?.jobs ?? 0
  const cut = jobs < given.jobs ? `, stopped after ${values.seconds} s: ${jobs} of ${given.jobs} jobs` : ''
  console.log(
    `\n${surroundings()}\n2 threads, at most ${given.backlog} jobs waiting, payload ~90 bytes, durability 'disk'${cut}\n`,
  )
  console.log(
    table(
      ['jobs passed', 'file', 'main thread', 'process, private', 'rss', 'jobs/s since'],
      samples.map(({ jobs, sizeBytes, mainBytes, privateBytes, rssBytes, jobsPerSecond }) => [
        `${(jobs / 1e6).toFixed(2)} M`,
        megabytes(sizeBytes),
        megabytes(mainBytes),
        megabytes(privateBytes),
        megabytes(rssBytes),
        jobsPerSecond === 0 ? '' : thousands(jobsPerSecond),
      ]),
    ),
  )
  const largest = Math.max(...samples.map(({ sizeBytes }) => sizeBytes))
  console.log(
    `\nfile: ${trend(samples, 'sizeBytes')}; main thread: ${trend(samples, 'mainBytes')}; process: ${trend(samples, 'privateBytes')}`,
  )
  console.log(`Target after 5 M jobs: file ≤ 64 MB. Largest: ${megabytes(largest)}${largest > TARGET_BYTES ? ', missed' : ''}.`)
}

/** Whether the second half of the samples stays where the first half had got to. */
function trend(samples: readonly Sample[], field: 'sizeBytes' | 'mainBytes' | 'privateBytes'): string {
  const values = samples.slice(1).map((sample) => sample[field])
  const half = Math.floor(values.length / 2)
  const earlier = median(values.slice(0, half))
  const growth = median(values.slice(half)) - earlier
  return growth <= Math.max(earlier * 0.1, 2 ** 20) ? 'flat' : `grew by ${megabytes(growth)} from the first half to the second`
}

async function churn({ jobs, seconds, backlog }: Task): Promise<Sample[]> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ path: directory.path, jobs: [noop], threads: 2 })
  const chunk = Math.max(1, Math.floor(backlog / 4))
  let next = 0
  const stream = new SteadyStream(executor, {
    backlog: 0,
    slack: backlog,
    chunk,
    enqueue: (count) =>
      executor.enqueueMany(
        noop,
        Array.from({ length: count }, () => noopInput(next++)),
      ),
  })
  const samples: Sample[] = []
  let passed = 0
  const began = performance.now()
  const stopAt = seconds === null ? Infinity : began + seconds * 1000
  const sample = async (jobsPerSecond: number): Promise<void> => {
    const { sizeBytes } = executor.stats().store
    samples.push({ jobs: passed, sizeBytes, jobsPerSecond, ...(await readMemory()) })
  }
  await sample(0)
  while (passed < jobs && performance.now() < stopAt) {
    // By time or by count, so that a run that is cut short has as many samples.
    const until = Math.min(stopAt, performance.now() + (seconds === null ? Infinity : (seconds * 1000) / SAMPLES))
    const step = await stream.run(Math.min(jobs / SAMPLES, jobs - passed), () => performance.now() >= until)
    passed += step.jobs
    await sample((step.jobs / step.ms) * 1000)
  }
  await executor.close({ grace: 0 })
  directory.remove()
  return samples
}
