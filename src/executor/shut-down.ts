/**
 * How an executor ends, in stages: stop claiming → take back what no thread has started → wait `graceMs` → abort signals → wait
 * `abortGrace` → terminate → settle what was interrupted → teardowns → last commit → files.
 *
 * Each stage has an end, so the whole resolves whatever threads do: one that native code holds beyond its termination is given up, and
 * its job is available again. Only a disk is waited for as long as it takes to answer: what is under way there must not meet a closed file.
 */
import { MillraceError } from '../base/errors.js'
import { STUCK_AFTER_MS } from '../base/limits.js'
import type { Clock, Timer } from '../base/clock.js'
import type { ExecutorParts } from './parts.js'
import { runningJobs } from './running-jobs.js'

/** What `close` had to do. */
export interface CloseReport {
  /** Ids of jobs whose run was stopped. They are available again, uncharged, at the next open. */
  readonly interrupted: readonly string[]
}

export async function shutDown(parts: ExecutorParts, graceMs: number): Promise<CloseReport> {
  const { turns, dispatcher, ready, due, clock, store, results, events, intake } = parts
  const interrupted: string[] = []
  events.on('interrupted', ({ job }) => interrupted.push(job.id))
  turns.draining = true
  dispatcher.isClosing = true
  due.stop()
  parts.memory?.stop()
  if (turns.failure === undefined) {
    const quiet = new Quiet(parts)
    // They wait on, so that the store is not taken for drained.
    ready.putBack(dispatcher.slots.flatMap((slot) => [...slot.takeBack().values()].flat()))
    turns.poke()
    await quiet.within(graceMs)
    if (!quiet.reached) {
      for (const { batch, slot, index } of runningJobs(dispatcher)) {
        batch.interrupted.add(index)
        slot.abort(batch, index, 'The executor is closing.')
      }
      await quiet.within(parts.abortGraceMs)
    }
    if (!quiet.reached) {
      for (const slot of dispatcher.slots) if (slot.batches.length > 0) slot.terminate('close')
      await quiet.within(STUCK_AFTER_MS * 2)
    }
    if (!quiet.reached) {
      dispatcher.giveUp()
      // The commit under way may take longer than all of this: what has ended meanwhile is settled behind it, and not left to a rescue.
      await turns.settled()
      turns.poke()
      await quiet.within(STUCK_AFTER_MS)
    }
    await tearDown(parts)
    await within(STUCK_AFTER_MS, keepTimes(parts), clock)
  }
  intake.fail(turns.failure ?? new MillraceError('MILLRACE_CLOSED', 'The executor is closed.'))
  await within(STUCK_AFTER_MS, Promise.all(dispatcher.slots.map((slot) => slot.close())), clock)
  await turns.stop()
  results.abandon()
  await store.engine.close()
  await parts.release()
  return { interrupted }
}

/** Runs the teardowns of idle threads, for as long as a cancelled job would get. */
async function tearDown({ dispatcher, clock, abortGraceMs }: ExecutorParts): Promise<void> {
  const idle = dispatcher.slots.filter((slot) => slot.mode === 'open' && slot.batches.length === 0)
  await within(Math.max(abortGraceMs, STUCK_AFTER_MS), Promise.all(idle.map((slot) => slot.tearDown())), clock)
}

/** Stores the times measured in the last minute. */
async function keepTimes({ turns, store }: ExecutorParts): Promise<void> {
  if (turns.failure !== undefined || !store.stats.hasNewTimes) return
  await new Promise<void>((resolve) => {
    turns.request({
      run: ({ tidings }, writes) => {
        store.stats.writeTimes(writes)
        tidings.add(resolve)
      },
      reject: () => resolve(),
    })
  })
}

/** Waits for a stage, but no longer than `limitMs`; leaves no timer behind that would keep the process alive. */
async function within(limitMs: number, stage: Promise<unknown>, clock: Clock): Promise<void> {
  let timer: Timer | undefined
  const limit = new Promise<void>((resolve) => {
    timer = clock.after(limitMs, resolve)
    timer.setRef(true)
  })
  await Promise.race([stage, limit]).finally(() => timer?.cancel())
}

/** Waits until no batch is in flight and nothing is on its way into the store. */
class Quiet {
  readonly #parts: ExecutorParts

  constructor(parts: ExecutorParts) {
    this.#parts = parts
  }

  get reached(): boolean {
    const { turns } = this.#parts
    return turns.failure !== undefined || turns.isSettled
  }

  async within(delayMs: number): Promise<void> {
    if (this.reached) return
    const { clock, turns } = this.#parts
    await new Promise<void>((resolve) => {
      const timer = delayMs === Infinity ? undefined : clock.after(delayMs, done)
      timer?.setRef(true)
      const stop = turns.onTurn(() => {
        if (this.reached) done()
      })
      function done(): void {
        timer?.cancel()
        stop()
        resolve()
      }
    })
  }
}
