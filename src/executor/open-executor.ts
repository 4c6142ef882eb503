/** Puts an executor together. Composition only: what is checked here is what only the whole can know. */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { describeValue } from '../base/problems.js'
import type { Random } from '../base/random.js'
import { systemRandom } from '../base/random.js'
import { entryEnd } from '../codec/page.js'
import type { QueueState } from '../codec/queue-state.js'
import type { BatchJob } from '../dispatcher/batch.js'
import { Dispatcher } from '../dispatcher/dispatcher.js'
import { countBacklog } from '../maintenance/count-backlog.js'
import { Retention } from '../maintenance/retention.js'
import type { CompiledExecutorOptions, ExecutorOptions } from '../options/executor-options.js'
import { compileExecutorOptions } from '../options/executor-options.js'
import { DueTimer } from '../scheduler/due-timer.js'
import { ReadyQueues } from '../scheduler/ready-queues.js'
import { RunTimes } from '../scheduler/run-times.js'
import { Schedules } from '../scheduler/schedules.js'
import type { Engine } from '../store/engine.js'
import { readQueueStates } from '../store/queue-states.js'
import { JobStore } from '../store/job-store.js'
import { readSchedules } from '../store/schedule-records.js'
import { acquireDirectoryLock } from '../store/lmdb/directory-lock.js'
import { openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import type { Slice } from '../store/page-ref.js'
import { createMemoryEngine } from '../store/memory-engine.js'
import { checkModules } from './check-modules.js'
import { Claims } from './claims.js'
import { EventHub } from './events.js'
import { Executor } from './executor.js'
import { insideThread } from './inside-thread.js'
import { Intake } from './intake.js'
import { guardMemory } from './memory-guard.js'
import type { ExecutorParts } from './parts.js'
import { QueueControl } from './queue-control.js'
import { peek, recover } from './recovery.js'
import { canRunHere, Recurring, waitingSchedules } from './recurring.js'
import { Registry } from './registry.js'
import { ResultRegistry } from './results.js'
import { inspect } from './inspect.js'
import { parseJobId } from '../job/job-id.js'
import { ThreadMessages } from './thread-messages.js'
import { Turns } from './turns.js'
import { resultOf } from './stored-job.js'

/** What tests put in the place of the system. */
export interface Surroundings {
  readonly clock?: Clock
  readonly random?: Random
  /** Instead of the engine that `path` asks for. */
  readonly engine?: Engine
  /** The resident set of the process, in bytes. */
  readonly rssBytes?: () => number
  /**
   * Called with an executor on a directory, unless its option `controlSocket` is false. What it gives is called when the executor has
   * ended, while the directory is still held.
   */
  readonly attend?: (executor: Executor, directory: string, queues: readonly string[]) => Promise<() => Promise<void>>
}

/** What `openExecutor` opens; tests give it other surroundings. */
export async function openExecutorWith(options: ExecutorOptions, surroundings: Surroundings): Promise<Executor> {
  if (insideThread()) return await new Promise<never>(() => undefined)
  const compiled = compileExecutorOptions(options, { threads: availableParallelism() })
  await checkModules(compiled.definitions.values())
  const clock = surroundings.clock ?? systemClock
  const { engine, where, release } = await openEngine(compiled, clock, surroundings.engine)
  let dismiss: () => Promise<void> = async () => undefined
  const releaseAll = async (): Promise<void> => {
    await dismiss()
    await release()
  }
  try {
    const { executor, begin } = await assemble(compiled, engine, where, releaseAll, { clock, ...surroundings })
    if (surroundings.attend !== undefined && compiled.controlSocket && engine !== surroundings.engine && where !== ':memory:')
      dismiss = await surroundings.attend(executor, where, [...compiled.queues.keys()])
    begin()
    return executor
  } catch (error) {
    await engine.close().catch(() => undefined)
    await releaseAll()
    throw (error as NodeJS.ErrnoException).code === 'ERR_WORKER_INVALID_EXEC_ARGV' ? refusedFlags(compiled) : error
  }
}

function refusedFlags({ execArgv = [] }: CompiledExecutorOptions): MillraceError {
  return new MillraceError(
    'MILLRACE_INVALID_OPTIONS',
    `The options of openExecutor cannot be used: execArgv: ${describeValue(execArgv.join(' '))} holds a flag that Node does not take for a thread; omit it`,
  )
}

async function openEngine(
  { path, durability }: CompiledExecutorOptions,
  clock: Clock,
  given: Engine | undefined,
): Promise<{ engine: Engine; where: string; release: () => void | Promise<void> }> {
  if (given !== undefined) return { engine: given, where: path, release: () => undefined }
  if (path === ':memory:') return { engine: createMemoryEngine(), where: path, release: () => undefined }
  const directory = resolve(path)
  const lock = await acquireDirectoryLock(directory)
  try {
    const engine = await openLmdbEngine(directory, { durability, clock, isHeld: () => lock.isHeld() })
    return { engine, where: directory, release: () => lock.release() }
  } catch (error) {
    lock.release()
    throw error
  }
}

/**
 * How a store is opened when nothing of it may run: no thread, no claim, nothing that becomes due, no retention.
 *
 * - `look`: nothing is written; what a dead process had in flight stays so.
 * - `change`: that is rescued first, as by any executor, so that what is changed is as it says.
 */
export type Inspection = 'look' | 'change'
/** A store that is older than its statistics is counted first. */
async function beginStatistics(store: JobStore, now: number): Promise<void> {
  const isOlder = store.stats.since === undefined
  store.stats.begin(now)
  if (isOlder) for (const _step of countBacklog(store)) await yieldToLoop()
}

function yieldToLoop(): Promise<void> {
  return new Promise((done) => setImmediate(done))
}

/** Of the whole process, its threads included. */
function residentBytes(): number {
  return process.memoryUsage.rss()
}

/** What the executor puts others in the place of. */
const NOT_YET_WIRED = { onQuiet: (): void => undefined, onFailure: (): void => undefined, assertOpen: (): void => undefined }

interface Assembled {
  readonly executor: Executor
  /** Tells what was rescued, and lets jobs start. Only right before the caller gets the executor: the listeners it attaches then hear of all. */
  readonly begin: () => void
}

export async function assemble(
  options: CompiledExecutorOptions,
  engine: Engine,
  where: string,
  release: () => void | Promise<void>,
  { clock = systemClock, random = systemRandom, rssBytes = residentBytes }: Surroundings,
  inspection?: Inspection,
): Promise<Assembled> {
  const store = JobStore.open(engine, random, where)
  const { definitions, queues, payloadBytes, abortGraceMs, memoryBytes: limitBytes } = options
  const registry = new Registry(store, definitions.values())
  const now = (): number => clock.now()
  await beginStatistics(store, now())
  const retention = new Retention(store, options.retain, now)
  const events = new EventHub()
  const runTimes = new RunTimes()
  const schedules = new Schedules(readSchedules(engine), canRunHere(definitions, queues))
  const due = dueTimer(clock, schedules, () => parts.turns.poke())
  const results = makeResults(store, due, () => parts)
  const settlement = { store, registry, retention, results, events, runTimes, schedules, random, maxCrashes: options.maxCrashes }
  const recovery = inspection === 'look' ? peek(store) : await recover(settlement, now())

  const states = readQueueStates(engine)
  const warn = (what: string): void => (inspection === undefined ? warnKept(what, where) : undefined)
  const ready = makeReadyQueues(options, store, registry, runTimes, states, now, warn)
  const intake = new Intake({
    store,
    results,
    payloadBytes,
    queues,
    now,
    onGathered: () => parts.turns.poke(),
    assertOpen: () => parts.assertOpen(),
    yieldToLoop,
  })
  const messages = new ThreadMessages({ store, registry, events })
  const dispatcher = makeDispatcher(options, clock, store, registry, messages, () => parts.turns.news())
  const claims = new Claims({ clock, store, ready, dispatcher, registry, events, payloadBytes, reserve: options.reserve })
  const base = { clock, store, ready, dispatcher, schedules, results, queues, payloadBytes }
  const recurring = new Recurring({ ...base, definitions, assertOpen: () => parts.assertOpen() })
  const flow = { clock, store, registry, retention, results, events, intake, ready, runTimes, due, recurring, dispatcher, claims }
  const turns = new Turns({
    ...settlement,
    ...flow,
    onFailure: (error) => onFailure(error, parts),
    onQuiet: (isNews) => onQuiet(isNews, parts),
  })
  const queueControl = new QueueControl({ ...flow, turns, abortGraceMs, states })
  const memory = guardMemory({ ...flow, turns, messages, limitBytes, rssBytes })
  const parts: ExecutorParts = {
    ...flow,
    options,
    abortGraceMs,
    turns,
    queueControl,
    memory,
    release,
    ...NOT_YET_WIRED,
  }
  const executor = new Executor(parts, recovery)
  turns.draining = inspection !== undefined
  warnOfSchedules(schedules, warn)
  const begin = (): void => {
    messages.rescued(recovery)
    turns.poke()
  }
  return { executor, begin }
}

function makeResults(store: JobStore, due: DueTimer, parts: () => ExecutorParts): ResultRegistry {
  return new ResultRegistry(store.mark, {
    fromStore: (id) => fromStore(id, parts()),
    assertOpen: () => parts().assertOpen(),
    onWaiting: (waiting) => due.keepAlive(waiting),
  })
}

function makeReadyQueues(
  { queues }: CompiledExecutorOptions,
  store: JobStore,
  registry: Registry,
  runTimes: RunTimes,
  states: ReadonlyMap<number, QueueState>,
  now: () => number,
  warn: (what: string) => void,
): ReadyQueues {
  return new ReadyQueues({
    store,
    runTimes,
    queues,
    states,
    canRun: (id) => registry.canRun(id),
    weightOf: (id) => registry.weightOf(id),
    definitionsExpire: registry.definitionsExpire,
    hasExpired: (page, offset, id) => (registry.startBefore(page, offset, id) ?? Infinity) <= now(),
    onUnknown: (id) => warn(`jobs named "${registry.name(id)}", which no definition here can run`),
    onUnknownQueue: (id) => warn(`jobs in the queue "${store.queueName(id)}", which is not among the queues here`),
  })
}

/** Wakes when a job or a schedule is due, and in between to see whether the clock was set back. */
function dueTimer(clock: Clock, schedules: Schedules, poke: () => void): DueTimer {
  const onEarly = (): void => {
    if (schedules.look(clock.now())) poke()
  }
  return new DueTimer(clock, poke, onEarly)
}

function makeDispatcher(
  options: CompiledExecutorOptions,
  clock: Clock,
  store: JobStore,
  registry: Registry,
  messages: ThreadMessages,
  onNews: () => void,
): Dispatcher {
  const limitsOf = ({ page, offset }: BatchJob): JobLimits => {
    const bytes = store.bytesOf(page)
    const { timeoutMs, softTimeoutMs } = registry.settings(bytes.readUInt16LE(offset + 4), page.overrides(bytes[offset + 7] ?? 0))
    return { timeoutMs, softTimeoutMs: softTimeoutMs ?? Infinity }
  }
  const dispatcher = new Dispatcher(
    {
      clock,
      threads: options.threads,
      maxStuckThreads: options.maxStuckThreads,
      pool: { resourceLimits: options.resourceLimits, env: options.env, execArgv: options.execArgv },
      recycle: options.recycle,
      tellMemory: options.memoryBytes !== Infinity,
      storeMark: store.mark,
      payloadBytes: options.payloadBytes,
      limitsOf,
      shortestLimitMs: (batch) => shortestLimit(batch.slices, limitsOf, registry),
    },
    {
      news: onNews,
      message: (slot, message) => messages.handle(slot, message, dispatcher),
      stuck: (slot, batch) => messages.stuck(slot, batch),
      startFailed: (exitCode, error, pauseMs) => messages.startFailed(exitCode, error, pauseMs),
    },
  )
  return dispatcher
}

interface JobLimits {
  readonly timeoutMs: number
  readonly softTimeoutMs: number
}

/** The shortest limit of any job in a batch: when its thread must first be looked at. */
function shortestLimit(slices: readonly Slice[], limitsOf: (job: BatchJob) => JobLimits, registry: Registry): number {
  let shortest = Infinity
  for (const { page, from, to, offset } of slices) {
    if (page.uniformDefinition >= 0) {
      const { timeoutMs, softTimeoutMs } = registry.settings(page.uniformDefinition, undefined)
      shortest = Math.min(shortest, timeoutMs, softTimeoutMs ?? Infinity)
      continue
    }
    let at = offset
    for (let index = from; index < to; index++) {
      const { timeoutMs, softTimeoutMs } = limitsOf({ page, index, offset: at })
      shortest = Math.min(shortest, timeoutMs, softTimeoutMs)
      at = entryEnd(page.data, at)
    }
  }
  return shortest
}

function onQuiet(isNews: boolean, { events, onQuiet: tell }: ExecutorParts): void {
  tell()
  if (isNews) events.emit('idle', {})
}

/** The store has failed: nothing may run whose outcome could not be recorded. */
function onFailure(error: Error, parts: ExecutorParts): void {
  const { results, dispatcher, events } = parts
  results.abandon(error)
  parts.onFailure(error)
  for (const slot of dispatcher.slots) slot.terminate('close')
  if (events.has('error')) events.emit('error', { error, jobId: undefined })
  else process.emitWarning(error, { type: 'MillraceError' })
}

async function fromStore(id: string, parts: ExecutorParts): Promise<unknown> {
  const address = parseJobId(id, parts.store.mark)
  parts.assertOpen()
  const inTurn = <T>(read: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(read())
        } catch (error) {
          reject(error)
        }
      }
      parts.turns.read({ run, reject })
    })
  // It was over once; since then it may have been brought back.
  return await resultOf(id, address.seq, { inTurn, read: () => inspect(address, parts), results: parts.results })
}

function warnOfSchedules(schedules: Schedules, warn: (what: string) => void): void {
  const waiting = waitingSchedules(schedules)
  if (waiting !== undefined) warn(waiting)
}

function warnKept(what: string, where: string): void {
  process.emitWarning(`The store in ${where} holds ${what}. They are kept until an executor that has it opens the store.`, {
    type: 'MillraceUnknownJob',
  })
}
