/**
 * The real side of a history: an executor over a store that can die, its clock, the witness of its runs, and what it has told. A
 * kill is a store whose commits are cut off at some point: a new executor opens what was there (see `mortal-store`).
 */
import { BroadcastChannel } from 'node:worker_threads'
import type { CloseReport, Executor, JobHandle, JobInfo } from '../../../src/index.js'
import { isMillraceError } from '../../../src/index.js'
import { openExecutorWith } from '../../../src/executor/open-executor.js'
import type { Engine } from '../../../src/store/engine.js'
import { within } from './hang.js'
import { QUEUES, type History, type QueueName } from './history.js'
import type { Release, Witness } from '../../fixtures/torture/model-jobs.js'
import { DEFINITIONS } from '../../fixtures/torture/model-jobs.js'
import { nameOf } from './keys.js'
import type { ModelJob, Over, QueueSetting } from './model.js'
import { MortalStore, type Life, type MortalStoreOptions } from './mortal-store.js'
import { StartOrder } from './start-order.js'
import { TurnedClock } from './turned-clock.js'

/** No measure of speed: what takes so long hangs. */
const HANG_MS = 60_000
/** Of a command, which may wait for rest twice, and for an executor to close and to open. */
const HANGS_OF_COMMAND = 4

export interface WorldOptions extends MortalStoreOptions {
  readonly history: History
  /** What takes so long hangs, in ms. @defaultValue 60 s */
  readonly hangMs?: number
  /** Puts a fault between the executor and its store. */
  readonly spoilEngine?: (engine: Engine) => Engine | Promise<Engine>
  /** Puts a fault between the caller and the executor. */
  readonly spoilExecutor?: (executor: Executor) => Executor
}

/** As `openExecutor` is told, every time. */
const QUEUE_OPTIONS = { default: {}, narrow: { concurrency: 1 }, other: {} } as const

export function configured(queue: QueueName): QueueSetting {
  return { paused: false, concurrency: queue === 'narrow' ? 1 : Infinity }
}

let worlds = 0

export class World {
  readonly clock = new TurnedClock()
  readonly channelName = `millrace-model-${process.pid}-${worlds++}`
  readonly jobs: ModelJob[] = []
  readonly byId = new Map<string, ModelJob>()
  /** Those that wait at their gates, in a thread of the present executor. */
  readonly arrived = new Set<number>()
  /** What was set of the queues, as last seen. */
  readonly settings = new Map<QueueName, QueueSetting>(QUEUES.map((queue) => [queue, configured(queue)]))
  /** The wall clock was set: spans of time cannot be told from its readings any more. */
  hasJumped = false
  /** Queues were bounded otherwise than at first. */
  isRebounded = false
  /** Jobs have been removed that `retain` would have kept. */
  purged = false
  /** A job may have been brought back and have ended again between two looks: nobody counts such ends. */
  hasUnseenEnds = false
  /** In which order jobs were begun. */
  readonly order = new StartOrder()
  /** Told by nobody's fault: to be reported. */
  readonly problems: string[] = []
  /** Resolves at whatever comes up next. */
  #stir: () => void = () => undefined
  readonly #options: WorldOptions
  readonly #channel: BroadcastChannel
  readonly #store: MortalStore
  #life!: Life
  #engine!: Engine
  #executor!: Executor
  /** Tells of the present executor are heard. */
  #hears = { on: false }

  constructor(options: WorldOptions) {
    this.#options = options
    this.#store = new MortalStore(options)
    this.#channel = new BroadcastChannel(this.channelName)
    this.#channel.onmessage = (event: unknown) => this.#witness((event as { data: Witness }).data)
  }

  get executor(): Executor {
    return this.#executor
  }

  /** The store's bytes, as the executor's engine has them. */
  get engine(): Engine {
    return this.#engine
  }

  get commits(): number {
    return this.#life.commits
  }

  get hangMs(): number {
    return this.#options.hangMs ?? HANG_MS
  }

  /** The same for a command as a whole. */
  get commandHangMs(): number {
    return HANGS_OF_COMMAND * this.hangMs
  }

  async open(): Promise<void> {
    const { history, spoilEngine, spoilExecutor } = this.#options
    const hears = { on: true }
    this.#hears = hears
    this.#life = await this.#store.open(() => {
      hears.on = false
    })
    this.#engine = spoilEngine === undefined ? this.#life.engine : await spoilEngine(this.#life.engine)
    const { threads, retain } = history
    const jobs = retain === 'all' ? Infinity : retain
    const settings = {
      path: ':memory:',
      jobs: Object.values(DEFINITIONS),
      threads,
      queues: QUEUE_OPTIONS,
      retain: { jobs, age: Infinity },
      abortGrace: 20,
    }
    const executor = await openExecutorWith(settings, { clock: this.clock, engine: this.#engine })
    this.#listen(executor, hears)
    this.#executor = spoilExecutor?.(executor) ?? executor
  }

  #listen(executor: Executor, hears: { readonly on: boolean }): void {
    for (const state of ['completed', 'cancelled', 'discarded'] as const)
      executor.on(state, ({ job }) => {
        if (hears.on) this.#told(job.id, state)
        this.#left(job.id)
      })
    for (const name of ['failed', 'interrupted'] as const) executor.on(name, ({ job }) => this.#left(job.id))
    executor.on('idle', () => this.stir())
    executor.on('retried', ({ job }) => {
      const retried = this.byId.get(job.id)
      if (hears.on && retried?.told !== undefined) {
        if (!retried.retryAsked) this.problems.push(`job ${retried.input.key} was ${retried.told}, and is retried`)
        retried.revived(retried.told)
        retried.forget()
      }
      this.stir()
    })
    executor.on('error', ({ error }) => {
      if (hears.on) this.problems.push(`an error event: ${error.message}`)
    })
  }

  /** Its run is over: if it runs again, it has yet to come to its gate. */
  #left(id: string): void {
    const job = this.byId.get(id)
    if (job !== undefined) this.arrived.delete(job.input.key)
    this.stir()
  }

  #told(id: string, state: Over): void {
    const job = this.byId.get(id)
    if (job === undefined) this.#early.set(id, [...(this.#early.get(id) ?? []), state])
    else this.#tell(job, state)
  }

  /** Ends that were told before the enqueue was. */
  readonly #early = new Map<string, Over[]>()

  #tell(job: ModelJob, state: Over): void {
    if (job.toldByEvent || (job.told !== undefined && job.told !== state))
      this.problems.push(`job ${job.input.key} was told to be ${job.told}, and then ${state}`)
    job.told = state
    job.toldByEvent = true
  }

  /** The job is known by its id from now on. */
  know(job: ModelJob, id: string): void {
    const other = this.byId.get(id)
    if (other !== undefined && other !== job)
      this.problems.push(`the id ${id} stands for ${other.input.key} and ${job.input.key}`)
    if (job.id !== undefined && job.id !== id) this.problems.push(`job ${job.input.key} is both ${job.id} and ${id}`)
    job.id = id
    this.byId.set(id, job)
    for (const state of this.#early.get(id) ?? []) this.#tell(job, state)
    this.#early.delete(id)
  }

  /** A job whose id is another one's now: that one's input and settings have been seen in its place. */
  observe(infos: readonly JobInfo[], onReplaced: (job: ModelJob, by: ModelJob) => void): void {
    for (const { id, input } of infos) {
      const job = this.byId.get(id)
      const by = this.jobs[(input as { readonly key?: number }).key ?? -1]
      if (job === undefined || by === undefined || job === by || !by.mayReplace || nameOf(job) !== nameOf(by)) continue
      // Others whose calls were made before may have taken it first, and have left it their time.
      const before = this.jobs.slice(0, by.input.key).filter(({ mayReplace, heldBy }) => mayReplace && heldBy === id)
      let last = job
      for (const each of [...before, by]) {
        each.replace(last, this.clock.now())
        each.id = id
        this.byId.set(id, each)
        onReplaced(last, each)
        last = each
      }
    }
  }

  /** A handle of a job that held the key. */
  returned(job: ModelJob, handle: JobHandle<unknown>): void {
    this.#follow(job, handle.result())
  }

  acknowledged(job: ModelJob, handle: JobHandle<unknown>): void {
    job.acknowledged = true
    this.know(job, handle.id)
    this.#follow(job, handle.result())
  }

  /** What `result()` says must be what the job is. */
  #follow(job: ModelJob, result: Promise<unknown>): void {
    const hears = this.#hears
    const ended = (state: Over): void => {
      const { current } = job
      const { told } = current
      if (hears.on && told !== undefined && told !== state)
        this.problems.push(`result() of job ${current.input.key} says ${state}, an event said ${told}`)
      if (hears.on) current.told = state
    }
    result.then(
      () => ended('completed'),
      (error: unknown) => {
        const code = isMillraceError(error) ? error.code : String(error)
        if (code === 'MILLRACE_JOB_FAILED') ended('discarded')
        else if (code === 'MILLRACE_JOB_CANCELLED') ended('cancelled')
        else if (hears.on && !['MILLRACE_RESULT_PENDING', 'MILLRACE_CLOSED', 'MILLRACE_JOB_PRUNED'].includes(code))
          this.problems.push(`result() of job ${job.input.key}: ${String(error)}`)
      },
    )
  }

  /** Lets a job go on that waits at its gate, or will. */
  release(job: ModelJob): void {
    job.released = true
    this.arrived.delete(job.input.key)
    this.#post(job.input.key)
  }

  #post(key: number): void {
    this.#channel.postMessage({ release: key } satisfies Release)
  }

  #witness({ key, attempt, waits }: Witness): void {
    const job = this.jobs[key]
    if (job === undefined) return
    if (!waits) {
      if (attempt === 1 && job.runs.length === 0) this.order.began(job)
      job.runs.push(attempt)
      this.arrived.delete(key)
      if (job.isOver && !job.retryAsked) this.problems.push(`job ${key} was over, and ran attempt ${attempt}`)
      if (job.replacedBy !== undefined) this.problems.push(`job ${key} ran attempt ${attempt} with an input that was replaced`)
    } else if (job.released) this.#post(key)
    else if (job.waitsAtGate) this.arrived.add(key)
    this.stir()
  }

  stir(): void {
    this.#stir()
  }

  /** Resolves when something is told, or after a moment in which nothing was. */
  async stirred(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 4)
      this.#stir = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Closes in order. Afterwards the store's bytes can still be read in `look`. */
  async close(grace: number, look: (engine: Engine) => void): Promise<CloseReport> {
    const report = await this.#executor.close({ grace })
    this.#hears.on = false
    this.arrived.clear()
    look(this.#store.bytes)
    await this.#store.close()
    return report
  }

  /** From now on the process dies at the given commit. */
  doom(commit: number, durable: boolean): Promise<void> {
    this.#life.left = commit
    this.#life.lastIsDurable = durable
    return this.#life.died
  }

  /** It dies at once, if it has not yet; resolves when nothing of it is left but what it stored. Gives whether a commit was cut off. */
  async bury(): Promise<boolean> {
    const { fellAtCommit } = this.#life
    await this.#life.die()
    await this.#executor.close({ grace: 0 })
    this.arrived.clear()
    return fellAtCommit
  }

  /** Awaits the results of all jobs that are not over, as a new process does. */
  async followAll(): Promise<void> {
    for (const job of this.jobs) if (job.id !== undefined && !job.isOver) this.#follow(job, this.#executor.job(job.id).result())
  }

  /** Everything that `list` gives. */
  async listed(): Promise<JobInfo[]> {
    const infos: JobInfo[] = []
    for await (const info of this.#executor.list()) infos.push(info)
    return infos
  }

  async end(): Promise<void> {
    this.#hears.on = false
    try {
      await within(this.hangMs, 'close at the end', this.#executor.close({ grace: 0 }))
    } finally {
      this.#channel.close()
    }
    await this.#store.close()
  }
}
