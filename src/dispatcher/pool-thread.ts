/**
 * One thread of the pool: a Piscina of exactly one thread, and the life of the worker that it runs at the moment.
 *
 * A Piscina per thread, because two things must be in our hands that a shared pool keeps to itself: which thread gets a batch
 * (fairness, concurrency, taking back), and the replacement of a thread that native code holds. Within it Piscina does what it
 * is for: it starts the worker, carries tasks and results, and starts the next worker when one dies.
 *
 * A worker's death is its `exit` event and nothing else: Piscina rejects tasks earlier than that in some cases, and a retry
 * must not overlap the run it replaces. At a worker's `error` Piscina starts the next one, and would give that one what is sent; so
 * from `dying` to `exit` nothing may be sent.
 */
import type { Worker } from 'node:worker_threads'
import { MessageChannel, type MessagePort, type ResourceLimits } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { BATCHES_SENT } from '../base/limits.js'
import type { BatchResult, BatchTask, MainToThread, ThreadToMain } from '../protocol/messages.js'
import { WORKER_FILE } from './worker-url.js'

export interface PoolThreadOptions {
  readonly resourceLimits: ResourceLimits | undefined
  readonly env: NodeJS.ProcessEnv | undefined
  readonly execArgv: readonly string[] | undefined
}

export interface PoolThreadEvents {
  message(message: ThreadToMain): void
  /** The worker has failed, and is about to be gone. */
  dying(): void
  /** The worker is gone. The next one is starting when this is called, unless this one failed to start: see `start`. */
  exit(exitCode: number, error: Error | undefined): void
}

/** One worker, from its start to its exit. */
interface Life {
  readonly worker: Worker
  /** Told with the first batch. */
  port: MessagePort | undefined
  readonly definitions: Set<number>
  readonly queues: Set<number>
  error: Error | undefined
  exited: boolean
}

export class PoolThread {
  readonly #options: PoolThreadOptions
  readonly #events: PoolThreadEvents
  #pool: Piscina
  #life: Life
  #destroyed = false
  #gone: Promise<void> | undefined

  constructor(options: PoolThreadOptions, events: PoolThreadEvents) {
    this.#options = options
    this.#events = events
    this.#pool = this.#createPool()
    this.#life = this.#adopt()
  }

  get threadId(): number {
    return this.#life.worker.threadId
  }

  /** What this worker has failed with. */
  get error(): Error | undefined {
    return this.#life.error
  }

  /** Whether this worker has been sent its settings. */
  get isIntroduced(): boolean {
    return this.#life.port !== undefined
  }

  /** Whether this worker was told of a definition; it is from now on. */
  introduceDefinition(id: number): boolean {
    if (this.#life.definitions.has(id)) return true
    this.#life.definitions.add(id)
    return false
  }

  introduceQueue(id: number): boolean {
    if (this.#life.queues.has(id)) return true
    this.#life.queues.add(id)
    return false
  }

  /** The far end of a new channel, to be sent with the worker's first batch. */
  openPort(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    port1.on('message', (message: ThreadToMain) => this.#events.message(message))
    // Tasks under way keep the process alive; the channel alone does not.
    port1.unref()
    this.#life.port = port1
    return port2
  }

  /** Sends a batch. The promise is for its orderly end only: that of a dead worker's batch never settles, `exit` tells. */
  send(task: BatchTask, transfer: (ArrayBuffer | MessagePort)[]): Promise<BatchResult> {
    const life = this.#life
    return new Promise((resolve, reject) => {
      this.#pool.run(task, { transferList: transfer }).then(
        (result: BatchResult) => resolve(result),
        (error: unknown) => {
          // Of a worker that is dying `exit` tells; this is a task that could not be sent.
          if (!life.exited && life.error === undefined && !this.#destroyed) reject(error)
        },
      )
    })
  }

  post(message: MainToThread): void {
    this.#life.port?.postMessage(message)
  }

  /** Starts a worker if there is none: the last one failed while it started. */
  start(): void {
    if (!this.#life.exited || this.#destroyed) return
    void this.#pool.destroy().catch(() => undefined)
    this.#pool = this.#createPool()
    this.#life = this.#adopt()
  }

  /** Ends the worker. JavaScript stops within milliseconds; native code runs to its end first. */
  terminate(): void {
    void this.#life.worker.terminate()
  }

  /** Gives the thread up: no worker follows the one that may still be ending. Calling it again gives the same promise. */
  destroy(): Promise<void> {
    this.#destroyed = true
    this.#life.port?.close()
    this.#gone ??= this.#pool.destroy().catch(() => undefined)
    return this.#gone
  }

  #createPool(): Piscina {
    const { resourceLimits, env, execArgv } = this.#options
    const pool = new Piscina({
      filename: WORKER_FILE,
      minThreads: 1,
      maxThreads: 1,
      // As many as a thread is ever sent. A batch that waited in the pool would outlive its worker: the next one would run it, with
      // jobs that have long been taken back, and leave outcomes in a control that is another batch's by then.
      concurrentTasksPerWorker: BATCHES_SENT,
      idleTimeout: Infinity,
      // The thread's event loop must turn between batches: abort messages, and what jobs left behind.
      atomics: 'disabled',
      recordTiming: false,
      ...(resourceLimits !== undefined && { resourceLimits }),
      ...(env !== undefined && { env }),
      ...(execArgv !== undefined && { execArgv: [...execArgv] }),
    })
    // Tells of errors of workers without tasks; `exit` tells of all.
    pool.on('error', () => undefined)
    return pool
  }

  /** Takes over the worker that the pool runs now. */
  #adopt(): Life {
    const [worker] = this.#pool.threads
    if (worker === undefined) throw new Error('the pool has no thread')
    const life: Life = { worker, port: undefined, definitions: new Set(), queues: new Set(), error: undefined, exited: false }
    worker.on('error', (error: Error) => {
      life.error ??= error
      if (!life.exited && !this.#destroyed) this.#events.dying()
    })
    worker.once('exit', (exitCode: number) => {
      life.exited = true
      if (this.#destroyed) {
        this.#events.exit(exitCode, life.error)
        return
      }
      // After a worker that failed while it started, Piscina starts none: `start` does.
      if (this.#pool.threads.length > 0) this.#life = this.#adopt()
      this.#events.exit(exitCode, life.error)
    })
    return life
  }
}
