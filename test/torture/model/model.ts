/**
 * The model: what each job is allowed to be. It knows the documents, none of the code: settings by precedence, delays by their
 * formulas, and which outcome each act may have. Where the real thing may do either, the model allows both, holds what was seen
 * against that, and goes on from there.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import type { Attempt, JobInfo, JobState } from '../../../src/index.js'
import type { Enqueue, ModelBackoff, ModelUnique, QueueName } from './history.js'
import type { Input } from '../../fixtures/torture/model-jobs.js'
import { LIMITS, type LimitName } from './limits.js'
import { outputOf, singleKey } from '../../fixtures/torture/model-jobs.js'

/** Timeouts below this are meant to strike; those above never do. */
export const SHORT_MS = 1000
const MAX_INSTANT = 8_640_000_000_000_000
const ATTEMPTS_KEPT = 20

/** What has happened since the jobs were last looked at. */
export interface Window {
  /** The process died. */
  killed: boolean
  /** A thread may have been ended, and what it ran with it. */
  disturbed: boolean
  /** The wall clock's readings, and the present one. */
  readonly walls: Set<number>
  now: number
  /** Jobs whose cancellation was asked for, also without an answer. */
  readonly cancels: Set<ModelJob>
  /** Jobs that somebody wanted back, or at once. */
  readonly retries: Set<ModelJob>
  /** Of these, the ones that were said to be changed. */
  readonly retried: Set<ModelJob>
  /** Queues that were purged, also without an answer. */
  readonly purges: Set<string>
  /** What queues may be set to, as far as it was touched. */
  readonly settings: Map<QueueName, QueueSetting[]>
}

/** What an operator has set of a queue. */
export interface QueueSetting {
  readonly paused: boolean
  /** As it holds. */
  readonly concurrency: number
}

export function newWindow(wall: number): Window {
  return {
    killed: false,
    disturbed: false,
    walls: new Set([wall]),
    now: wall,
    cancels: new Set(),
    retries: new Set(),
    retried: new Set(),
    purges: new Set(),
    settings: new Map(),
  }
}

/** What precedence makes of the enqueue. */
interface Settings {
  readonly queue: string
  readonly priority: number
  readonly maxRetries: number
  readonly timeoutMs: number
  /** `Infinity`: none. */
  readonly softTimeoutMs: number
  readonly backoff: ModelBackoff
  /** From the enqueue, in ms; 0 or less: at once. */
  readonly delayMs: number
  /** From the enqueue, in ms. */
  readonly startBeforeMs: number
  readonly limit: LimitName | undefined
  readonly weight: number
}

export function settingsOf(enqueue: Enqueue, { key, times, afterMs }: Input): Settings {
  const defined = {
    work: { queue: 'default', priority: 0, maxRetries: 2, timeoutMs: 120_000, backoff: { type: 'fixed', delay: 5000 } },
    brief: { queue: 'other', priority: 1, maxRetries: 1, timeoutMs: 60, backoff: { type: 'exponential', base: 2 } },
    shaped: {
      queue: key % 2 === 0 ? 'narrow' : 'default',
      priority: (key % 3) - 1,
      maxRetries: times,
      timeoutMs: 180_000,
      backoff: { type: 'linear', step: afterMs },
    },
    single: { queue: 'default', priority: 0, maxRetries: 2, timeoutMs: 120_000, backoff: { type: 'fixed', delay: 5000 } },
  } as const
  const { queue, priority, maxRetries, timeoutMs, backoff } = defined[enqueue.definition]
  return {
    queue: enqueue.queue ?? queue,
    priority: enqueue.priority ?? priority,
    maxRetries: enqueue.maxRetries ?? maxRetries,
    timeoutMs: enqueue.timeout ?? timeoutMs,
    softTimeoutMs: enqueue.softTimeout ?? Infinity,
    backoff: enqueue.backoff ?? backoff,
    delayMs: enqueue.delay ?? enqueue.runAt ?? 0,
    startBeforeMs: deadlineMs(enqueue),
    limit: enqueue.limit,
    weight: enqueue.weight ?? 1,
  }
}

function deadlineMs({ startBefore, delay, runAt }: Enqueue): number {
  if (startBefore === undefined) return Infinity
  return startBefore.ms + (startBefore.span ? Math.max(0, delay ?? runAt ?? 0) : 0)
}

function backoffMs(backoff: ModelBackoff, retry: number): number {
  switch (backoff.type) {
    case 'fixed':
      return backoff.delay
    case 'linear':
      return backoff.step * retry
    case 'exponential':
      return backoff.base ** retry * 1000
  }
}

export type Over = 'completed' | 'cancelled' | 'discarded'

function uniqueOf({ definition, unique }: Enqueue, key: number): ModelUnique | undefined {
  if (unique !== undefined || definition !== 'single') return unique
  return { key: singleKey(key), while: 'incomplete', onConflict: 'return' }
}

export class ModelJob {
  readonly input: Input
  readonly name: string
  settings: Settings
  readonly unique: ModelUnique | undefined
  /** The enqueue says when the job is to run. */
  readonly tellsWhen: boolean
  /** When it was enqueued: one of these, until it is seen. */
  tried: ReadonlySet<number>
  /** Another one's input and settings have taken the place of its own; the id is that one's now. */
  replacedBy: ModelJob | undefined
  /** Whose place it took. */
  took: ModelJob | undefined
  /** It may take the place of another one in this window. */
  mayReplace = false
  /** Of the job that held its key, as its handle says. */
  heldBy: string | undefined
  id: string | undefined
  /** It must be there from now on. */
  acknowledged = false
  /** It was refused, or its call died unheard and left nothing: it must never be there. */
  absent = false
  /** A cancellation was acknowledged. */
  cancelled = false
  released = false
  /** What was told of its end. */
  told: Over | undefined
  toldByEvent = false
  /** It may have ended when nobody was left to tell. */
  unheard = false
  /** As last seen; of a job that is over, for ever. */
  seen: JobInfo | undefined
  /** It is over and not kept. */
  pruned = false
  /** Attempts its runs have told of, in order. */
  readonly runs: number[] = []
  /** How many of them there were when it was last seen. */
  #runsSeen = 0
  /** Somebody wants it back, and nobody has looked since. */
  retryAsked = false
  /** As what it had ended when it was brought back, and after how many attempts, each time. */
  readonly ends: { readonly state: JobState; readonly attempts: number }[] = []

  /** In real time. */
  readonly #madeAtMs = performance.now()

  constructor(enqueue: Enqueue, input: Input, walls: ReadonlySet<number>) {
    this.input = input
    this.name = enqueue.definition
    this.settings = settingsOf(enqueue, input)
    this.unique = uniqueOf(enqueue, input.key)
    this.tellsWhen = enqueue.delay !== undefined || enqueue.runAt !== undefined
    this.tried = walls
  }

  /** The job that has its id now. */
  get current(): ModelJob {
    return this.replacedBy === undefined ? this : this.replacedBy.current
  }

  /** Takes the place of a job that waits: its id, queue, priority and history, and its time unless this one tells another. */
  replace(job: ModelJob, now: number): void {
    const { queue, priority, delayMs } = job.settings
    this.settings = { ...this.settings, queue, priority, ...(!this.tellsWhen && { delayMs }) }
    this.seen = job.seen === undefined || !this.tellsWhen ? job.seen : putOff(job.seen, this.settings.delayMs, now)
    this.tried = job.tried
    this.runs.unshift(...job.runs)
    this.acknowledged ||= job.acknowledged
    this.unheard ||= job.unheard
    this.told = job.told
    this.toldByEvent = job.toldByEvent
    this.ends.push(...job.ends)
    this.retryAsked ||= job.retryAsked
    job.absent = true
    job.replacedBy = this
    this.took = job
  }

  get isOver(): boolean {
    return this.pruned || this.seen?.finishedAt !== undefined
  }

  /** Its runs end only when it is let go, or stopped. */
  get waitsAtGate(): boolean {
    const { act } = this.input
    if (this.#isSoftlyStopped) return false
    return (act === 'gate' || act === 'heed') && this.settings.timeoutMs >= SHORT_MS && !this.released
  }

  /** Its signal is aborted in the middle of each run, and it heeds that; nothing else does. */
  get #isSoftlyStopped(): boolean {
    return this.input.act === 'heed' && this.settings.softTimeoutMs < SHORT_MS
  }

  /** It never comes to its end by itself. */
  get isEndless(): boolean {
    return this.input.act === 'snooze' || this.seen?.runAt === MAX_INSTANT
  }

  /** Its thread may be ended for its sake. */
  get disturbs(): boolean {
    return this.settings.timeoutMs < SHORT_MS || this.input.act === 'exit'
  }

  /** Every attempt was told of by its handler: none was ended before that, and none is of a job that a dead process held unbegun. */
  get isTold(): boolean {
    const { seen, runs } = this
    return seen !== undefined && runs.length === seen.attempts.length + (seen.state === 'running' ? 1 : 0)
  }

  /** How many attempts it had when it was brought back, each time. */
  get lives(): number[] {
    return this.ends.map(({ attempts }) => attempts)
  }

  /** It has had an end, as far as anybody knows: nothing is said of its place in an order, nor of when it must begin. */
  get mayBeBack(): boolean {
    return this.ends.length > 0 || this.#isPerhapsBack
  }

  #isPerhapsBack = false

  /** It is brought back. An end that came since it was last seen is known by that alone. */
  revived(state: Over): void {
    if (this.seen !== undefined && this.seen.finishedAt === undefined) this.#endUnseen(state, this.seen)
  }

  /** The run that it was at has come to an attempt. */
  #endUnseen(state: Over, before: JobInfo): void {
    this.ends.push({ state, attempts: before.attempts.length + (before.state === 'running' ? 1 : 0) })
  }

  /** It was brought back: what was told of its end is no more. */
  forget(): void {
    this.told = undefined
    this.toldByEvent = false
    this.cancelled = false
  }

  /** What is wrong with how the job is shown. Takes it over as seen when nothing is. */
  explain(info: JobInfo, window: Window): string[] {
    const before = this.seen
    this.seen = info
    const problems = this.#explain(before, info, window)
    this.#runsSeen = this.runs.length
    return problems
  }

  #explain(before: JobInfo | undefined, info: JobInfo, window: Window): string[] {
    if (before?.finishedAt !== undefined) {
      const isSame = isDeepStrictEqual(before, info)
      const isBack = window.retried.has(this) && !window.cancels.has(this)
      // Of a history that is full, under a clock that stands, a run more may look the same. Then it has told of itself.
      const hasRun = this.runs.length > this.#runsSeen || this.disturbs
      const mayHaveRun = isBack && hasRun && before.attempts.length >= ATTEMPTS_KEPT
      if (isSame && isBack && !mayHaveRun) return [`was brought back, and is over as before`]
      if (isSame && !mayHaveRun) return []
      if (!(window.retries.has(this) || this.retryAsked) || before.state === 'completed')
        return [`was over as ${show(before)}, and is ${show(info)}`]
      this.ends.push({ state: before.state, attempts: before.attempts.length })
    }
    const problems = this.#judge(before, info, window)
    if (!window.killed || before?.finishedAt !== undefined || !window.retries.has(this) || !window.cancels.has(this))
      return problems
    // Perhaps it was cancelled and brought back, and died before anybody heard of it.
    this.#isPerhapsBack = true
    if (problems.length === 0 || before === undefined) return problems
    this.#endUnseen('cancelled', before)
    if (this.#judge(before, info, window).length === 0) return []
    this.ends.pop()
    return problems
  }

  #judge(before: JobInfo | undefined, info: JobInfo, window: Window): string[] {
    return [
      ...this.#constants(info),
      ...this.#history(before?.attempts ?? [], info, window),
      ...this.#state(before, info, window),
    ]
  }

  #constants(info: JobInfo): string[] {
    const { queue, priority, maxRetries, timeoutMs, limit, weight } = this.settings
    const shown = [info.name, info.queue, info.priority, info.maxRetries, info.timeoutMs, info.input, info.limitKey, info.weight]
    const problems: string[] = []
    const limitKey = limit === undefined ? undefined : LIMITS[limit].key
    const meant = [this.name, queue, priority, maxRetries, timeoutMs, this.input, limitKey, weight > 1 ? weight : undefined]
    for (const [index, value] of meant.entries())
      if (!isDeepStrictEqual(shown[index], value)) problems.push(`shows ${brief(shown[index])} instead of ${brief(value)}`)
    if (!this.tried.has(info.enqueuedAt)) problems.push(`was enqueued at ${info.enqueuedAt}`)
    return problems
  }

  #history(before: readonly Attempt[], { attempts, attempt, finishedAt }: JobInfo, window: Window): string[] {
    if (before.length >= ATTEMPTS_KEPT || attempts.length >= ATTEMPTS_KEPT) return []
    if (!isDeepStrictEqual(attempts.slice(0, before.length), before))
      return [`had the attempts ${before.map(line).join(', ')}, and has ${attempts.map(line).join(', ')}`]
    const problems: string[] = []
    let charged = 0
    for (const [index, each] of attempts.entries()) {
      if (this.lives.includes(index)) charged = 0
      if (each.attempt !== charged + 1)
        problems.push(`attempt ${index} is numbered ${each.attempt} after ${charged} charged ones`)
      if (each.outcome === 'failed' || each.outcome === 'timedOut') charged++
      if (index >= before.length && !this.#mayEnd(each, window))
        problems.push(`attempt ${line(each)} cannot end so: ${JSON.stringify(each.error)?.slice(0, 300)}`)
      const last = index === attempts.length - 1
      if (!last && !this.lives.includes(index + 1) && ['completed', 'cancelled'].includes(each.outcome))
        problems.push(`ran again after ${line(each)}`)
    }
    if (this.lives.includes(attempts.length)) charged = 0
    const next = finishedAt === undefined ? charged + 1 : (attempts.at(-1)?.attempt ?? 1)
    if (attempt !== next) problems.push(`shows attempt ${attempt} instead of ${next}`)
    return problems
  }

  #mayEnd({ attempt, outcome }: Attempt, { killed, disturbed, cancels }: Window): boolean {
    if (outcome === 'interrupted') return killed || disturbed
    if (outcome === 'crashed') return killed
    if (outcome === 'cancelled' && cancels.has(this)) return true
    if (outcome === 'timedOut' && this.settings.timeoutMs < SHORT_MS) return true
    return outcome === this.#natural(attempt)
  }

  /** Whether its attempts tell which of them are new, and which are of this life: some are left out of longer histories. */
  #isLifeKnown(before: JobInfo | undefined, { attempts }: JobInfo): boolean {
    if (attempts.length < ATTEMPTS_KEPT) return true
    return this.lives.length === 0 && isDeepStrictEqual(before?.attempts, attempts)
  }

  /** Since it was last brought back. Of one whose attempts are capped nobody can tell. */
  #ofThisLife(attempts: readonly Attempt[]): readonly Attempt[] {
    return attempts.slice(this.lives.at(-1) ?? 0)
  }

  /** How an attempt ends when nothing comes between. */
  #natural(attempt: number): string {
    const { act, times } = this.input
    const again = attempt <= times
    switch (act) {
      case 'fail':
      case 'retry':
      case 'exit':
        return again ? 'failed' : 'completed'
      case 'fatal':
      case 'refuse':
        return 'failed'
      case 'loop':
        return again ? 'timedOut' : 'completed'
      case 'snooze':
        return 'snoozed'
      case 'cancel':
        return 'cancelled'
      case 'gate':
      case 'heed':
        if (this.#isSoftlyStopped) return 'failed'
        return this.released ? 'completed' : 'nothing'
      case 'return':
        return 'completed'
    }
  }

  #state(before: JobInfo | undefined, info: JobInfo, window: Window): string[] {
    const { state, attempts, runAt, finishedAt } = info
    const problems: string[] = []
    if (this.#beganLate(before, info, window)) problems.push('began after it had to')
    const isKnown = this.#isLifeKnown(before, info)
    const allowed = this.#allowed(before, info, window)
    if (isKnown && !allowed.includes(state)) problems.push(`is ${show(info)}; allowed: ${allowed.join(', ')}`)
    const over = state === 'completed' || state === 'cancelled' || state === 'discarded'
    if (over !== (finishedAt !== undefined)) problems.push(`is ${state} and finished at ${finishedAt}`)
    if (finishedAt !== undefined && !window.walls.has(finishedAt)) problems.push(`finished at ${finishedAt}`)
    if ((runAt !== undefined) !== (state === 'scheduled' || state === 'retryable'))
      problems.push(`is ${state} with runAt ${runAt}`)
    const { key, bytes } = this.input
    const output = state === 'completed' ? outputOf(key, bytes) : undefined
    if (!isDeepStrictEqual(info.output, output)) problems.push(`is ${state} with another output`)
    const crashes = this.#ofThisLife(attempts).filter(({ outcome }) => outcome === 'crashed').length
    if (isKnown && info.crashes !== crashes) problems.push(`counts ${info.crashes} crashes of ${crashes}`)
    if (this.cancelled && state !== 'cancelled') problems.push(`is ${state} although its cancellation was acknowledged`)
    if (this.told !== undefined && this.told !== state) problems.push(`is ${state}, and was told to be ${this.told}`)
    return problems
  }

  /** The states that follow from the attempts and from what was asked for. */
  #allowed(before: JobInfo | undefined, info: JobInfo, window: Window): string[] {
    const attempts = this.#ofThisLife(info.attempts)
    const last = attempts.at(-1)
    const asked = window.cancels.has(this) ? ['cancelled'] : []
    const { maxRetries } = this.settings
    // It waits since it was last seen; what it waits for may have been put off, and its settings be others.
    if (last !== undefined && before?.attempts.length === info.attempts.length)
      return [...asked, ...this.#waiting(before, info, window, 0, this.tried)]
    const charged = attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'timedOut').length
    switch (last?.outcome) {
      case undefined:
        if (this.lives.length > 0 && before?.finishedAt === undefined)
          return [...asked, ...this.#waiting(before, info, window, 0, this.tried)]
        // Brought back, and perhaps put off for the sake of its key.
        if (this.lives.length > 0)
          return [...asked, 'available', 'running', ...(this.unique === undefined ? [] : ['scheduled', 'retryable'])]
        return [...asked, ...this.#expired(window), ...this.#waiting(before, info, window, this.settings.delayMs, this.tried)]
      case 'completed':
        return ['completed']
      case 'cancelled':
        return ['cancelled']
      case 'failed':
      case 'timedOut': {
        const isFinal = ['fatal', 'refuse'].includes(this.input.act)
        if (charged > maxRetries || (last.outcome === 'failed' && isFinal)) return ['discarded']
        const chosen = last.outcome === 'failed' && this.input.act === 'retry'
        const delayMs = chosen ? this.input.afterMs : backoffMs(this.settings.backoff, charged)
        return [...asked, ...this.#waiting(before, info, window, delayMs, window.walls)]
      }
      case 'snoozed':
        return [...asked, ...this.#waiting(before, info, window, this.input.afterMs, window.walls)]
      case 'interrupted':
        return [...asked, 'available', 'running']
      case 'crashed':
        return [...asked, info.crashes >= 3 ? 'discarded' : 'available', info.crashes >= 3 ? 'discarded' : 'running']
    }
  }

  /**
   * Of a job that has not begun: whether it may have been too late for that. While the clock stands still, a thread that was handed the
   * job goes by real time: on a busy machine half a second is over before it begins.
   */
  #expired({ walls }: Window): string[] {
    const latest = Math.max(...walls) + performance.now() - this.#madeAtMs
    return latest >= Math.min(...this.tried) + this.settings.startBeforeMs ? ['discarded'] : []
  }

  /** Whether it has begun although it was too late for that. One that was in a thread already does not know of clocks that are set. */
  #beganLate(before: JobInfo | undefined, { attempts }: JobInfo, { walls, killed }: Window): boolean {
    if (attempts.length === 0 || before === undefined || before.attempts.length > 0 || before.state === 'running') return false
    // Who is brought back is not too late.
    if (this.mayBeBack) return false
    // A thread held it when the process died: nobody knows whether it had begun, and it may run again at any time.
    if (killed && ['crashed', 'interrupted'].includes(attempts[0]?.outcome ?? '')) return false
    return Math.min(...walls) >= Math.max(...this.tried) + this.settings.startBeforeMs
  }

  /**
   * Of a job that waits for an instant: the state it must be in. Due ones have left; those that left stay where they are, also when
   * the clock is set back.
   * @param since - what its delay counts from, if it is seen to wait for the first time
   */
  #waiting(
    before: JobInfo | undefined,
    { runAt, attempts }: JobInfo,
    { walls, now, retries, retried }: Window,
    delayMs: number,
    since: ReadonlySet<number>,
  ): string[] {
    const left = ['available', 'running']
    const isFirst = before === undefined || attempts.length > before.attempts.length
    if (!isFirst && (before.runAt === undefined || retried.has(this))) return left
    // Made due by hand, as far as anybody knows.
    if (runAt === undefined && retries.has(this)) return left
    const known = isFirst ? instants(since, delayMs) : [before.runAt ?? 0]
    const waiting = attempts.length > 0 ? 'retryable' : 'scheduled'
    if (runAt === undefined) return known.some((at) => at <= Math.max(...walls)) ? left : [waiting]
    if (!known.includes(runAt)) return [`due at ${known.join(' or ')} instead of ${runAt}`]
    return runAt > now ? [waiting] : left
  }
}

/** As it is shown once it waits for another instant. */
function putOff(info: JobInfo, delayMs: number, now: number): JobInfo {
  if (delayMs > 0) return { ...info, runAt: Math.min(Math.ceil(now + delayMs), MAX_INSTANT) }
  return info.runAt === undefined ? info : { ...info, runAt: now }
}

function instants(walls: ReadonlySet<number>, delayMs: number): number[] {
  return [...walls].map((wall) => Math.min(Math.ceil(wall + delayMs), MAX_INSTANT))
}

function brief(value: unknown): string {
  return inspect(value, { breakLength: Infinity, depth: 3, maxStringLength: 60, maxArrayLength: 10 })
}

function line({ attempt, outcome }: Attempt): string {
  return `${attempt} ${outcome}`
}

function show({ state, attempts, runAt }: JobInfo): string {
  return `${state}${runAt === undefined ? '' : ` for ${runAt}`} [${attempts.map(line).join(', ')}]`
}
