/**
 * Millrace beside the queues and pools that people use: no-op jobs of the same ~90-byte payload, enqueued in bulk and processed to
 * their completion, in jobs per second from the first enqueue to the last completion.
 *
 *   npm run bench -- peers [--rounds 5] [--scale 1] [--only bullmq,plainjob]
 *
 * Every peer runs at the fastest settings its own documentation gives, in a fresh process per run that warms up first; so does
 * Millrace. Only one contestant is at work at any time, with its server if it has one; the servers are started and stopped here.
 * Peers that run their handlers on the main thread are measured so, though a CPU-bound handler would block them there: for doing
 * nothing it is their fastest way. The peers' packages are in bench/peers, not among Millrace's own.
 */
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { openExecutor } from '../src/index.js'
import { noop, noopInput } from './jobs/noop.js'
import { childTask, runProgram, runSelf, tellParent } from './support/child.js'
import { interleave, ratio, type Contestant } from './support/measure.js'
import { surroundings, table, thousands } from './support/report.js'
import { startPostgres, startRedis, type Server } from './support/servers.js'
import { temporaryDirectory } from './support/temporary-directory.js'

const PEERS = new URL('../../bench/peers/', import.meta.url)
const GET_PACKAGES = 'npm --prefix bench/peers ci'
const THREADS = availableParallelism()
const NOT_STORED = 'none: lost with the process'

interface Peer {
  readonly program: string
  /** Packages, the first of which is measured. */
  readonly packages: readonly string[]
  readonly needs?: 'redis' | 'postgres'
  readonly label: string
  readonly how: string
  readonly durability: string
  /** A run takes one to three seconds on two cores. */
  readonly jobs: number
  readonly settings?: Readonly<Record<string, unknown>>
  readonly target?: number
}

const peers: readonly Peer[] = [
  {
    program: 'bullmq',
    packages: ['bullmq', 'ioredis'],
    needs: 'redis',
    label: 'BullMQ',
    how: 'main thread, addBulk of 1,000, concurrency 200',
    durability: 'every write synced (appendfsync always)',
    jobs: 8000,
    target: 25,
  },
  {
    program: 'graphile-worker',
    packages: ['graphile-worker', 'pg'],
    needs: 'postgres',
    label: 'graphile-worker',
    how: 'main thread, addJobs of 5,000, 24 concurrent, localQueue 500, completeJobBatchDelay 0',
    durability: 'every commit synced (synchronous_commit on)',
    jobs: 30_000,
    target: 10,
  },
  {
    program: 'pg-boss',
    packages: ['pg-boss', 'pg'],
    needs: 'postgres',
    label: 'pg-boss',
    how: 'main thread, insert of 5,000, 4 workers of batchSize 1,000, burstWhenBatchFull, notify',
    durability: 'every commit synced (synchronous_commit on)',
    jobs: 25_000,
  },
  {
    program: 'plainjob',
    packages: ['plainjob', 'better-sqlite3'],
    label: 'plainjob, as it comes',
    how: 'main thread, addMany of 5,000',
    durability: 'WAL, synchronous NORMAL: synced at checkpoints only',
    jobs: 20_000,
    settings: { synchronous: 'NORMAL' },
    target: 20,
  },
  {
    program: 'plainjob',
    packages: ['plainjob', 'better-sqlite3'],
    label: 'plainjob, synced',
    how: 'the same',
    durability: 'WAL, synchronous FULL: every commit synced',
    jobs: 1500,
    settings: { synchronous: 'FULL' },
    target: 20,
  },
  {
    program: 'bree',
    packages: ['bree'],
    label: 'Bree',
    how: 'a new thread for every run, as many at once as cores',
    durability: NOT_STORED,
    jobs: 60,
  },
  {
    program: 'workerpool',
    packages: ['workerpool'],
    label: 'workerpool',
    how: 'a thread per core',
    durability: NOT_STORED,
    jobs: 40_000,
  },
  {
    program: 'poolifier',
    packages: ['poolifier'],
    label: 'poolifier',
    how: 'fixed pool, a thread per core, without events',
    durability: NOT_STORED,
    jobs: 80_000,
  },
  {
    program: 'p-queue',
    packages: ['p-queue'],
    label: 'p-queue',
    how: 'main thread, in memory, concurrency 64',
    durability: NOT_STORED,
    jobs: 100_000,
  },
  {
    program: 'fastq',
    packages: ['fastq'],
    label: 'fastq',
    how: 'main thread, in memory, concurrency 64',
    durability: NOT_STORED,
    jobs: 400_000,
  },
]

const task = childTask<{ jobs: number }>()
if (task === undefined) await main()
else await runMillrace(task)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      only: { type: 'string' },
    },
  })
  const only = values.only?.split(',')
  const scale = Number(values.scale)
  const rounds = Number(values.rounds)
  const chosen = peers.filter(({ program }) => only === undefined || only.includes(program))
  const servers = new Map<string, Server>()
  try {
    const redis = await startRedis()
    if (redis !== undefined) servers.set('redis', redis)
    const postgres = await startPostgres()
    if (postgres !== undefined) servers.set('postgres', postgres)
    const present: Peer[] = []
    for (const peer of chosen) {
      const missing = whatIsMissing(peer, servers) ?? (await tryOut(peer, servers))
      if (missing === undefined) present.push(peer)
      else console.log(`skipped: ${peer.label}: ${missing}`)
    }
    await compare(present, servers, rounds, scale)
  } finally {
    for (const server of servers.values()) await server.stop()
  }
}

async function compare(
  present: readonly Peer[],
  servers: ReadonlyMap<string, Server>,
  rounds: number,
  scale: number,
): Promise<void> {
  const ownJobs = Math.round(300_000 * scale)
  const contestants: Contestant[] = [
    {
      name: 'Millrace',
      run: async () => (await runSelf<{ jobsPerSecond: number }>(import.meta.url, { jobs: ownJobs })).jobsPerSecond,
    },
    ...present.map((peer) => ({ name: peer.label, run: () => run(peer, Math.ceil(peer.jobs * scale), servers) })),
  ]
  // Every run is a fresh process that warms up by itself.
  const measured = await interleave(contestants, rounds, 0)
  const own = measured[0]!
  console.log(`\n${surroundings()}\n${rounds} rounds, a fresh process per run, payload ~90 bytes\n`)
  const rows = measured.map((entry, index) => {
    const peer = present[index - 1]
    const rates = [entry.median < 1000 ? entry.median.toFixed(0) : thousands(entry.median)]
    const spread = [entry.low, entry.high].map((rate) => (rate < 1000 ? rate.toFixed(0) : thousands(rate))).join(' – ')
    if (peer === undefined)
      return [
        'Millrace',
        `${THREADS} threads, enqueueMany of 5,000`,
        'every commit synced',
        String(ownJobs),
        ...rates,
        spread,
        '',
        '',
      ]
    const target = peer.target === undefined ? '' : `≥ ${peer.target} ×`
    const name = `${peer.label} ${versions(peer, servers)}`
    const jobs = String(Math.ceil(peer.jobs * scale))
    return [name, peer.how, peer.durability, jobs, ...rates, spread, `${format(ratio(own, entry))} ×`, target]
  })
  console.log(
    table(['', 'how', 'durability', 'jobs a run', 'jobs/s, median', 'lowest – highest', 'Millrace is faster by', 'target'], rows),
  )
}

/** What is not there, and how to get it. */
function whatIsMissing(peer: Peer, servers: ReadonlyMap<string, Server>): string | undefined {
  if (!peer.packages.every((name) => existsSync(new URL(`node_modules/${name}/package.json`, PEERS))))
    return `its package is not installed: ${GET_PACKAGES}`
  if (peer.needs === 'redis' && !servers.has('redis')) return 'no redis-server found: apt-get install redis-server'
  if (peer.needs === 'postgres' && !servers.has('postgres'))
    return 'no PostgreSQL server found, or no user postgres to run it as: apt-get install postgresql'
  return undefined
}

/** A few jobs, to see whether it runs here at all. */
async function tryOut(peer: Peer, servers: ReadonlyMap<string, Server>): Promise<string | undefined> {
  try {
    await run(peer, 8, servers)
    return undefined
  } catch (error) {
    return `it does not run here (${GET_PACKAGES}?): ${(error as Error).message}`
  }
}

async function run({ program, settings }: Peer, jobs: number, servers: ReadonlyMap<string, Server>): Promise<number> {
  const given = { jobs, settings, redisPort: servers.get('redis')?.port, postgresPort: servers.get('postgres')?.port }
  const { jobsPerSecond } = await runProgram<{ jobsPerSecond: number }>(new URL(`${program}.mjs`, PEERS), given)
  return jobsPerSecond
}

function versions({ packages, needs }: Peer, servers: ReadonlyMap<string, Server>): string {
  const own = packages.map((name) => {
    const file = new URL(`node_modules/${name}/package.json`, PEERS)
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
  })
  const [version = '', driver] = own
  const others = driver === undefined ? [] : [`${packages[1] ?? ''} ${driver}`]
  if (needs !== undefined) others.push(`${needs === 'redis' ? 'Redis' : 'PostgreSQL'} ${servers.get(needs)?.version ?? ''}`)
  return others.length === 0 ? version : `${version} (${others.join(', ')})`
}

function format(times: number): string {
  return times >= 100 ? times.toFixed(0) : times.toFixed(1)
}

/** Millrace's own run, in a process of its own as its peers', with the same warm-up: a quarter of the jobs. */
async function runMillrace({ jobs }: { jobs: number }): Promise<void> {
  const directory = temporaryDirectory()
  const executor = await openExecutor({ path: directory.path, jobs: [noop], threads: THREADS })
  const run = async (count: number): Promise<number> => {
    const inputs = Array.from({ length: count }, (_, id) => noopInput(id))
    const began = performance.now()
    for (let from = 0; from < count; from += 5000) await executor.enqueueMany(noop, inputs.slice(from, from + 5000))
    await executor.drain()
    return performance.now() - began
  }
  await run(Math.ceil(jobs / 4))
  const ms = await run(jobs)
  await executor.close()
  directory.remove()
  await tellParent({ jobsPerSecond: (jobs / ms) * 1000 })
}
