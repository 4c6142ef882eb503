/**
 * How fast bytes go in and out of a job: a Buffer of 1 KB to 16 MB as the input, the same as the output, awaited by the caller.
 *
 *   npm run bench -- payload [--threads <cores>] [--rounds 5] [--megabytes 48] [--sizes 1,16,64,1024,16384]
 *
 * MB/s counts each byte once on its way in and once on its way out. Millrace makes both durable (the last 8 outputs are kept);
 * raw Piscina stores nothing. It runs with the bytes cloned, and with them transferred both ways: buffers that it gives away
 * are made outside the measured time. Bare LMDB puts the input, gets it, puts the output, each put with a sync for as many as
 * are under way, and removes both: what durability costs with nothing around it.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { open } from 'lmdb'
import { Piscina } from 'piscina'
import { openExecutor } from '../src/index.js'
import { echo } from './jobs/echo.js'
import type { RawEchoInput } from './jobs/raw-echo.js'
import type { Closable } from './support/contestants.js'
import { interleave, ratio } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '5' },
    sizes: { type: 'string', default: '1,16,64,1024,16384' },
    megabytes: { type: 'string', default: '48' },
  },
})
const threads = Number(values.threads)
const rounds = Number(values.rounds)
const KIB = 1024
const MIB = 1024 * KIB
/** Bytes under way at a time, and jobs. */
const UNDER_WAY_BYTES = 32 * MIB
const UNDER_WAY_JOBS = 256

const rows: string[][] = []
for (const size of values.sizes.split(',').map(Number)) rows.push(...(await measureSize(size * KIB)))
console.log(`\n${surroundings()}\n${threads} threads, ${rounds} rounds, durability 'disk'\n`)
console.log(
  table(['payload in and out', '', 'jobs/s, median', 'MB/s', 'lowest – highest', '× Piscina, cloned', '× bare LMDB'], rows),
)
console.log(`
Copies of the bytes that Millrace makes, counted in the code. LMDB's own are marked *; a transfer to or from a thread is none.
  in, up to 32 KB     4: into the page · * into the file · page → batch for the thread (transferred) · out of the batch
  in, above           4: encoded · out of the page's buffer · * into the file · * out of the file (transferred)
  out, up to 256 KB   6: encoded · into the shared area · out of it · into the block of finished jobs, * and into the file · to the caller
  out, above          4: encoded · into a buffer (transferred) · * into the file · to the caller`)

async function measureSize(sizeBytes: number): Promise<string[][]> {
  const jobs = Math.max(6, Math.min(2000, Math.round((Number(values.megabytes) * MIB) / sizeBytes)))
  const underWay = Math.max(2, Math.min(UNDER_WAY_JOBS, Math.floor(UNDER_WAY_BYTES / sizeBytes)))
  process.stderr.write(`${jobs} jobs of ${named(sizeBytes)}\n`)
  const contestants: Closable[] = [
    await millrace(sizeBytes, jobs, underWay),
    rawPiscina('raw Piscina, cloned', sizeBytes, jobs, underWay, false),
    rawPiscina('raw Piscina, transferred', sizeBytes, jobs, underWay, true),
    bareLmdb(sizeBytes, jobs, underWay),
  ]
  const measured = await interleave(contestants, rounds)
  for (const contestant of contestants) await contestant.close()
  const megabytesOf = (rate: number): string => ((rate * 2 * sizeBytes) / 1e6).toFixed(0)
  const lmdb = measured.at(-1)!
  const cloned = measured[1]!
  return measured.map((entry) => [
    named(sizeBytes),
    entry.name,
    entry.median < 1000 ? entry.median.toFixed(1) : thousands(entry.median),
    megabytesOf(entry.median),
    `${megabytesOf(entry.low)} – ${megabytesOf(entry.high)}`,
    ratio(entry, cloned).toFixed(2),
    ratio(entry, lmdb).toFixed(2),
  ])
}

function named(sizeBytes: number): string {
  return sizeBytes >= MIB ? `${sizeBytes / MIB} MB` : `${sizeBytes / KIB} KB`
}

/** Runs `job` so many times, a bounded number at once, and gives the rate. */
async function rateOf(jobs: number, underWay: number, job: (index: number) => Promise<void>): Promise<number> {
  let next = 0
  const began = performance.now()
  await Promise.all(
    Array.from({ length: underWay }, async () => {
      while (next < jobs) await job(next++)
    }),
  )
  return (jobs / (performance.now() - began)) * 1000
}

function check(output: Uint8Array, sizeBytes: number): void {
  if (output.length !== sizeBytes || output[sizeBytes - 1] !== 7) throw new Error(`an output of ${output.length} bytes came back`)
}

async function millrace(sizeBytes: number, jobs: number, underWay: number): Promise<Closable> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ path: directory.path, jobs: [echo], threads, retain: { jobs: 8 } })
  const input = Buffer.alloc(sizeBytes, 7)
  return {
    name: 'Millrace',
    run: () =>
      rateOf(jobs, underWay, async () => {
        const handle = await executor.enqueue(echo, input)
        check(await handle.result(), sizeBytes)
      }),
    async close() {
      await executor.close()
      directory.remove()
    },
  }
}

function rawPiscina(name: string, sizeBytes: number, jobs: number, underWay: number, transfer: boolean): Closable {
  const pool = new Piscina({
    filename: new URL('./jobs/raw-echo.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: 4,
    idleTimeout: Infinity,
    recordTiming: false,
  })
  const same = new Uint8Array(sizeBytes).fill(7)
  return {
    name,
    run() {
      const given = Array.from({ length: transfer ? jobs : 0 }, () => new Uint8Array(sizeBytes).fill(7))
      return rateOf(jobs, underWay, async (index) => {
        const bytes = given[index] ?? same
        const task: RawEchoInput = { bytes, transfer }
        check((await pool.run(task, transfer ? { transferList: [bytes.buffer] } : {})) as Uint8Array, sizeBytes)
      })
    },
    close: () => pool.destroy(),
  }
}

function bareLmdb(sizeBytes: number, jobs: number, underWay: number): Closable {
  const directory = temporaryDirectory()
  const root = open({
    path: join(directory.path, 'bare.mdb'),
    overlappingSync: false,
    eventTurnBatching: false,
    mapSize: 2 ** 36,
    maxDbs: 4,
  })
  const records = root.openDB<Buffer, number>({ name: 'records', encoding: 'binary' })
  const value = Buffer.alloc(sizeBytes, 7)
  return {
    name: 'bare LMDB: put, get, put, remove both',
    async run() {
      const began = performance.now()
      for (let from = 0; from < jobs; from += underWay) {
        const to = Math.min(jobs, from + underWay)
        await records.batch(() => {
          for (let key = from; key < to; key++) void records.put(key * 2, value)
        })
        const read = Array.from({ length: to - from }, (_, index) => records.get((from + index) * 2)!)
        await records.batch(() => {
          for (let key = from; key < to; key++) void records.put(key * 2 + 1, read[key - from]!)
          for (let key = from; key < to; key++) void records.remove(key * 2)
        })
        for (let key = from; key < to; key++) check(records.get(key * 2 + 1)!, sizeBytes)
        await records.batch(() => {
          for (let key = from; key < to; key++) void records.remove(key * 2 + 1)
        })
      }
      return (jobs / (performance.now() - began)) * 1000
    },
    async close() {
      await root.close()
      directory.remove()
    },
  }
}
