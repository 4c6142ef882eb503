/** Looks at everything once nothing moves any more, and holds it against the model. */
import { isDeepStrictEqual } from 'node:util'
import type { JobInfo } from '../../../src/index.js'
import { JOB_STATES } from '../../../src/job/job-info.js'
import { statisticsProblems } from '../../support/recount.js'
import { checkStore } from '../../support/store-check.js'
import { QUEUES, type History, type QueueName } from './history.js'
import { isLimited, limitProblems, rateProblems, weightOf } from './limits.js'
import type { ModelJob, QueueSetting, Window } from './model.js'
import { configured, type World } from './world.js'

/** Looks that must agree. */
const STILL = 2

/**
 * Waits until nothing moves: each running job waits at its gate, and no job waits that could run. Gives the jobs, or what hangs.
 */
async function settle(world: World, { threads }: History, window: Window): Promise<JobInfo[] | string> {
  const startedMs = performance.now()
  let still = 0
  let before: JobInfo[] = []
  for (;;) {
    const commits = world.commits
    const infos = await world.listed()
    world.observe(infos, (job, by) => {
      if (window.cancels.has(job)) window.cancels.add(by)
    })
    const moves = whatMoves(infos, world, threads)
    still = commits === world.commits && moves === undefined && isDeepStrictEqual(infos, before) ? still + 1 : 0
    if (still >= STILL) return infos
    before = infos
    if (performance.now() - startedMs > world.hangMs) return moves ?? 'it never comes to rest'
    if (moves !== undefined) await world.stirred()
  }
}

/** Why this is not yet the end of what happens by itself. */
function whatMoves(infos: readonly JobInfo[], world: World, threads: number): string | undefined {
  const held = infos.filter(({ state }) => state === 'running')
  const now = world.clock.now()
  for (const info of infos) {
    const job = jobOf(info, world)
    if (info.state === 'running' && !(job !== undefined && world.arrived.has(job.input.key)))
      return `${info.id} runs and does not end`
    if (info.runAt !== undefined && info.runAt <= now) return `${info.id} is due and stays ${info.state}`
    if (job !== undefined && job.runs.length < ended(info)) return `${info.id} ended a run that nobody saw`
  }
  // After a crash every suspect runs alone; until the last of them has, nothing is promised while a gate is shut.
  const setting = ({ queue }: JobInfo): QueueSetting | undefined => world.settings.get(queue as QueueName)
  const isPaused = (info: JobInfo): boolean => setting(info)?.paused === true
  const suspects = infos.some(
    (info) =>
      // One that runs goes on, and runs alone, when its queue is paused.
      isWaiting(info.state) && (info.state === 'running' || !isPaused(info)) && isSuspect(info.attempts.at(-1)?.outcome),
  )
  const load = (running: readonly JobInfo[]): number =>
    running.reduce((sum, info) => sum + weightOf(info, threads, setting(info)?.concurrency ?? Infinity), 0)
  if (load(held) >= threads || (suspects && held.length > 0)) return undefined
  const available = infos.filter((info) => info.state === 'available' && !isPaused(info))
  // One that counts as several threads keeps others from them until it has enough.
  if (held.length > 0 && available.some(({ weight = 1 }) => weight > 1)) return undefined
  const isFull = (info: JobInfo): boolean =>
    load(held.filter(({ queue }) => queue === info.queue)) >= (setting(info)?.concurrency ?? Infinity)
  const able = available.find((info) => !isFull(info) && !isLimited(info, infos))
  return able === undefined ? undefined : `${able.id} could run and does not`
}

function isWaiting(state: string): boolean {
  return state === 'available' || state === 'running'
}

function isSuspect(outcome: string | undefined): boolean {
  return outcome === 'interrupted' || outcome === 'crashed'
}

/** Runs that must have been seen to begin. A timeout may strike while a handler is being loaded. */
function ended({ attempts }: JobInfo): number {
  return attempts.filter(({ outcome }) => !isSuspect(outcome) && outcome !== 'cancelled' && outcome !== 'timedOut').length
}

/** Everything that is wrong. */
export async function audit(world: World, history: History, window: Window): Promise<string[]> {
  if ([...window.retries].some((job) => (job.isOver || window.killed) && window.cancels.has(job))) world.hasUnseenEnds = true
  const wrongQueues = await lookAtQueues(world, window)
  const infos = await settle(world, history, window)
  if (typeof infos === 'string') return [...wrongQueues, infos]
  const problems = [...wrongQueues, ...world.problems.splice(0)]
  const listed = new Set<ModelJob>()
  for (const info of infos) {
    const job = jobOf(info, world)
    if (job === undefined || job.absent) problems.push(`job ${info.id} is in the store, and nobody enqueued it`)
    else if (listed.has(job)) problems.push(`job ${job.input.key} is listed twice`)
    else if (job.pruned) problems.push(`job ${job.input.key} was gone, and is ${info.state}`)
    else {
      world.know(job, info.id)
      listed.add(job)
      for (const problem of job.explain(info, window)) problems.push(`job ${job.input.key} ${problem}`)
    }
  }
  for (const job of world.jobs) if (!listed.has(job)) problems.push(...missing(job, infos, history, window))
  // What is gone waits no more.
  problems.push(...world.order.look(world.jobs, { ...window, threads: history.threads }))
  const held = infos.filter(({ state }) => state === 'running')
  problems.push(...limitProblems(held, history.threads, world.isRebounded))
  const own = infos.filter((info) => jobOf(info, world)?.unique === undefined)
  if (!world.hasJumped) problems.push(...rateProblems(own, (info) => jobOf(info, world)?.isTold === true))
  problems.push(...(await countsAndGets(infos, world)))
  if (history.retain === 'all' && !world.purged && !world.hasUnseenEnds)
    problems.push(...statisticsProblems(world.executor, infos, atWork(infos, world), (info) => jobOf(info, world)?.ends ?? []))
  problems.push(...checkStore(world.engine, { crashed: true, keepsAll: history.retain === 'all' && !world.purged }))
  for (const job of world.jobs) job.retryAsked = false
  for (const job of world.jobs)
    // One that another has taken the place of has no end of its own; it may have had one before it was brought back.
    if (
      job.seen?.finishedAt !== undefined &&
      job.told === undefined &&
      job.replacedBy === undefined &&
      !window.killed &&
      !crashed(job)
    )
      problems.push(`job ${job.input.key} is ${job.seen.state}, and nobody was told`)
  return problems
}

/** Those that have begun: every running job waits at its gate. */
function atWork(infos: readonly JobInfo[], world: World): Set<string> {
  const begun = infos.filter((info) => info.state === 'running' && world.arrived.has(jobOf(info, world)?.input.key ?? -1))
  return new Set(begun.map(({ id }) => id))
}

/** What is set of each queue is what was asked for, or was before when there was no answer. */
async function lookAtQueues(world: World, window: Window): Promise<string[]> {
  const problems: string[] = []
  for (const queue of QUEUES) {
    const before = world.settings.get(queue) ?? configured(queue)
    const { paused, concurrency } = await readQueue(world, queue)
    const allowed = window.settings.get(queue) ?? [before]
    if (!allowed.some((setting) => isDeepStrictEqual(setting, { paused, concurrency })))
      problems.push(
        `queue ${queue} is ${JSON.stringify({ paused, concurrency: String(concurrency) })}, and may be ${JSON.stringify(allowed)}`,
      )
  }
  return problems
}

/** Whoever looks at what moves knows from now on what is set of the queue. */
async function readQueue(world: World, queue: QueueName): Promise<QueueSetting> {
  const { paused, concurrency } = await world.executor.queue(queue).info()
  world.settings.set(queue, { paused, concurrency })
  return { paused, concurrency }
}

/** The calls of the command have been answered, and it goes on. Waits until nothing moves. Gives what hangs. */
export async function settleAmid(world: World, history: History, window: Window): Promise<string[]> {
  for (const queue of window.settings.keys()) await readQueue(world, queue)
  const infos = await settle(world, history, window)
  return typeof infos === 'string' ? [infos] : []
}

/** A job over whose end a process may have died. */
function crashed({ seen, unheard }: ModelJob): boolean {
  return unheard || (seen?.crashes ?? 0) > 0
}

function jobOf({ id, input }: JobInfo, world: World): ModelJob | undefined {
  return world.byId.get(id) ?? world.jobs[(input as { readonly key?: number } | undefined)?.key ?? -1]
}

/** A job that is not in the list. */
function missing(job: ModelJob, infos: readonly JobInfo[], { retain }: History, { killed, purges, retries }: Window): string[] {
  if (job.absent || job.pruned) return []
  if (purges.has(job.settings.queue)) {
    job.pruned = true
    return []
  }
  if (!job.acknowledged && job.seen === undefined) {
    // Its call was cut off, and left nothing: that is so for good.
    job.absent = true
    return []
  }
  const { key } = job.input
  if (retain === 'all') return [`job ${key} is lost`]
  const state = job.told ?? job.seen?.state
  job.pruned = true
  if (state === undefined || job.told === undefined)
    return killed || job.seen?.finishedAt !== undefined ? [] : [`job ${key} is lost`]
  // Some of those that made it go may have been brought back.
  if (retries.size > 0) return []
  const kept = infos.filter((info) => info.state === state).length
  return kept === retain ? [] : [`job ${key} was ${state} and is gone, though only ${kept} of ${retain} are kept`]
}

/** `counts`, `get` and `list` say the same. */
async function countsAndGets(infos: readonly JobInfo[], { executor }: World): Promise<string[]> {
  const problems: string[] = []
  const counts = await executor.counts()
  for (const state of JOB_STATES) {
    const listed = infos.filter((info) => info.state === state).length
    if (counts[state] !== listed) problems.push(`counts() says ${counts[state]} ${state}, list() gives ${listed}`)
  }
  const got = await Promise.all(infos.map(({ id }) => executor.get(id)))
  for (const [index, info] of infos.entries())
    if (!isDeepStrictEqual(got[index], info)) problems.push(`get() and list() do not agree on ${info.id}`)
  return problems
}
