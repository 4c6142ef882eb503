/** The public class. It wires calls to the parts that do the work, and owns how an executor ends. */
import { MillraceError } from '../base/errors.js'
import type { CompiledDefinition, JobDefinition } from '../job/define-job.js'
import { compiledDefinition } from '../job/define-job.js'
import { parseJobId } from '../job/job-id.js'
import type { BackupReport } from '../maintenance/backup.js'
import { backupStore } from '../maintenance/backup.js'
import type { JobInfo, JobState } from '../job/job-info.js'
import type { EnqueueOptions } from '../options/enqueue-options.js'
import { compileEnqueueOptions } from '../options/enqueue-options.js'
import { checkIterable, checkListener, checkReason, compileClose, compileFilter, type CloseOptions } from './call-options.js'
import { cancelJob } from './cancel.js'
import type { EventListener, EventName } from './events.js'
import type { ListFilter } from './inspect.js'
import { inspect, listSteps } from './inspect.js'
import type { JobHandle } from './job-handle.js'
import { StoredJob } from './stored-job.js'
import type { ExecutorParts } from './parts.js'
import type { Recovery } from './recovery.js'
import type { ExecutorStats } from './stats.js'
import { readStats } from './stats.js'
import type { CloseReport } from './shut-down.js'
import { shutDown } from './shut-down.js'

/** How many jobs are in each state; those that are over as long as they are kept. */
export type JobCounts = Readonly<Record<JobState, number>>

/** The arguments behind the definition: an input that may be undefined may be left out. */
export type EnqueueArguments<Input> = undefined extends Input
  ? [input?: Input, options?: EnqueueOptions]
  : [input: Input, options?: EnqueueOptions]

/**
 * An open store and the threads that work for it. Made by {@link openExecutor}.
 *
 * The executor keeps the process alive while jobs are available or running, and while something it gave is being awaited; jobs
 * that are only scheduled for later do not.
 */
export class Executor {
  /** What a dead process had left in flight. */
  readonly recovery: Recovery
  readonly #parts: ExecutorParts
  #closing: Promise<CloseReport> | undefined
  #drains: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []

  /** @internal */
  constructor(parts: ExecutorParts, recovery: Recovery) {
    this.#parts = parts
    this.recovery = recovery
    parts.onQuiet = () => {
      for (const { resolve } of this.#drains.splice(0)) resolve()
    }
    parts.onFailure = (error) => this.#rejectDrains(error)
    parts.assertOpen = () => this.#assertOpen()
  }

  /**
   * Stores a job. Resolves when it is durable: at `durability: 'disk'` it then survives a power loss. When it rejects, nothing was
   * stored. If another job holds its `unique` key, `onConflict` says what becomes of it; the handle's `isNew` tells.
   *
   * @throws InvalidInputError `MILLRACE_INVALID_INPUT`
   * @throws DuplicateJobError `MILLRACE_DUPLICATE`
   * @throws MillraceError `MILLRACE_PAYLOAD_UNENCODABLE`, `MILLRACE_PAYLOAD_TOO_LARGE`, `MILLRACE_INVALID_OPTIONS`,
   * `MILLRACE_UNKNOWN_QUEUE`, `MILLRACE_UNKNOWN_DEFINITION`, `MILLRACE_BACKPRESSURE`, `MILLRACE_CLOSED`, `MILLRACE_STORE_FAILED`
   */
  async enqueue<Input, Output>(
    definition: JobDefinition<Input, Output>,
    ...rest: EnqueueArguments<NoInfer<Input>>
  ): Promise<JobHandle<Output>> {
    this.#assertOpen()
    const [input, options] = rest as [unknown, EnqueueOptions?]
    const compiled = this.#definition(definition)
    return (await this.#parts.intake.enqueue(compiled, input, compileEnqueueOptions(options))) as JobHandle<Output>
  }

  /**
   * Stores one job per input, all in one atomic commit, with the same options. The handles come in the order of the inputs. If one
   * input is refused, none is stored; the error lists every input that is, by its index. Inputs whose `unique` key is held, or that
   * another input of the call has, give handles of the jobs that hold them.
   *
   * @throws as {@link enqueue}
   */
  async enqueueMany<Input, Output>(
    definition: JobDefinition<Input, Output>,
    inputs: Iterable<NoInfer<Input>>,
    options?: EnqueueOptions,
  ): Promise<JobHandle<Output>[]> {
    this.#assertOpen()
    const compiled = this.#definition(definition)
    checkIterable(inputs)
    return (await this.#parts.intake.enqueueMany(compiled, inputs, compileEnqueueOptions(options))) as JobHandle<Output>[]
  }

  /**
   * The job as it stands, or undefined when it is not in the store: pruned, or never there.
   *
   * @throws MillraceError `MILLRACE_INVALID_ID`, `MILLRACE_CLOSED`
   */
  async get(id: string): Promise<JobInfo | undefined> {
    const address = parseJobId(id, this.#parts.store.mark)
    return await this.#inTurn(() => inspect(address, this.#parts))
  }

  /** A handle of a job enqueued earlier, also by an earlier process. */
  job<Output = unknown>(id: string): StoredJob<Output> {
    const address = parseJobId(id, this.#parts.store.mark)
    return new StoredJob<Output>(id, address, {
      inspect: () => this.#inTurn(() => inspect(address, this.#parts)),
      inTurn: (read) => this.#inTurn(read),
      results: this.#parts.results,
      cancel: (reason) => this.cancel(id, reason),
      read: () => inspect(address, this.#parts),
    })
  }

  /**
   * The jobs that fit a filter, read in steps, so that a long listing holds nobody up. Jobs that change state while it is read may
   * be missed or seen twice. Finished jobs come first, oldest first; then those that run or wait, in run order; then those
   * scheduled for later, in due order.
   *
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS` (with the first job asked for), `MILLRACE_CLOSED`
   */
  async *list(filter: ListFilter = {}): AsyncGenerator<JobInfo, void, undefined> {
    const compiled = compileFilter(filter)
    let left = compiled.limit ?? Infinity
    const steps = listSteps(compiled, this.#parts)
    while (left > 0) {
      const step = await this.#inTurn(() => steps.next())
      if (step.done === true) return
      for (const info of step.value) {
        if (left-- <= 0) return
        yield info
      }
    }
  }

  /** Counts of jobs by state, as of the last commit. Costs the same whatever the backlog. */
  async counts(): Promise<JobCounts> {
    this.#assertOpen()
    const { turns, dispatcher, retention } = this.#parts
    await turns.settled()
    const { scheduled, waiting, retryable } = turns.durable
    let running = 0
    for (const { batch } of dispatcher.batches) running += Math.max(0, batch.limit - batch.collected)
    running = Math.min(running, waiting)
    return {
      scheduled,
      available: waiting - running,
      running,
      retryable,
      completed: retention.count('completed'),
      cancelled: retention.count('cancelled'),
      discarded: retention.count('discarded'),
    }
  }

  /**
   * Copies the store as of its last commit, while everything goes on: each job acknowledged before the call is in the copy. The copy
   * is made in a thread beside the event loop, readable by this user only, and durable when the promise resolves; until then there
   * is nothing under its name. It is a store of its own, with the same job ids: `openExecutor` runs what waits in it, so never run
   * both. What was running waits there, and nothing is charged to it. `close` waits for a backup that is being made.
   *
   * @param path - a directory that does not exist yet, or is empty
   * @throws MillraceError `MILLRACE_COPY_FAILED`, `MILLRACE_INVALID_OPTIONS`, `MILLRACE_CLOSED`; the store is then as it was
   */
  async backup(path: string): Promise<BackupReport> {
    this.#assertOpen()
    return await backupStore(this.#parts.store.engine, path, this.#parts.clock)
  }

  /** What the threads are doing, how the store does, totals since the store was made. */
  stats(): ExecutorStats {
    return readStats(this.#parts)
  }

  /**
   * Cancels a job, waiting or running. A running one gets its signal aborted, and is terminated after `abortGrace`. Resolves when
   * the outcome is durable and the run has really ended: true if the job is cancelled, false if it was over already or ended first.
   *
   * @throws MillraceError `MILLRACE_INVALID_ID`, `MILLRACE_INVALID_OPTIONS` if the reason is no string, `MILLRACE_CLOSED`
   */
  async cancel(id: string, reason?: string): Promise<boolean> {
    this.#assertOpen()
    const address = parseJobId(id, this.#parts.store.mark)
    checkReason(reason)
    return await cancelJob(address, reason, this.#parts)
  }

  /**
   * Resolves when nothing is available, running, or due. Jobs scheduled for later do not count, nor those that cannot run here.
   *
   * @throws MillraceError `MILLRACE_CLOSED` when the executor closes first, `MILLRACE_STORE_FAILED`
   */
  async drain(): Promise<void> {
    this.#assertOpen()
    await new Promise<void>((resolve, reject) => {
      this.#drains.push({ resolve, reject })
      this.#parts.turns.read({ run: () => undefined, reject })
    })
  }

  /**
   * Adds a listener; adding the same one twice counts once.
   *
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS` if there is no such event, or the listener is no function
   */
  on<Name extends EventName>(name: Name, listener: EventListener<Name>): this {
    checkListener('on', name, listener)
    this.#parts.events.on(name, listener)
    return this
  }

  /** Takes a listener off again. @throws as {@link on} */
  off<Name extends EventName>(name: Name, listener: EventListener<Name>): this {
    checkListener('off', name, listener)
    this.#parts.events.off(name, listener)
    return this
  }

  /**
   * Ends the executor: no more claims, `grace` for what runs, then aborted signals, then terminated threads. Always resolves, and
   * leaves nothing claimed. Calling it again gives the same promise.
   *
   * @throws MillraceError `MILLRACE_INVALID_OPTIONS` at the call, whatever the state; the executor goes on as before
   */
  close(options: CloseOptions = {}): Promise<CloseReport> {
    const graceMs = compileClose(options)
    this.#closing ??= shutDown(this.#parts, graceMs).finally(() => {
      this.#rejectDrains(new MillraceError('MILLRACE_CLOSED', 'The executor closed before its jobs were drained.'))
    })
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) {
      throw new MillraceError('MILLRACE_CLOSED', 'The executor is closed. Open the store again with openExecutor.')
    }
    const { failure } = this.#parts.turns
    if (failure !== undefined) throw failure
  }

  #rejectDrains(error: Error): void {
    for (const { reject } of this.#drains.splice(0)) reject(error)
  }

  #definition(definition: JobDefinition<never>): CompiledDefinition {
    const compiled = compiledDefinition(definition)
    if (compiled === undefined) {
      throw new MillraceError(
        'MILLRACE_UNKNOWN_DEFINITION',
        'The first argument must be a job definition, as defineJob returns it.',
      )
    }
    const known = this.#parts.options.definitions.get(compiled.name)
    if (known === undefined) {
      throw new MillraceError(
        'MILLRACE_UNKNOWN_DEFINITION',
        `Job "${compiled.name}" is not among the jobs of this executor. Add it to the option jobs of openExecutor.`,
      )
    }
    return known
  }

  #inTurn<T>(read: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      try {
        this.#assertOpen()
      } catch (error) {
        reject(error)
        return
      }
      const run = (): void => {
        try {
          resolve(read())
        } catch (error) {
          reject(error)
        }
      }
      this.#parts.turns.read({ run, reject })
    })
  }
}
