/**
 * `millrace demo`: one durable job for each file of a folder.
 *
 * The store outlives the process until a run is complete. So a run begins by looking whether there is one, tells its jobs from the
 * files that have none yet, and ends by removing it. In between it may be stopped at any moment, by Ctrl-C or by `kill -9`.
 */
import { availableParallelism, constants } from 'node:os'
import { isMillraceError, LockedError, openExecutor } from '../../index.js'
import type { Executor } from '../../index.js'
import { createDisplay } from '../demo/display.js'
import { EarlierRun } from '../demo/earlier-run.js'
import { FailureList } from '../demo/failure-list.js'
import { formatCount, plural, printable } from '../demo/format-quantity.js'
import { measureFile } from '../demo/measure-file.js'
import { openFolder } from '../demo/open-folder.js'
import { Progress } from '../demo/progress.js'
import { forgetProgress, progressStore } from '../demo/progress-store.js'
import { readRunningFiles } from '../demo/running-files.js'
import type { StopSignal } from '../demo/stop-signals.js'
import { StopSignals } from '../demo/stop-signals.js'
import { gatherSummary, summaryLines } from '../demo/summary.js'
import { walkFolder } from '../demo/walk-folder.js'

export interface DemoOptions {
  readonly folder: string
  /** Undefined: one per core. */
  readonly threads: number | undefined
  /** The directory below which the progress is kept; undefined: the system's temporary one. */
  readonly store: string | undefined
  /** Forget what an interrupted run has done. */
  readonly fresh: boolean
  /** What to type to go on. */
  readonly command: string
}

const REDRAW_MS = 100
/** What a running file has after Ctrl-C to be finished, before it is broken off. */
const CLOSE_GRACE_MS = 300

/** Resolves with the exit code. */
export async function demo(options: DemoOptions): Promise<number> {
  try {
    const folder = await openFolder(options.folder)
    const store = progressStore(folder, options.store)
    if (options.fresh) await forgetProgress(store)
    return await new Demo(options, folder, store).run()
  } catch (error) {
    process.stderr.write(`millrace demo: ${problemOf(error, options)}\n`)
    return 1
  }
}

function problemOf(error: unknown, { folder, command }: DemoOptions): string {
  if (error instanceof LockedError) {
    return `Another demo of ${printable(folder)} is running, in process ${error.holderPid}. Wait for it, or stop it.`
  }
  const message = error instanceof Error ? error.message : String(error)
  return isMillraceError(error) ? `${message} To go on: ${command}. To start afresh: ${command} --fresh` : message
}

/** One run, from opening the store to removing or leaving it. */
class Demo {
  readonly #options: DemoOptions
  readonly #folder: string
  readonly #store: string
  readonly #threads: number
  readonly #display = createDisplay(process.stdout)
  readonly #startedAt = Date.now()
  readonly #startedMs = performance.now()
  readonly #progress = new Progress(this.#startedMs)
  readonly #failures: FailureList
  #leftOut = 0
  #isResumed = false
  /** What the earlier run has done is known: there is something to show. */
  #isReady = false
  #isDrawing = false
  #isOver = false

  constructor(options: DemoOptions, folder: string, store: string) {
    this.#options = options
    this.#folder = folder
    this.#store = store
    this.#threads = options.threads ?? availableParallelism()
    this.#failures = new FailureList(folder)
  }

  /** Resolves with the exit code. */
  async run(): Promise<number> {
    const executor = await openExecutor({
      path: this.#store,
      jobs: [measureFile],
      threads: this.#threads,
      // The table is made of the results of all files.
      retain: { jobs: Infinity, age: Infinity },
      // A demo that invites kill -9 does not blame the files that were being read at the time.
      maxCrashes: Infinity,
    })
    const stop = new StopSignals()
    const timer = setInterval(() => void this.#draw(executor), REDRAW_MS)
    try {
      this.#display.print(`Measuring the files of ${printable(this.#folder)} on ${plural(this.#threads, 'thread')}.`)
      const work = this.#work(executor, stop.aborted)
      const outcome = await Promise.race([work, this.#storeFailure(executor), stop.caught])
      this.#isOver = true
      if (typeof outcome === 'string') {
        work.catch(() => undefined)
        return await this.#stop(executor, outcome)
      }
      return await this.#finish(executor, outcome)
    } finally {
      clearInterval(timer)
      this.#isOver = true
      this.#display.end()
      await executor.close({ grace: 0 })
      stop.dispose()
    }
  }

  /** From the first file to the last result. */
  async #work(executor: Executor, aborted: AbortSignal): Promise<EarlierRun> {
    await this.#tellResumption(executor)
    for (const name of ['completed', 'discarded', 'cancelled'] as const) {
      executor.on(name, ({ job }) => this.#progress.end(job.id))
    }
    const earlier = await EarlierRun.read(executor, this.#progress)
    this.#isReady = true
    const walk = walkFolder(this.#folder, {
      skip: this.#store,
      aborted,
      onFailure: (path, reason) => this.#failures.add(path, reason),
      onLeftOut: () => this.#leftOut++,
    })
    for await (const found of walk) {
      const files = found.filter((file) => earlier.needsJob(file))
      const jobs = await executor.enqueueMany(measureFile, files)
      for (const [index, file] of files.entries()) {
        earlier.enqueued(file)
        this.#progress.add(jobs[index]?.id ?? '', file.sizeBytes)
      }
    }
    if (aborted.aborted) return earlier
    earlier.walked()
    this.#progress.isWalking = false
    await executor.drain()
    return earlier
  }

  async #tellResumption(executor: Executor): Promise<void> {
    const done = filesDone(executor)
    const all = await filesStored(executor)
    if (all === 0) return
    this.#isResumed = true
    const { length: rescued } = executor.recovery.rescued
    const rest = rescued === 0 ? '' : `, ${formatCount(rescued)} rescued`
    this.#display.print(`resuming: ${formatCount(done)} of ${plural(all, 'file')} were done${rest}`)
  }

  /** Never resolves; rejects when the store has failed. What else goes wrong beside the jobs is printed. */
  #storeFailure(executor: Executor): Promise<never> {
    return new Promise((_, reject) => {
      executor.on('error', ({ error }) => {
        if (isMillraceError(error, 'MILLRACE_STORE_FAILED')) reject(error)
        else this.#display.print(printable(error.message))
      })
    })
  }

  async #draw(executor: Executor): Promise<void> {
    if (!this.#isReady || this.#isDrawing || this.#isOver) return
    this.#isDrawing = true
    try {
      const running = await readRunningFiles(executor, this.#folder)
      const snapshot = this.#progress.snapshot(performance.now(), filesDone(executor), running.doneBytes)
      // A run that has ended meanwhile has the screen for itself.
      if (!this.#isOver) this.#display.update(snapshot, running)
    } catch {
      // The executor has been closed meanwhile, and the run says why.
    } finally {
      this.#isDrawing = false
    }
  }

  /** Prints the table, and removes the progress: the next run starts afresh. */
  async #finish(executor: Executor, earlier: EarlierRun): Promise<number> {
    const wallMs = performance.now() - this.#startedMs
    const summary = await gatherSummary({
      executor,
      earlier,
      failures: this.#failures,
      folder: this.#folder,
      startedAt: this.#startedAt,
    })
    await executor.close({ grace: 0 })
    this.#display.end()
    const facts = {
      threads: this.#threads,
      wallMs,
      isResumed: this.#isResumed,
      leftOut: this.#leftOut,
      width: this.#display.width,
    }
    const lines = this.#progress.filesFound === 0 ? ['There are no files in it.'] : summaryLines(summary, facts)
    for (const line of [...lines, ...this.#failures.lines()]) this.#display.print(line)
    await forgetProgress(this.#store)
    return 0
  }

  /** Leaves the progress in the store, and says how to go on. */
  async #stop(executor: Executor, signal: StopSignal): Promise<number> {
    const files = plural(await filesStored(executor), 'file')
    await executor.close({ grace: CLOSE_GRACE_MS })
    this.#display.end()
    const found = this.#progress.isWalking ? ' found so far' : ''
    this.#display.print(`Stopped: ${formatCount(filesDone(executor))} of ${files}${found} are done. To go on from there:`)
    this.#display.print(`  ${this.#options.command}`)
    return 128 + constants.signals[signal]
  }
}

/** Of this run and the ones it goes on with, whatever became of them. */
function filesDone(executor: Executor): number {
  const { completed, discarded, cancelled } = executor.stats().totals
  return completed + discarded + cancelled
}

/** Done or not. */
async function filesStored(executor: Executor): Promise<number> {
  return Object.values(await executor.counts()).reduce((sum, count) => sum + count, 0)
}
