/** What threads say beside outcomes, made into events. */
import { MillraceError } from '../base/errors.js'
import type { Batch } from '../dispatcher/batch.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'
import { formatJobId } from '../job/job-id.js'
import { nextAttempt } from '../job/job-state.js'
import { readEntry, readHistory } from '../codec/page.js'
import type { ThreadToMain } from '../protocol/messages.js'
import type { JobStore } from '../store/job-store.js'
import type { EventHub, EventJob } from './events.js'
import type { Recovery } from './recovery.js'
import type { Registry } from './registry.js'

export interface ThreadMessagesOptions {
  readonly store: JobStore
  readonly registry: Registry
  readonly events: EventHub
}

export class ThreadMessages {
  /** What each thread said last that it holds, in bytes, by thread id. */
  readonly heldBytes = new Map<number, number>()
  readonly #options: ThreadMessagesOptions

  constructor(options: ThreadMessagesOptions) {
    this.#options = options
  }

  handle(slot: ThreadSlot, message: ThreadToMain, dispatcher: Dispatcher): void {
    const { events } = this.#options
    switch (message.type) {
      case 'output':
        process[message.stream].write(message.text)
        return
      case 'log':
        this.#log(message)
        return
      case 'stray':
        this.#stray(message)
        // What it left behind in the thread is unknown.
        if (message.code === 'MILLRACE_UNCAUGHT_EXCEPTION') slot.recycle()
        return
      case 'progress': {
        const held = dispatcher.batch(message.batchId)
        if (held === undefined || message.index >= held.batch.limit || message.index < held.batch.collected) return
        const { fraction, message: text } = message
        held.batch.progress.set(message.index, { fraction, ...(text !== undefined && { message: text }) })
        if (events.has('progress'))
          events.emit('progress', { job: this.#job(held.batch, message.index), fraction, message: text })
        return
      }
      case 'started': {
        const held = dispatcher.batch(message.batchId)
        if (held === undefined || !events.has('started')) return
        events.emit('started', {
          job: this.#job(held.batch, message.index),
          attempt: this.#attempt(held.batch, message.index),
          threadId: slot.threadId,
          at: message.at,
        })
        return
      }
      case 'memory':
        this.heldBytes.set(message.threadId, message.bytes)
        return
      case 'tornDown':
        return
    }
  }

  stuck(slot: ThreadSlot, batch: Batch | undefined): void {
    const { events } = this.#options
    if (!events.has('stuck')) return
    const running = batch?.running ?? -1
    events.emit('stuck', {
      threadId: slot.threadId,
      job: batch === undefined || running < 0 ? undefined : this.#job(batch, running),
    })
  }

  startFailed(exitCode: number, error: Error | undefined, pauseMs: number): void {
    const reason = error === undefined ? `exit code ${exitCode}` : `${error.name}: ${error.message}`
    this.#error(
      new MillraceError(
        'MILLRACE_THREAD_DIED',
        `Threads die while they start (${reason}); the next one is started in ${pauseMs} ms. Check resourceLimits, env and execArgv.`,
        {
          cause: error,
        },
      ),
      undefined,
    )
  }

  rescued(recovery: Recovery): void {
    const { events } = this.#options
    // Listeners cannot be there before openExecutor has resolved.
    setImmediate(() => {
      if (!events.has('rescued')) return
      const suspects = new Set(recovery.suspects)
      for (const id of recovery.rescued) events.emit('rescued', { id, suspect: suspects.has(id) })
    })
  }

  #log(message: ThreadToMain & { type: 'log' }): void {
    const { events } = this.#options
    const { jobId, jobName, level, message: text, data } = message
    if (events.has('log')) {
      events.emit('log', { jobId, name: jobName, level, message: text, data: data === undefined ? undefined : JSON.parse(data) })
    } else if (level === 'warn' || level === 'error') {
      process.stderr.write(`[millrace] ${level} ${jobName} ${jobId}: ${text}${data === undefined ? '' : ` ${data}`}\n`)
    }
  }

  #stray({ code, jobId, name, message, stack }: ThreadToMain & { type: 'stray' }): void {
    const what = code === 'MILLRACE_UNHANDLED_REJECTION' ? 'A promise was rejected' : 'An exception was thrown'
    const where = jobId === undefined ? '' : `, probably left behind by job ${jobId}`
    const error = new MillraceError(
      code ?? 'MILLRACE_THREAD_DIED',
      code === undefined ? message : `${what} in a thread while no job ran${where}: ${name}: ${message}`,
    )
    if (stack !== undefined) error.stack = stack
    this.#error(error, jobId)
  }

  #error(error: MillraceError, jobId: string | undefined): void {
    const { events } = this.#options
    if (events.has('error')) events.emit('error', { error, jobId })
    else process.emitWarning(error, { type: 'MillraceError' })
  }

  #job(batch: Batch, at: number): EventJob {
    const { store, registry } = this.#options
    const { page, index, offset } = batch.job(at)
    return {
      id: formatJobId(page.seqOf(index), page.queueId, page.rank, store.mark),
      name: registry.name(store.bytesOf(page).readUInt16LE(offset + 4)),
      queue: store.queueName(page.queueId),
    }
  }

  #attempt(batch: Batch, at: number): number {
    const { page, offset } = batch.job(at)
    const bytes = this.#options.store.bytesOf(page)
    const ledger = readHistory(bytes, readEntry(bytes, offset))
    return ledger === undefined ? 1 : nextAttempt(ledger)
  }
}
