/**
 * What is told of each queue and each definition: sums over their series, and what lies in memory at this moment. Costs as much as there
 * are series and batches in threads, whatever the backlog.
 */
import { eachOfSlice } from '../store/statistics.js'
import { AT, type Gauge, type Tally, tallyOf } from '../telemetry/counts.js'
import { type Distribution, recentOf } from '../telemetry/histogram.js'
import { OTHERS, type Series } from '../telemetry/series.js'
import { WINDOWS, type WindowName } from '../telemetry/windows.js'
import type { ExecutorParts } from './parts.js'

/** Statistics of the jobs of one queue, or of one definition. */
export interface JobStatistics {
  /** All since `stats().since`. Exact, also after the process was killed at any moment. */
  readonly totals: Tally
  /**
   * The same of the last hour, of 24 hours and of 30 days, to a step of a minute, half an hour and 12 hours; exact likewise. An attempt
   * counts in the windows in which it ended, and `started` also what is at work now.
   */
  readonly windows: Readonly<Record<WindowName, Tally>>
  /**
   * How long attempts that began within the last hour (to a quarter of an hour) had waited since they could run: since the enqueue, or
   * since their `runAt` or the end of their backoff. Percentiles are within 6 %. Undefined when there was none.
   */
  readonly wait: Distribution | undefined
  /** How long attempts ran that ended within the last hour, likewise. */
  readonly run: Distribution | undefined
  /** Jobs that are available or running. */
  readonly waiting: number
  readonly scheduled: number
  readonly retryable: number
}

/** Statistics of one queue. */
export interface QueueStatistics extends JobStatistics {
  /** Of `waiting`, those that threads have been handed: their state is `running`. Of these some may just have ended, and not be settled yet. */
  readonly running: number
  /** Of `running`, those that a thread is at: at most one a thread. */
  readonly atWork: number
  /** Of `running`, those that no thread has begun: they wait in one for the end of those in front. */
  readonly heldAhead: number
  /** How long the job that has waited longest could have run, in ms. Undefined when none waits, the queue is not configured here, or the executor closes. */
  readonly oldestWaitingMs: number | undefined
  /**
   * When nothing would be waiting any more if no more came, in ms from now: what waits, by the mean run time of each definition, shared
   * out among the threads that may work for the queue as if they did nothing else. 0 when nothing waits; undefined when the run time of
   * something that waits is unknown, it cannot run here, or the queue is paused.
   */
  readonly drainMs: number | undefined
}

/** Of a queue or definition that stands for all those beyond the limit. */
const OTHERS_NAME = '(others)'

/** Statistics by the names of queues: those of this executor, and those that the store has statistics of. */
export function queueStatistics(parts: ExecutorParts): Record<string, QueueStatistics> {
  const { store, options } = parts
  const groups = grouped(
    [...options.queues.keys()].map((name) => store.queueId(name)),
    parts,
    ({ queueId }) => queueId,
  )
  const inThreads = new InThreads(parts)
  return named(groups, (queueId, series) => [
    queueId === OTHERS ? OTHERS_NAME : store.queueName(queueId),
    oneQueue(queueId, series, inThreads, parts),
  ])
}

/** Statistics by the names of definitions: those of this executor, and those that the store has statistics of. */
export function definitionStatistics(parts: ExecutorParts): Record<string, JobStatistics> {
  const { store, options } = parts
  const own = [...options.definitions.keys()].map((name) => store.definitionId(name))
  const groups = grouped(own, parts, ({ definitionId }) => definitionId)
  const inThreads = new InThreads(parts)
  return named(groups, (definitionId, series) => [
    definitionId === OTHERS ? OTHERS_NAME : store.definitionName(definitionId),
    sums(series, inThreads, parts),
  ])
}

/** The names of a series' queue and definition. */
export function namesOf({ queueId, definitionId }: Series, { store }: ExecutorParts): { queue: string; definition: string } {
  return definitionId === OTHERS
    ? { queue: OTHERS_NAME, definition: OTHERS_NAME }
    : { queue: store.queueName(queueId), definition: store.definitionName(definitionId) }
}

function grouped(ids: Iterable<number>, { store }: ExecutorParts, idOf: (series: Series) => number): Map<number, Series[]> {
  const groups = new Map<number, Series[]>()
  for (const id of ids) groups.set(id, [])
  for (const series of store.stats.series.values()) {
    const id = idOf(series)
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [series])
    else group.push(series)
  }
  return groups
}

/** Whatever the names are: `__proto__` is one like the others. */
function named<Value>(
  groups: Map<number, Series[]>,
  make: (id: number, series: readonly Series[]) => [name: string, value: Value],
): Record<string, Value> {
  return Object.fromEntries(Array.from(groups, ([id, series]) => make(id, series)))
}

function sums(series: readonly Series[], inThreads: InThreads, { store, clock }: ExecutorParts): JobStatistics {
  const at = store.stats.at(clock.now())
  const begun = series.reduce((sum, each) => sum + inThreads.begun(each), 0)
  const tally = (read: (of: Series) => (place: number) => number): Tally => {
    const reads = series.map(read)
    return tallyOf((place) => reads.reduce((sum, each) => sum + each(place), place === AT.started ? begun : 0))
  }
  const gauge = (name: Gauge): number => series.reduce((sum, { durable }) => sum + (durable[AT[name]] ?? 0), 0)
  const windows = WINDOWS.map(({ name }, level) => [name, tally(({ windows, durable }) => windows.within(level, at, durable))])
  return {
    totals: tally(
      ({ durable }) =>
        (place) =>
          durable[place] ?? 0,
    ),
    windows: Object.fromEntries(windows) as Record<WindowName, Tally>,
    wait: recentOf(
      series.map(({ wait }) => wait),
      at,
    ),
    run: recentOf(
      series.map(({ run }) => run),
      at,
    ),
    waiting: gauge('waiting'),
    scheduled: gauge('scheduled'),
    retryable: gauge('retryable'),
  }
}

function oneQueue(queueId: number, series: readonly Series[], inThreads: InThreads, parts: ExecutorParts): QueueStatistics {
  const { clock, ready, dispatcher } = parts
  const told = sums(series, inThreads, parts)
  const since = [inThreads.readyAt.get(queueId)]
  // They may have to look into the store, which is being closed then.
  if (!dispatcher.isClosing) since.push(ready.readyAt(queueId), ready.suspects.readyAt(queueId))
  const readyAt = Math.min(...since.filter((at) => at !== undefined))
  // A commit that is under way counts jobs out of `waiting` before their batch is.
  const running = Math.min(told.waiting, inThreads.held.get(queueId) ?? 0)
  const atWork = Math.min(running, inThreads.atWork.get(queueId) ?? 0)
  return {
    ...told,
    running,
    atWork,
    heldAhead: Math.min(running - atWork, inThreads.ahead.get(queueId) ?? 0),
    oldestWaitingMs: readyAt === Infinity ? undefined : Math.max(0, clock.now() - readyAt),
    drainMs: drainMs(queueId, series, parts),
  }
}

function drainMs(queueId: number, series: readonly Series[], parts: ExecutorParts): number | undefined {
  const { store, ready, dispatcher, registry, clock, runTimes } = parts
  let workMs = 0
  for (const { definitionId, durable, run } of series) {
    const jobs = durable[AT.waiting] ?? 0
    if (jobs === 0) continue
    const measuredMs = runTimes.isMeasured(definitionId) ? runTimes.estimateMs(definitionId) : undefined
    const meanMs = recentOf([run], store.stats.at(clock.now()))?.meanMs ?? measuredMs
    if (meanMs === undefined || !registry.canRun(definitionId)) return undefined
    workMs += jobs * meanMs
  }
  if (workMs === 0) return 0
  const queue = ready.queue(queueId)
  if (queue === undefined || queue.isPaused) return undefined
  return workMs / Math.min(queue.concurrency, dispatcher.threads)
}

function add(counts: Map<number, number>, queueId: number, jobs: number): void {
  counts.set(queueId, (counts.get(queueId) ?? 0) + jobs)
}

/** What the threads hold. */
export class InThreads {
  /** Jobs handed over and not settled, by queue. */
  readonly held = new Map<number, number>()
  /** Of these, the ones that a thread is at, by queue. */
  readonly atWork = new Map<number, number>()
  /** Of these, the ones that no thread has begun, by queue. */
  readonly ahead = new Map<number, number>()
  /** From when the first of those that have not begun could run, in epoch ms, by queue. */
  readonly readyAt = new Map<number, number>()
  readonly #begun = new Map<Series, number>()

  constructor({ dispatcher, store }: ExecutorParts) {
    for (const { batches } of dispatcher.slots) {
      const [batch] = batches
      const index = batch?.running ?? -1
      if (batch !== undefined && index >= 0 && index < batch.limit) add(this.atWork, batch.job(index).page.queueId, 1)
    }
    for (const { batch } of dispatcher.batches) {
      for (const { page, from, to } of batch.range(batch.collected, batch.limit)) add(this.held, page.queueId, to - from)
      // Not sent yet: its memory is that of the batch before.
      const taken = batch.sentAt === 0 ? 0 : Math.min(batch.control.taken, batch.limit)
      for (const { page, from, to } of batch.range(Math.max(taken, batch.collected), batch.limit)) {
        add(this.ahead, page.queueId, to - from)
        const readyAt = Math.max(page.header.enqueuedAt, page.header.runAt)
        this.readyAt.set(page.queueId, Math.min(readyAt, this.readyAt.get(page.queueId) ?? Infinity))
      }
      for (const slice of batch.range(batch.collected, taken))
        eachOfSlice(slice, store.bytesOf(slice.page), (definitionId, jobs) => {
          const series = store.stats.known(slice.page.queueId, definitionId)
          if (series !== undefined) this.#begun.set(series, (this.#begun.get(series) ?? 0) + jobs)
        })
    }
  }

  /** Attempts that have begun and are not settled, and those that are settled in a commit that is not durable yet. */
  begun(series: Series): number {
    const { counts, durable } = series
    return (this.#begun.get(series) ?? 0) + (counts[AT.started] ?? 0) - (durable[AT.started] ?? 0)
  }
}
