/**
 * Threads are ended, by timeouts, cancels and `process.exit`, while as much is enqueued and completed as the store takes. Some producers
 * need threads and wait for them; the writers need none, and keep a commit under way from the first termination to the last.
 */
import { createPrng } from '../../support/prng.js'
import { endless, exits, good, loop } from '../../fixtures/torture/victims.js'
import { Arena, completes, discards } from './arena.js'

export interface TerminationFigures {
  readonly terminations: number
  readonly goodJobs: number
  readonly commits: number
  /** Of the threads, in percent: those that were gone while a commit was under way. */
  readonly goneInCommitPercent: number
}

/** Victims that wait or run at a time. */
const VICTIMS = 6
const GOOD_AT_ONCE = 50
/** Calls that are always under way. */
const WRITERS = 4
const WRITTEN_BYTES = { from: 1000, to: 40_000 }
/** Nobody waits for the jobs of the writers: each is replaced again and again, and cancelled in the end. */
const FAR = '1h'
const TIMED_OUT = 'MILLRACE_TIMEOUT'
const EXITED = 'MILLRACE_PROCESS_EXIT'

/** Ends at least `wanted` threads. */
export async function terminations(
  wanted: number,
  seed: number,
  tell: (line: string) => void,
): Promise<{ readonly figures: TerminationFigures; readonly violations: readonly string[] }> {
  const arena = await Arena.open({ jobs: [endless, exits, good, loop], threads: 3 })
  const { executor } = arena
  const random = createPrng(seed)
  let demanded = 0
  let goodJobs = 0
  let victimsLeft = true
  let isBroken = false
  void arena.brokenOff.then(() => (isBroken = true))
  // A job may begin before its handle is there.
  const begun = new Set<string>()
  const waiting = new Map<string, () => void>()
  executor.on('started', ({ job }) => {
    if (job.name !== endless.name) return
    begun.add(job.id)
    waiting.get(job.id)?.()
  })

  const cancelOne = async (): Promise<void> => {
    demanded++
    const job = await executor.enqueue(endless, demanded)
    arena.expect(job.id, { state: 'cancelled', attempts: ['1 cancelled'] })
    const began = new Promise<void>((resolve) => waiting.set(job.id, resolve))
    if (!begun.has(job.id)) await until(arena, began)
    waiting.delete(job.id)
    if (isBroken) return
    if (!(await until(arena, executor.cancel(job.id)))) arena.blame(`${job.id}: cancel said that it was over already`)
  }
  const endOne = async (): Promise<void> => {
    const retries = random.below(2)
    const isLoop = random.below(2) === 0
    demanded += retries + 1
    const job = await executor.enqueue(isLoop ? loop : exits, demanded, { maxRetries: retries })
    arena.expect(job.id, isLoop ? discards('timedOut', retries, TIMED_OUT) : discards('failed', retries, EXITED))
    await until(
      arena,
      job.result().catch(() => undefined),
    )
  }
  const victim = async (): Promise<void> => {
    while (demanded < wanted && !isBroken) {
      await (random.below(4) === 0 ? cancelOne() : endOne())
      if (demanded % 100 === 0) tell(`${demanded} of ${wanted} threads ended, ${goodJobs} good jobs`)
    }
  }
  const producer = async (): Promise<void> => {
    while (victimsLeft && !isBroken) {
      const inputs = Array.from({ length: GOOD_AT_ONCE }, () => ({ n: goodJobs++, ms: random.below(8) === 0 ? 1 : 0 }))
      const handles = await executor.enqueueMany(good, inputs)
      for (const [index, { id }] of handles.entries()) arena.expect(id, completes(inputs[index]?.n))
      await until(arena, Promise.all(handles.map((job) => job.result())))
    }
  }
  const producers = Promise.all([producer(), producer()])
  const writer = async (_: unknown, which: number): Promise<void> => {
    const unique = { key: `writer ${which}`, onConflict: 'replace' } as const
    let id: string | undefined
    while (victimsLeft && !isBroken) {
      const bytes = WRITTEN_BYTES.from + random.below(WRITTEN_BYTES.to - WRITTEN_BYTES.from)
      const job = await executor.enqueue(good, { n: which, pad: 'x'.repeat(bytes) }, { delay: FAR, unique })
      if (id !== undefined && job.id !== id) arena.blame(`writer ${which}: job ${job.id} instead of ${id}, which waits`)
      ;({ id } = job)
    }
    if (id === undefined) return
    arena.expect(id, { state: 'cancelled', attempts: [] })
    await until(arena, executor.cancel(id))
  }
  const writers = Promise.all(Array.from({ length: WRITERS }, writer))
  await Promise.all(Array.from({ length: VICTIMS }, victim))
  victimsLeft = false
  await Promise.all([producers, writers])
  await arena.drained()
  await arena.judge()
  if (!isBroken && arena.threadsEnded !== demanded)
    arena.blame(`${arena.threadsEnded} threads ended, and ${demanded} had to: one for each termination, no more and no less`)
  const { commits, goneInCommit, threadsEnded } = arena
  await arena.close()
  const goneInCommitPercent = Math.round((100 * goneInCommit) / Math.max(1, threadsEnded))
  return { figures: { terminations: demanded, goodJobs, commits, goneInCommitPercent }, violations: arena.violations }
}

/** What a promise gives, or undefined when the storm is broken off first. */
async function until<T>(arena: Arena, promise: Promise<T>): Promise<T | undefined> {
  promise.catch(() => undefined)
  return await Promise.race([promise, arena.brokenOff.then(() => undefined)])
}
