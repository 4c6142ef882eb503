/**
 * In which order jobs begin, as their handlers tell.
 *
 * With one thread it is exact: what waits unclaimed in the same queue
 * - with the same priority and limit key, and before another job, begins its first attempt before it: a place in the order is taken
 *   with the enqueue, by a delayed job when it becomes available; a job that takes another's place keeps that one's;
 * - with a higher priority, and without a limit key that could hold it back, begins before it, if it was waiting already when the
 *   threads were last at rest. A priority is higher if it is so by more steps than any job may have gained by waiting.
 * Of several threads each is handed the next jobs as a batch, and one may be slower than another: nothing is said of their runs.
 */
import { DEFAULT_AGEING_MS } from '../../../src/base/limits.js'
import type { ModelJob, Window } from './model.js'

interface Place {
  /** In the course of which command it was taken. */
  readonly command: number
  /** With the enqueue. Those taken in the same command in other ways are in an order that nobody promises. */
  readonly isImmediate: boolean
}

interface Look extends Window {
  readonly threads: number
}

export class StartOrder {
  /** Pairs of jobs that were held against each other. */
  checked = 0
  #commands = 0
  #starts: ModelJob[] = []
  /** `undefined`: nothing is said of it. */
  readonly #places = new Map<ModelJob, Place | undefined>()
  /** Those that waited when the threads were last at rest. */
  #waited = new Set<ModelJob>()
  /** Those that were not over then: who waits may have waited as long as they. */
  #alive: readonly ModelJob[] = []

  /** A handler tells of a first attempt. */
  began(job: ModelJob): void {
    this.#starts.push(job)
  }

  /** The threads are at rest, and what jobs are has been seen. Gives what is wrong. */
  look(jobs: readonly ModelJob[], look: Look): string[] {
    const starts = this.#starts
    this.#starts = []
    this.#commands++
    for (const job of jobs) this.#find(job)
    const waiting = jobs.filter((job) => isWaiting(job))
    const problems = look.killed || look.threads > 1 ? [] : this.#check(starts, waiting, look)
    this.#waited = new Set(waiting)
    this.#alive = jobs.filter(({ isOver, absent }) => !isOver && !absent)
    return problems
  }

  #find(job: ModelJob): void {
    // One whose place was taken at once hands it on.
    const isGone = job.absent && job.replacedBy === undefined
    if (this.#places.has(job) || isGone || job.id === undefined) return
    const { took } = job
    if (took !== undefined && (job.tellsWhen || took.settings.limit !== job.settings.limit || !this.#known(took)))
      this.#places.set(job, undefined)
    else if (took !== undefined && this.#places.has(took)) this.#places.set(job, this.#places.get(took))
    else if (job.settings.delayMs <= 0) this.#places.set(job, { command: this.#commands, isImmediate: true })
    else if (job.seen !== undefined && job.seen.state !== 'scheduled')
      this.#places.set(job, { command: this.#commands, isImmediate: false })
  }

  /** Whether something is said of it, or will be. */
  #known(job: ModelJob): boolean {
    return !this.#places.has(job) || this.#places.get(job) !== undefined
  }

  #check(starts: readonly ModelJob[], waiting: readonly ModelJob[], look: Look): string[] {
    const problems: string[] = []
    // Who is brought back may have waited for ever.
    const steps = look.retries.size > 0 ? Infinity : mostSteps(this.#alive, Math.max(...look.walls))
    const told = starts.filter((job) => !job.mayBeBack && !wasHeld(job) && (!look.disturbed || job.isTold))
    for (const [index, late] of told.entries()) {
      for (const first of [...told, ...waiting]) {
        if (first === late || !this.#comesFirst(first, late, steps)) continue
        this.checked++
        const at = told.indexOf(first)
        if (at >= 0 && at < index) continue
        const how = first.settings.priority === late.settings.priority ? 'enqueued first' : 'of higher priority'
        problems.push(
          `job ${late.input.key} began before job ${first.input.key}, which was ${how} in queue ${late.settings.queue}`,
        )
      }
    }
    return problems
  }

  #comesFirst(first: ModelJob, late: ModelJob, steps: number): boolean {
    const { queue, priority, limit } = first.settings
    if (queue !== late.settings.queue) return false
    if (priority !== late.settings.priority)
      return limit === undefined && this.#waited.has(first) && priority > late.settings.priority + steps
    if (limit !== late.settings.limit) return false
    const place = this.#places.get(first)
    const other = this.#places.get(late)
    if (place === undefined || other === undefined) return false
    if (place.command !== other.command) return place.command < other.command
    return place.isImmediate && other.isImmediate && (first.id ?? '') < (late.id ?? '')
  }
}

/** It waits for its first attempt. */
function isWaiting({ seen, runs, mayBeBack, absent, pruned }: ModelJob): boolean {
  return seen?.state === 'available' && seen.attempts.length === 0 && runs.length === 0 && !mayBeBack && !absent && !pruned
}

/** A thread held it when its process died. Suspects come before everything, those too that begin for the first time. */
function wasHeld({ seen }: ModelJob): boolean {
  return ['crashed', 'interrupted'].includes(seen?.attempts[0]?.outcome ?? '')
}

/** Steps of priority that any of these may have gained by now. */
function mostSteps(jobs: readonly ModelJob[], now: number): number {
  const since = Math.min(...jobs.map(({ seen }) => seen?.enqueuedAt ?? now))
  return Math.max(0, Math.floor((now - since) / DEFAULT_AGEING_MS))
}
