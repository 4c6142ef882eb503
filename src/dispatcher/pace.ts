/**
 * How much work a thread is given ahead, and how long its outcomes may wait for company.
 *
 * A commit costs about a millisecond of processor time whatever it holds, and while every thread is busy that is taken from the
 * jobs. So while more work waits than the threads hold, a turn comes when a thread is about to run out, and no sooner: it settles
 * what has finished everywhere and fills every thread to the same height. The longer the jobs, the longer the intervals; the slower
 * the disk, the earlier a thread is filled.
 */
import { clamp } from '../base/limits.js'

/** A thread with less than this ahead is filled: what planning and handing over take, and the error of an estimate. */
const LOW_MS = { least: 5, most: 50 } as const
/** Outcomes wait no longer than this since the last turn, while every thread is busy and more work waits. */
const GATHER_MS = { least: 80, most: 250 } as const
/** In run times of a job. */
const GATHER_JOBS = 16
/** A thread is filled in passing when less than this share of the way down to `lowMs` is left to go. */
const TOP_UP = 0.75
/** A turn reckons with a commit that takes twice as long as they do on average, and not with more than this. */
const COMMIT_MS_MOST = 100
/** Weight of the latest commit in that average. */
const WEIGHT = 0.1

/** The time between two turns while the threads are busy, in ms, for jobs that take `jobMs`. */
export function gatherMs(jobMs: number): number {
  return clamp(jobMs * GATHER_JOBS, GATHER_MS.least, GATHER_MS.most)
}

export class Pace {
  #commitMs = 0

  /** A turn took so long from its beginning until what it claimed was sent. */
  turnTook(ms: number): void {
    this.#commitMs += (Math.min(ms, COMMIT_MS_MOST) - this.#commitMs) * WEIGHT
  }

  /** A thread that has less ahead, in ms of its time, is about to run out. */
  lowMs(jobMs: number): number {
    return clamp(jobMs, LOW_MS.least, LOW_MS.most) + 2 * this.#commitMs
  }

  /** What a thread is filled to, in ms of its time. */
  horizonMs(jobMs: number): number {
    return this.lowMs(jobMs) + gatherMs(jobMs)
  }

  /** Whether a thread that holds `heldMs` of such jobs is filled when a turn comes by. */
  wantsMore(heldMs: number, jobMs: number): boolean {
    return heldMs <= this.lowMs(jobMs) + gatherMs(jobMs) * TOP_UP
  }
}
