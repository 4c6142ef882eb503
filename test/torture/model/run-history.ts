/** Performs a history on the real thing and on the model, and looks at everything after each command. */
import type { DuplicateJobError, EnqueueOptions, JobDefinition, JobHandle, UniqueOptions } from '../../../src/index.js'
import { isMillraceError } from '../../../src/index.js'
import { checkStore } from '../../support/store-check.js'
import { audit, settleAmid } from './audit.js'
import { QUEUES, type Call, type Command, type Enqueue, type History, type ModelUnique, type QueueName } from './history.js'
import type { Input } from '../../fixtures/torture/model-jobs.js'
import { DEFINITIONS } from '../../fixtures/torture/model-jobs.js'
import { within } from './hang.js'
import { type Fate, ModelKeys, nameOf } from './keys.js'
import { LIMITS } from './limits.js'
import { ModelJob, newWindow, settingsOf, SHORT_MS, type QueueSetting, type Window } from './model.js'
import { configured, World, type WorldOptions } from './world.js'

const LARGE_BYTES = 40_000
/** States that a retry by hand does something with. */
const RETRIED: readonly string[] = ['discarded', 'cancelled', 'scheduled', 'retryable']
const LOOP_TIMEOUT_MS = 50
const RETRIES_OF_SHORT = 4
/** Long enough for every retry and delay that a history can bring, but the endless ones. */
const LONG_MS = 90_000_000
/** More than any job has delays and retries. */
const ROUNDS = 7
/** Of each that may begin only so often. */
const RUNS_OF_PACED = 5

export interface Tally {
  histories: number
  commands: number
  jobs: number
  runs: number
  /** Processes that died: at a commit or between two, over either store. */
  kills: number
  killsAtCommit: number
  killsOverLmdb: number
  /** Pairs of jobs whose order of starting was checked. */
  ordered: number
}

/** Throws an error that lists what is wrong, if anything is. */
export async function runHistory(options: WorldOptions, tally: Tally): Promise<void> {
  const world = new World(options)
  await world.open()
  const performer = new Performer(world, options.history)
  let failure: unknown
  try {
    for (const [index, command] of options.history.commands.entries()) {
      tally.commands++
      await performer.step(command, `command ${index}, ${command.do}`)
    }
    await performer.finish()
    tally.histories++
  } catch (error) {
    failure = error
  }
  tally.jobs += world.jobs.length
  for (const { runs } of world.jobs) tally.runs += runs.length
  tally.kills += performer.kills
  tally.killsAtCommit += performer.killsAtCommit
  if (options.store === 'lmdb') tally.killsOverLmdb += performer.kills
  tally.ordered += world.order.checked
  // What was wrong before says more than that it does not close either.
  await world.end().catch((error: unknown) => {
    failure ??= error
  })
  if (failure !== undefined) throw failure
}

class Performer {
  readonly #world: World
  readonly #history: History
  readonly #keys = new ModelKeys()
  #window: Window
  #problems: string[] = []
  /** The enqueues of this command, each with its jobs, in their order. */
  #enqueues: (readonly ModelJob[])[] = []
  #fates: Map<ModelJob, Fate> | undefined
  /** Jobs whose cancellation this command asked for, whatever the answer. */
  readonly #asked = new Set<ModelJob>()
  /** How many of these calls have not been told that the job was over. */
  readonly #asks = new Map<ModelJob, number>()
  /** Jobs, and who was to take their places last. */
  readonly #changes = new Map<ModelJob, ModelJob>()
  /** Processes of this history that died, and those of them that died at a commit. */
  kills = 0
  killsAtCommit = 0

  constructor(world: World, history: History) {
    this.#world = world
    this.#history = history
    this.#window = newWindow(world.clock.now())
  }

  async step(command: Command, name: string): Promise<void> {
    await within(this.#world.commandHangMs, name, this.#step(command, name))
  }

  async #step(command: Command, name: string): Promise<void> {
    const now = this.#world.clock.now()
    this.#window = newWindow(now)
    // A thread may be ended for such a job, and what runs beside it in its batch be interrupted.
    this.#window.disturbed = this.#world.jobs.some((job) => job.disturbs && !job.isOver)
    this.#enqueues = []
    this.#fates = undefined
    this.#asked.clear()
    this.#asks.clear()
    const before = new Map(this.#world.jobs.map((job) => [job, job.seen?.state]))
    await this.#perform(command)
    if (!this.#window.killed) this.#settleSettings(command)
    this.#window.now = this.#world.clock.now()
    this.#window.walls.add(this.#window.now)
    this.#problems.push(...(await audit(this.#world, this.#history, this.#window)))
    this.#checkChanges()
    if (this.#history.retain === 'all' && this.#window.purges.size === 0) this.#checkGroups()
    this.#cutOffCalls = []
    if (command.do === 'purge') this.#checkPurged(command.queue, before)
    if (command.do === 'pause' && command.interrupt) this.#checkStopped(command.queue)
    this.#checkRefusedCancels()
    if (this.#problems.length > 0) throw new Error(`${name}:\n${this.#problems.slice(0, 12).join('\n')}`)
  }

  /** Lets everything come to its end. */
  async finish(): Promise<void> {
    for (const queue of QUEUES) {
      await this.step({ do: 'concurrency', queue, jobs: undefined }, `the end, ${queue} unbound`)
      await this.step({ do: 'resume', queue }, `the end, ${queue} resumed`)
    }
    for (const [job] of this.#world.jobs.entries()) await this.#call({ do: 'release', job })
    const left = (): ModelJob | undefined =>
      this.#world.jobs.find(({ isOver, absent, isEndless }) => !isOver && !absent && !isEndless)
    // Few of the paced ones begin in each round.
    const paced = this.#world.jobs.filter(({ settings }) => settings.limit === 'paced').length
    const rounds = ROUNDS + RUNS_OF_PACED * paced
    const startedMs = performance.now()
    // The clock is turned by hand; a thread that starts, and before which no suspect may run, takes real time.
    const isLate = (): boolean => performance.now() - startedMs > this.#world.hangMs
    for (let round = 0; round === 0 || (left() !== undefined && (round < rounds || !isLate())); round++) {
      if (round >= rounds) await this.#world.stirred()
      await this.step({ do: 'advance', ms: LONG_MS }, `the end, round ${round}`)
    }
    const job = left()
    if (job !== undefined) throw new Error(`the end: job ${job.input.key} is ${job.seen?.state}`)
    await this.step({ do: 'reopen', graceMs: 0, calls: [] }, 'the end, reopened')
  }

  async #perform(command: Command): Promise<void> {
    const { clock } = this.#world
    switch (command.do) {
      case 'advance':
        clock.advance(command.ms)
        return
      case 'jump':
        this.#world.hasJumped = true
        clock.jump(command.ms)
        return
      case 'together':
        this.#isTogether = true
        await Promise.all(command.calls.map((call) => this.#call(call)))
        this.#isTogether = false
        return
      case 'reopen':
        await this.#reopen(command.graceMs, command.calls)
        return
      case 'kill':
        await this.#kill(command.calls, command.commit, command.durable)
        return
      default:
        await this.#call(command)
    }
  }

  async #call(call: Call): Promise<void> {
    const { jobs } = this.#world
    switch (call.do) {
      case 'enqueue':
        await this.#enqueue(call)
        return
      case 'refused':
        await this.#refused(call.jobs)
        return
      case 'cancel': {
        const chosen = new Set(call.jobs.flatMap((index) => jobs[index % Math.max(1, jobs.length)] ?? []))
        await Promise.all([...chosen].map((job) => this.#cancel(job)))
        return
      }
      case 'release': {
        const job = jobs[call.job % Math.max(1, jobs.length)]
        if (job !== undefined && job.waitsAtGate) this.#world.release(job)
        return
      }
      case 'retry': {
        const chosen = new Set(call.jobs.flatMap((index) => jobs[index % Math.max(1, jobs.length)] ?? []))
        await this.#retry([...chosen].filter(({ id, absent }) => id !== undefined && !absent))
        return
      }
      case 'purge':
        this.#world.purged = true
        this.#window.purges.add(call.queue)
        await this.#set('purge', () => this.#world.executor.queue(call.queue).purge())
        return
      case 'pause':
        if (call.interrupt) this.#window.disturbed = true
        this.#maybe(call.queue, (setting) => ({ ...setting, paused: true }))
        await this.#set('pause', () => this.#world.executor.queue(call.queue).pause({ interrupt: call.interrupt }))
        return
      case 'resume':
        this.#maybe(call.queue, (setting) => ({ ...setting, paused: false }))
        await this.#set('resume', () => this.#world.executor.queue(call.queue).resume())
        return
      case 'concurrency': {
        this.#world.isRebounded = true
        const concurrency = call.jobs ?? configured(call.queue).concurrency
        this.#maybe(call.queue, (setting) => ({ ...setting, concurrency }))
        await this.#set('setConcurrency', () => this.#world.executor.queue(call.queue).setConcurrency(call.jobs))
      }
    }
  }

  async #set(what: string, call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.#cutOff(what, error)
    }
  }

  /** What a queue may be set to from now on: what it was, and what a call makes of that. */
  #maybe(queue: QueueName, change: (setting: QueueSetting) => QueueSetting): void {
    const { settings } = this.#window
    const known = settings.get(queue) ?? [this.#world.settings.get(queue) ?? configured(queue)]
    settings.set(queue, [...known, ...known.map(change)])
  }

  /** A call by itself was answered: what it says holds. */
  #settleSettings(command: Command): void {
    if (command.do !== 'pause' && command.do !== 'resume' && command.do !== 'concurrency') return
    const { settings } = this.#window
    settings.set(command.queue, (settings.get(command.queue) ?? []).slice(-1))
  }

  async #retry(chosen: readonly ModelJob[]): Promise<void> {
    const { executor } = this.#world
    const ids = chosen.flatMap(({ id }) => id ?? [])
    for (const job of chosen) {
      // It takes its key again if it held it until its end and nobody else does.
      if (job.isOver || this.#asked.has(job)) this.#keys.forget(job)
      job.retryAsked = true
      this.#window.retries.add(job)
    }
    try {
      const [id, ...more] = ids
      if (id === undefined) return
      const changed = more.length === 0 ? Number(await executor.retry(id)) : (await executor.retryMany({ ids })).changed
      if (this.#isTogether || this.#ending) return
      const meant = chosen.filter(({ seen, pruned }) => RETRIED.includes(seen?.state ?? '') && !pruned)
      const freely = meant.filter(({ isOver, unique }) => !isOver || unique === undefined)
      const isAll = changed === meant.length
      if (isAll || (changed >= freely.length && changed < meant.length && this.#history.retain === 'all'))
        for (const job of isAll ? meant : freely) this.#window.retried.add(job)
      else if (this.#history.retain === 'all')
        this.#problems.push(`${changed} jobs are brought back of ${meant.map(({ input }) => input.key).join()}`)
    } catch (error) {
      this.#cutOff('retry', error)
    }
  }

  /** Calls are made beside each other. */
  #isTogether = false

  /** Nothing is left of what did not run. */
  #checkPurged(queue: QueueName, before: ReadonlyMap<ModelJob, string | undefined>): void {
    for (const job of this.#world.jobs) {
      const was = before.get(job)
      if (job.settings.queue === queue && was !== undefined && was !== 'running' && !job.pruned && !job.absent)
        this.#problems.push(`job ${job.input.key} was ${was}, its queue is purged, and it is ${job.seen?.state}`)
    }
  }

  #checkStopped(queue: QueueName): void {
    for (const { settings, seen, pruned, input } of this.#world.jobs)
      if (settings.queue === queue && !pruned && seen?.state === 'running')
        this.#problems.push(`job ${input.key} runs, and its queue was paused and interrupted`)
  }

  async #enqueue(given: Enqueue): Promise<void> {
    const { executor, jobs } = this.#world
    const enqueue = this.#ending ? this.#plainer(bounded(given)) : bounded(given)
    if (isUnfit(enqueue)) {
      await this.#unfit(enqueue)
      return
    }
    const made: ModelJob[] = []
    this.#enqueues.push(made)
    for (let count = 0; count < enqueue.jobs; count++) {
      const job = new ModelJob(enqueue, this.#input(enqueue, jobs.length), this.#window.walls)
      made.push(job)
      jobs.push(job)
      if (job.disturbs) this.#window.disturbed = true
    }
    const inputs = made.map(({ input }) => input)
    const definition = DEFINITIONS[enqueue.definition] as JobDefinition<Input>
    const options = optionsOf(enqueue, this.#world.clock.now())
    try {
      const handles: readonly JobHandle<unknown>[] =
        enqueue.jobs === 1 && inputs[0] !== undefined
          ? [await executor.enqueue(definition, inputs[0], options)]
          : await executor.enqueueMany(definition, inputs, options)
      if (handles.length !== made.length) this.#problems.push(`${made.length} inputs gave ${handles.length} handles`)
      for (const [index, handle] of handles.entries()) this.#answered(made[index] as ModelJob, handle)
    } catch (error) {
      if (isMillraceError(error, 'MILLRACE_DUPLICATE')) this.#rejected(made, error as DuplicateJobError)
      else this.#cutOffEnqueue(made, error)
    }
  }

  /** A soft timeout that the timeout does not leave room for: refused, and nothing is left of it. */
  async #unfit(enqueue: Enqueue): Promise<void> {
    const { executor, jobs, clock } = this.#world
    const inputs = [...Array(enqueue.jobs).keys()].map((index) => this.#input(enqueue, jobs.length + index))
    const definition = DEFINITIONS[enqueue.definition] as JobDefinition<Input>
    try {
      await executor.enqueueMany(definition, inputs, optionsOf(enqueue, clock.now()))
      this.#problems.push(`a soft timeout of ${enqueue.softTimeout} ms was taken where the timeout is shorter`)
    } catch (error) {
      if (!isMillraceError(error, 'MILLRACE_INVALID_OPTIONS')) this.#cutOff('enqueueMany', error)
    }
  }

  // ---- unique keys ----

  /** Of calls that are cut off it is not seen which was last: only one of a key may replace. */
  #plainer(enqueue: Enqueue): Enqueue {
    const { unique, definition } = enqueue
    if (unique === undefined || unique.onConflict === 'reject') return enqueue
    const name = `${definition} ${unique.key}`
    const isFirst = enqueue.jobs === 1 && !this.#enqueues.flat().some((job) => job.unique !== undefined && nameOf(job) === name)
    return isFirst ? enqueue : { ...enqueue, unique: { ...unique, onConflict: 'return' } }
  }

  /** What the documents say of it, decided when all calls of the turn have been made. */
  #fateOf(job: ModelJob): Fate {
    if (this.#ending) return { is: 'unknown' }
    if (this.#fates === undefined) {
      const turn = {
        now: this.#world.clock.now(),
        cancelled: this.#asked,
        stored: new Set<ModelJob>(),
        purged: this.#window.purges,
        keeps: this.#history.retain !== 0,
      }
      this.#fates = new Map()
      for (const made of this.#enqueues) {
        const fates = this.#keys.decide(made, turn)
        for (const [index, each] of made.entries()) this.#fates.set(each, fates[index] as Fate)
      }
    }
    return this.#fates.get(job) ?? { is: 'unknown' }
  }

  #answered(job: ModelJob, handle: JobHandle<unknown>): void {
    const world = this.#world
    const { key } = job.input
    const fate = this.#fateOf(job)
    const holder = world.byId.get(handle.id)
    if (handle.isNew) {
      if (fate.is !== 'new' && fate.is !== 'unknown') this.#problems.push(`job ${key} is new, and was to be ${fate.is}`)
      world.acknowledged(job, handle)
    } else if (job.unique === undefined || holder === undefined || nameOf(holder) !== nameOf(job)) {
      this.#problems.push(`job ${key} got a handle of ${handle.id}, which has another key`)
      return
    } else {
      if (fate.is === 'new' || fate.is === 'refused') this.#problems.push(`job ${key} was to be ${fate.is}, and is ${handle.id}`)
      if ('job' in fate && fate.job.id !== handle.id) this.#problems.push(`job ${key} is ${handle.id} instead of ${fate.job.id}`)
      job.heldBy = handle.id
      job.mayReplace = fate.is === 'changed' || (fate.is === 'unknown' && isChange(job))
      if (fate.is === 'changed') this.#changes.set(fate.job, job)
      world.returned(holder, handle)
    }
    if (fate.is === 'unknown') this.#keys.learn(job, handle.isNew ? job : (holder ?? job), world.clock.now())
  }

  #rejected(made: readonly ModelJob[], { jobId }: DuplicateJobError): void {
    for (const job of made) {
      const fate = this.#fateOf(job)
      const wasMeant = job.unique?.onConflict === 'reject' && (fate.is === 'refused' || fate.is === 'unknown')
      if (!wasMeant) this.#problems.push(`job ${job.input.key} was refused, and was to be ${fate.is}`)
      const holder = jobId === undefined ? undefined : this.#world.byId.get(jobId)
      if (jobId !== undefined && (holder === undefined || nameOf(holder) !== nameOf(job)))
        this.#problems.push(`job ${job.input.key} was refused for the sake of ${jobId}, which has another key`)
      job.absent = true
    }
  }

  #cutOffEnqueue(made: readonly ModelJob[], error: unknown): void {
    this.#cutOff('enqueue', error)
    if (made.every(({ unique }) => unique === undefined)) this.#cutOffCalls.push(made)
    for (const job of made) {
      job.mayReplace = isChange(job)
      // Only a death leaves it open whether they were stored.
      if (!this.#window.killed) job.absent = true
    }
  }

  /** Whoever was to take another one's place has, unless it is over and gone already. */
  #checkChanges(): void {
    for (const [job, by] of this.#changes)
      if (job.current !== by && !job.current.pruned)
        this.#problems.push(`job ${by.input.key} was to take the place of ${job.input.key}`)
    this.#changes.clear()
    for (const made of this.#enqueues) {
      for (const job of made) {
        job.mayReplace = false
        if (this.#window.killed || this.#hasEnded) this.#keys.forget(job)
      }
    }
    this.#hasEnded = false
    this.#keys.expire(this.#window.now)
  }

  /** Jobs of calls that were cut off: all of them are there, or none. */
  #cutOffCalls: (readonly ModelJob[])[] = []

  #input({ act, times, afterMs, large }: Enqueue, key: number): Input {
    const bytes = large === true ? new Uint8Array(LARGE_BYTES).fill(key) : undefined
    return { key, act, times, afterMs, channel: this.#world.channelName, bytes }
  }

  async #refused(count: number): Promise<void> {
    const { executor } = this.#world
    const inputs: unknown[] = [...Array(count).keys()].map((key) => ({ key: 1_000_000 + key }))
    inputs.push({ key: () => undefined })
    try {
      await executor.enqueueMany(DEFINITIONS.work as JobDefinition<unknown>, inputs)
      this.#problems.push('a function was taken as an input')
    } catch (error) {
      if (!isMillraceError(error, 'MILLRACE_PAYLOAD_UNENCODABLE')) this.#cutOff('enqueueMany', error)
    }
  }

  async #cancel(job: ModelJob): Promise<void> {
    if (job.id === undefined || job.absent) return
    const wasOver = job.isOver
    this.#window.cancels.add(job)
    this.#asked.add(job)
    this.#asks.set(job, (this.#asks.get(job) ?? 0) + 1)
    // It may be brought back first: then the next turn cancels it.
    if (this.#window.retries.has(job)) this.#keys.forget(job)
    if (job.seen?.state === 'running' || job.seen === undefined) this.#window.disturbed = true
    try {
      const answer = await this.#world.executor.cancel(job.id, 'by the test')
      if (answer && wasOver && !job.retryAsked) this.#problems.push(`job ${job.input.key} was over, and cancel() says true`)
      if (answer) {
        job.cancelled = true
        this.#window.cancels.add(job)
        return
      }
      this.#refusedCancels.push(job)
      const asks = (this.#asks.get(job) ?? 1) - 1
      this.#asks.set(job, asks)
      // Another call of the turn may have cancelled it, answered or not.
      if (asks === 0) this.#window.cancels.delete(job)
    } catch (error) {
      this.#cutOff('cancel', error)
    }
  }

  /** Jobs that were over when their cancellation was asked for, as the answer says. */
  readonly #refusedCancels: ModelJob[] = []

  /** What is over stays so, whatever dies afterwards; but for what somebody brings back. */
  #checkRefusedCancels(): void {
    const { retries } = this.#window
    for (const job of this.#refusedCancels.splice(0)) {
      const { current } = job
      if (!current.isOver && !retries.has(job) && !retries.has(current))
        this.#problems.push(`job ${current.input.key} is ${current.seen?.state}, and cancel() said false`)
    }
  }

  /** An answer that never came, which only the end of the executor excuses. */
  #cutOff(what: string, error: unknown): void {
    if (!this.#ending) this.#problems.push(`${what}: ${String(error)}`)
  }

  #ending = false
  /** The executor of this command was closed, or died. */
  #hasEnded = false

  async #reopen(graceMs: number, calls: readonly Call[]): Promise<void> {
    const world = this.#world
    this.#window.disturbed = true
    this.#ending = true
    const called = Promise.all(calls.map((call) => this.#call(call)))
    const before = new Map(world.jobs.map((job) => [job, job.seen?.attempts.length ?? 0]))
    const { interrupted } = await world.close(graceMs, (engine) => {
      const problems = checkStore(engine, { crashed: false, keepsAll: this.#history.retain === 'all' && !world.purged })
      this.#problems.push(...problems.map((problem) => `closed: ${problem}`))
    })
    await called
    this.#ending = false
    this.#hasEnded = true
    await world.open()
    const { rescued, quarantined } = world.executor.recovery
    if (rescued.length + quarantined.length > 0) this.#problems.push(`closed in order, and ${rescued.length} jobs are rescued`)
    await world.followAll()
    for await (const info of world.executor.list()) {
      const job = world.byId.get(info.id)
      const ends = info.attempts.slice(job === undefined ? 0 : before.get(job)).map(({ outcome }) => outcome)
      if (interrupted.includes(info.id) && !ends.includes('interrupted'))
        this.#problems.push(`close() says that it interrupted ${info.id}, whose latest attempts are ${ends.join(', ')}`)
    }
  }

  async #kill(calls: readonly Call[], commit: number, durable: boolean): Promise<void> {
    const world = this.#world
    this.#window.killed = true
    this.#ending = true
    for (const job of world.jobs) if (!job.isOver) job.unheard = true
    const held = world.jobs.filter((job) => !job.isOver && job.seen?.state === 'running' && job.waitsAtGate)
    const died = world.doom(commit, durable)
    const known = world.jobs.length
    const called = Promise.all(calls.map((call) => this.#call(call)))
    const settled = called.then(() => settleAmid(world, this.#history, this.#window)).catch(() => [])
    this.#problems.push(...((await Promise.race([died, settled])) ?? []))
    this.kills++
    if (await world.bury()) this.killsAtCommit++
    await called
    for (const job of world.jobs.slice(known)) job.unheard = true
    // Perhaps they were brought back, and nobody heard of it.
    for (const job of this.#window.retries) {
      job.unheard = true
      job.forget()
    }
    this.#ending = false
    await world.open()
    const { rescued, quarantined } = world.executor.recovery
    for (const job of held) {
      // Its run may have come to its end before, by what these calls ask for.
      const isInterrupted = calls.some((call) => call.do === 'pause' && call.interrupt && call.queue === job.settings.queue)
      if (isInterrupted || this.#window.cancels.has(job) || job.released || job.id === undefined) continue
      if (![...rescued, ...quarantined].includes(job.id))
        this.#problems.push(`job ${job.input.key} was running when the process died, and is not rescued`)
    }
    await world.followAll()
  }

  /** What one call enqueued is there as a whole, or not at all. */
  #checkGroups(): void {
    for (const jobs of this.#cutOffCalls) {
      const stored = jobs.filter(({ absent }) => !absent).length
      if (stored > 0 && stored < jobs.length) this.#problems.push(`${stored} of ${jobs.length} jobs of one call are stored`)
    }
  }
}

/** Makes sure that the job comes to rest: a loop ends only by its timeout, and no short timeout strikes for ever on a slow machine. */
function bounded(enqueue: Enqueue): Enqueue {
  const { act } = enqueue
  const { timeoutMs, softTimeoutMs, maxRetries } = settingsOf(enqueue, sampleInput(enqueue))
  const isShort = timeoutMs < SHORT_MS || (act === 'heed' && softTimeoutMs < SHORT_MS)
  return {
    ...enqueue,
    ...(act === 'loop' && timeoutMs >= SHORT_MS && { timeout: LOOP_TIMEOUT_MS }),
    ...((act === 'loop' || isShort) && maxRetries === Infinity && { maxRetries: RETRIES_OF_SHORT }),
  }
}

function isUnfit(enqueue: Enqueue): boolean {
  const { timeoutMs, softTimeoutMs } = settingsOf(enqueue, sampleInput(enqueue))
  return softTimeoutMs !== Infinity && softTimeoutMs >= timeoutMs
}

/** The key matters neither to timeouts nor to retries. */
function sampleInput({ act, times, afterMs }: Enqueue): Input {
  return { key: 0, act, times, afterMs, channel: '', bytes: undefined }
}

function isChange({ unique }: ModelJob): boolean {
  return unique?.onConflict === 'replace' || unique?.onConflict === 'debounce'
}

function uniqueOptions({ within, ...unique }: ModelUnique): UniqueOptions {
  return { ...unique, ...(within !== undefined && { within }) }
}

function optionsOf(enqueue: Enqueue, now: number): EnqueueOptions {
  const { queue, priority, maxRetries, timeout, softTimeout, backoff, delay, runAt, startBefore, unique, limit, weight } = enqueue
  return {
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
    ...(maxRetries !== undefined && { maxRetries }),
    ...(timeout !== undefined && { timeout }),
    ...(softTimeout !== undefined && { softTimeout }),
    ...(backoff !== undefined && { backoff }),
    ...(delay !== undefined && { delay }),
    ...(runAt !== undefined && { runAt: now + runAt }),
    ...(unique !== undefined && { unique: uniqueOptions(unique) }),
    ...(limit !== undefined && { limit: LIMITS[limit] }),
    ...(weight !== undefined && { weight }),
    ...(startBefore !== undefined && { startBefore: startBefore.span ? `${startBefore.ms}ms` : now + startBefore.ms }),
  }
}
