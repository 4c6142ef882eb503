/**
 * How much work a thread is given ahead, and how long its outcomes may wait for company.
 *
 * A commit costs about a millisecond of processor time whatever it holds, and while every thread is busy that is taken from the
 * jobs. So while more work waits than the threads hold, a turn comes when a thread is about to run out, and no sooner: it settles
 * what has finished everywhere and fills every thread to the same height. The longer the jobs, the longer the intervals.
 */
import { clamp } from '../base/limits.js'

/** A thread with less than this ahead is filled: what a commit takes, and the error of an estimate. */
const LOW_MS = { least: 5, most: 50 } as const
/** Outcomes wait no longer than this since the last turn, while every thread is busy and more work waits. */
const GATHER_MS = { least: 20, most: 100 } as const
/** In run times of a job. */
const GATHER_JOBS = 6
/** A thread is filled in passing when less than this share of the way down to `lowMs` is left to go. */
const TOP_UP = 0.75

/** In ms of thread time, for jobs that take `jobMs`. */
export function lowMs(jobMs: number): number {
  return clamp(jobMs, LOW_MS.least, LOW_MS.most)
}

/** The time between two turns while the threads are busy, in ms. */
export function gatherMs(jobMs: number): number {
  return clamp(jobMs * GATHER_JOBS, GATHER_MS.least, GATHER_MS.most)
}

/** What a thread is filled to, in ms of its time. */
export function horizonMs(jobMs: number): number {
  return lowMs(jobMs) + gatherMs(jobMs)
}

/** Whether a thread that holds `heldMs` of such jobs is filled when a turn comes by. */
export function wantsMore(heldMs: number, jobMs: number): boolean {
  return heldMs <= lowMs(jobMs) + gatherMs(jobMs) * TOP_UP
}
