/** What `openExecutor` is told of its queues, and of the threads kept for what is important. */
import type { Duration } from '../base/duration.js'
import { DEFAULT_AGEING_MS, MAX_THREADS, PRIORITY_MAX, PRIORITY_MIN } from '../base/limits.js'
import { nearestName, type Problems, readEntries, readFields } from '../base/problems.js'
import { durationMs, printableName, wholeNumber } from '../base/rules.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { DEFAULT_QUEUE } from '../job/job-settings.js'
import { checkRate, type CompiledRate, type Rate } from '../job/limit.js'

export interface QueueOptions {
  /** Jobs of this queue that run at the same time, 1 or more. `Infinity`: as many as there are threads. @defaultValue `Infinity` */
  readonly concurrency?: number
  /** How many of its jobs may begin in a span of time, such as `{ max: 10, per: '1s' }`. Counted on, also after a crash. Omitted: no bound. */
  readonly rate?: Rate
  /**
   * A waiting job gains one step of priority over others of its queue for each such time that it has waited, so that none waits for
   * ever behind a stream of more important ones. `Infinity`: never. @defaultValue `'10m'`
   */
  readonly ageing?: Duration
}

/** Threads kept free for what is important. */
export interface ReserveOptions {
  /** So many threads, fewer than there are, … */
  readonly threads: number
  /** … take only jobs of this priority or above, from -128 to 127. */
  readonly priority: number
}

export interface CompiledQueue {
  readonly concurrency: number
  readonly rate: CompiledRate | undefined
  readonly ageingMs: number
}

const PLAIN_QUEUE: CompiledQueue = Object.freeze({ concurrency: Infinity, rate: undefined, ageingMs: DEFAULT_AGEING_MS })

export interface CompiledReserve {
  /** 0: none. */
  readonly threads: number
  readonly priority: number
}

export function compileQueues(
  value: unknown,
  definitions: ReadonlyMap<string, CompiledDefinition>,
  problems: Problems,
): ReadonlyMap<string, CompiledQueue> {
  const queues = new Map<string, CompiledQueue>()
  if (value !== undefined) {
    for (const [name, options] of readEntries(
      value,
      'queues',
      'an object of queues by name, such as { images: { concurrency: 2 } }',
      problems,
    )) {
      const field = `queues.${name}`
      if (printableName(name, field, problems) === undefined) continue
      queues.set(name, options === undefined ? PLAIN_QUEUE : compileQueue(options, field, problems))
    }
  }
  if (!queues.has(DEFAULT_QUEUE)) queues.set(DEFAULT_QUEUE, PLAIN_QUEUE)
  for (const { name, queue } of definitions.values()) {
    if (typeof queue !== 'string' || queues.has(queue)) continue
    if (value === undefined) {
      queues.set(queue, PLAIN_QUEUE)
      continue
    }
    const nearest = nearestName(queue, [...queues.keys()])
    const wayOut =
      nearest === undefined ? `add it: { '${queue}': {} }` : `did you mean '${nearest}'? Else add it: { '${queue}': {} }`
    problems.add('queues', `the job '${name}' waits in the queue '${queue}', which is not among them; ${wayOut}`)
  }
  return queues
}

function compileQueue(options: unknown, field: string, problems: Problems): CompiledQueue {
  const {
    concurrency = Infinity,
    rate,
    ageing = DEFAULT_AGEING_MS,
  } = readFields(options, ['concurrency', 'rate', 'ageing'], field, problems)
  return Object.freeze({
    concurrency: wholeNumber(concurrency, `${field}.concurrency`, problems, { min: 1, infinity: 'no limit' }) ?? Infinity,
    rate: rate === undefined ? undefined : checkRate(rate, `${field}.rate`, problems),
    ageingMs: durationMs(ageing, `${field}.ageing`, problems, { zero: false, infinity: 'never' }) ?? Infinity,
  })
}

export function compileReserve(value: unknown, threads: number, problems: Problems): CompiledReserve {
  if (value === undefined) return { threads: 0, priority: PRIORITY_MIN }
  const fields = readFields(value, ['threads', 'priority'], 'reserve', problems)
  const count = wholeNumber(fields.threads, 'reserve.threads', problems, { min: 1, max: MAX_THREADS }) ?? 0
  const priority = wholeNumber(fields.priority, 'reserve.priority', problems, { min: PRIORITY_MIN, max: PRIORITY_MAX })
  if (count >= threads) {
    const wayOut = 'one at least must be left for other jobs: reserve fewer, or raise threads'
    problems.add('reserve.threads', `${count} of ${threads} threads cannot be reserved; ${wayOut}`)
  }
  return Object.freeze({ threads: count, priority: priority ?? PRIORITY_MIN })
}
