/**
 * Storms: every job of a queue fails in the same way, while a second queue has good ones. The executor stays up and correct, does not
 * spin, and the good ones are not starved.
 */
import { pbkdf2Sync } from 'node:crypto'
import { BATCH_JOBS_UNMEASURED, BATCHES_PER_THREAD, THREAD_START_MS } from '../../../src/base/limits.js'
import type { Executor, ExecutorOptions, JobDefinition } from '../../../src/index.js'
import {
  badSetup,
  bufferEater,
  exits,
  exitsAtImport,
  good,
  heapEater,
  loop,
  native,
  unloadable,
} from '../../fixtures/torture/victims.js'
import { Arena, completes, discards, type Fate } from './arena.js'

interface Storm {
  readonly name: string
  readonly job: JobDefinition<number>
  /** Bad jobs in the quick form; the long form has ten times as many. */
  readonly jobs: number
  readonly retries: number
  readonly fate: (retries: number) => Fate
  readonly options?: Partial<ExecutorOptions>
  /** Whether every attempt ends a thread. */
  readonly endsThreads: boolean
  readonly input?: () => number
  /** Threads there may be at once; as many as the executor has unless told otherwise. */
  readonly threadsAtOnce?: number
}

const THREADS = 2
/** Shares of the commits: a claim and an outcome for each attempt, a promotion, and one for what the good ones do meanwhile. */
const COMMITS_PER_ATTEMPT = 4
/** What threads may have in hand when it turns out how long it takes: jobs whose run time is unknown, and two batches each. */
const ATTEMPTS_IN_HAND = BATCH_JOBS_UNMEASURED + THREADS * BATCHES_PER_THREAD
/** How often the main thread may look what its threads have to tell. Four times were the most that was seen. */
const LOOKS_PER_COMMIT = 10
const LOOKS_BESIDE = 50
/** How much of the main thread's time a storm may take in which it has nothing to do but wait. */
const BUSY_SHARE = 0.5

export const STORMS: readonly Storm[] = [
  {
    name: 'every job times out',
    job: loop,
    jobs: 12,
    retries: 1,
    fate: (retries) => discards('timedOut', retries, 'MILLRACE_TIMEOUT'),
    endsThreads: true,
  },
  {
    name: 'every job calls process.exit',
    job: exits,
    jobs: 12,
    retries: 1,
    fate: (retries) => discards('failed', retries, 'MILLRACE_PROCESS_EXIT'),
    endsThreads: true,
  },
  {
    name: 'every setup throws',
    job: badSetup,
    jobs: 40,
    retries: 1,
    fate: (retries) => discards('failed', retries, 'MILLRACE_SETUP_FAILED'),
    endsThreads: false,
  },
  {
    name: 'every module throws at import',
    job: unloadable,
    jobs: 40,
    retries: 1,
    fate: (retries) => discards('failed', retries, 'MILLRACE_MODULE_FAILED'),
    endsThreads: false,
  },
  {
    name: 'every module exits at import',
    job: exitsAtImport,
    jobs: 12,
    retries: 0,
    fate: (retries) => discards('failed', retries, 'MILLRACE_PROCESS_EXIT'),
    endsThreads: true,
  },
  {
    name: 'every heap overflows',
    job: heapEater,
    jobs: 3,
    retries: 0,
    fate: (retries) => discards('failed', retries, 'MILLRACE_OUT_OF_MEMORY'),
    options: { resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 } },
    endsThreads: true,
  },
  {
    name: 'every Buffer is refused',
    job: bufferEater,
    jobs: 20,
    retries: 0,
    fate: (retries) => ({ state: 'discarded', attempts: discards('failed', retries, '').attempts }),
    endsThreads: false,
  },
  {
    name: 'native code holds every thread',
    job: native,
    jobs: 3,
    retries: 0,
    fate: (retries) => discards('timedOut', retries, 'MILLRACE_TIMEOUT'),
    options: { maxStuckThreads: 1 },
    endsThreads: true,
    input: () => iterationsFor(900),
    threadsAtOnce: THREADS + 1,
  },
]

/**
 * The thread time of the bad ones up to the end of the last good one, and what it may be: as much as the good ones had, and what was in
 * hand. As the queues are charged, by what attempts took, and the start of another thread for each that ended one.
 */
async function shares(
  executor: Executor,
  endsThreads: boolean,
): Promise<{ readonly badMs: number; readonly badMsAtMost: number }> {
  const badOnes: { readonly endedAt: number; readonly ms: number }[] = []
  let goodMs = 0
  let goodOnes = 0
  let goodUntil = 0
  for await (const { name, attempts } of executor.list()) {
    for (const { startedAt, endedAt } of attempts) {
      const ms = endedAt - startedAt
      if (name !== good.name) badOnes.push({ endedAt, ms: ms + (endsThreads ? THREAD_START_MS : 0) })
      else {
        goodMs += ms
        goodOnes++
        goodUntil = Math.max(goodUntil, endedAt)
      }
    }
  }
  const sum = (some: readonly { readonly ms: number }[]): number => some.reduce((total, { ms }) => total + ms, 0)
  const longest = badOnes.toSorted((left, right) => right.ms - left.ms).slice(0, ATTEMPTS_IN_HAND)
  // Instants are whole milliseconds.
  const rounding = goodOnes + badOnes.length
  return { badMs: sum(badOnes.filter(({ endedAt }) => endedAt <= goodUntil)), badMsAtMost: goodMs + sum(longest) + rounding }
}

export interface StormFigures {
  readonly attempts: number
  readonly goodJobs: number
  readonly commits: number
  /** Of the main thread, what its threads have to tell. */
  readonly looks: number
  /** Bad jobs that were over when the good ones were. */
  readonly badBeforeGood: number
  /** Thread time of the bad ones until then, in ms, and the most that is fair. */
  readonly badMs: number
  readonly badMsAtMost: number
}

/** @param scale - how many times the jobs of the quick form */
export async function runStorm(
  storm: Storm,
  scale: number,
): Promise<{ readonly figures: StormFigures; readonly violations: readonly string[] }> {
  const { job, jobs, retries, fate, options, endsThreads, input, threadsAtOnce = THREADS } = storm
  const count = jobs * scale
  const arena = await Arena.open({ jobs: [job, good], threads: THREADS, ...options })
  const { executor } = arena
  let badOver = 0
  executor.on('discarded', () => badOver++)
  const value = input?.()
  const before = performance.eventLoopUtilization()
  const bad = await executor.enqueueMany(
    job,
    Array.from({ length: count }, (_, index) => value ?? index),
    { maxRetries: retries },
  )
  for (const { id } of bad) arena.expect(id, fate(retries))
  // Behind the bad ones, in a queue of their own: a turn each, and not when those are done.
  const inputs = Array.from({ length: 20 * scale }, (_, n) => ({ n, ms: 1 }))
  const goods = await executor.enqueueMany(good, inputs)
  for (const [n, { id }] of goods.entries()) arena.expect(id, completes(n))
  const goodOnes = Promise.all(goods.map((handle) => handle.result()))
  goodOnes.catch(() => undefined)
  await Promise.race([goodOnes, arena.brokenOff])
  const badBeforeGood = badOver
  await arena.drained()
  const { utilization } = performance.eventLoopUtilization(before)
  await arena.judge()
  const { badMs, badMsAtMost } = await shares(executor, endsThreads)
  const attempts = count * (retries + 1)
  const { commits, looks, mostThreads } = arena
  if (arena.violations.length === 0) {
    if (badMs > badMsAtMost)
      arena.blame(
        `starved: before the good ones were done, bad ones had ${badMs} ms of the threads, and ${badMsAtMost} are their share`,
      )
    const most = COMMITS_PER_ATTEMPT * attempts + 2 * inputs.length + 10
    if (commits > most) arena.blame(`spins: ${commits} commits for ${attempts} attempts and ${inputs.length} good jobs`)
    if (looks > LOOKS_PER_COMMIT * commits + LOOKS_BESIDE)
      arena.blame(`spins: the main thread looked ${looks} times what its threads have to tell, in ${commits} commits`)
    if (input !== undefined && utilization > BUSY_SHARE)
      arena.blame(`spins: the main thread was busy for ${Math.round(utilization * 100)} % of a storm of waiting`)
    if (mostThreads > threadsAtOnce) arena.blame(`${mostThreads} threads at once, of ${threadsAtOnce} that there may be`)
    const ended = arena.threadsEnded
    if (ended !== (endsThreads ? attempts : 0)) arena.blame(`${ended} threads ended in ${attempts} attempts`)
  }
  await arena.close()
  return {
    figures: { attempts, goodJobs: inputs.length, commits, looks, badBeforeGood, badMs, badMsAtMost },
    violations: arena.violations.map((violation) => `${storm.name}: ${violation}`),
  }
}

/** By the fastest of several tries: what else runs here must not make the call end too early. */
function iterationsFor(ms: number): number {
  const tries = Array.from({ length: 4 }, () => {
    const begin = performance.now()
    pbkdf2Sync('a', 'b', 20_000, 64, 'sha512')
    return performance.now() - begin
  })
  return Math.ceil((20_000 * ms) / Math.min(...tries))
}
