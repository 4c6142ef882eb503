/**
 * What a thread keeps between batches: the handlers it has loaded and the state that each definition's `setup` gave. One per
 * thread; lives and dies with it.
 */
import { threadId } from 'node:worker_threads'
import { errorRecord } from '../src/codec/error-record.js'
import { MillraceError } from '../src/base/errors.js'
import type { BatchTask, DefinitionRef } from '../src/protocol/messages.js'
import type { Handler } from './load-handler.js'
import { loadHandler } from './load-handler.js'

interface Loaded {
  readonly handler: Handler
  /** `setup` has run, or there is none. */
  ready: boolean
  state: unknown
}

export class ThreadState {
  storeMark = 0
  payloadBytes = 0
  measureHeap = false
  tellMemory = false
  readonly #definitions = new Map<number, DefinitionRef>()
  readonly #queues = new Map<number, string>()
  readonly #loaded = new Map<number, Loaded>()

  /** Takes in what a batch tells for the first time. */
  learn(task: BatchTask): void {
    if (task.settings !== undefined) {
      this.storeMark = task.settings.storeMark
      this.payloadBytes = task.settings.payloadBytes
      this.measureHeap = task.settings.measureHeap
      this.tellMemory = task.settings.tellMemory
    }
    for (const definition of task.definitions ?? []) this.#definitions.set(definition.id, definition)
    for (const queue of task.queues ?? []) this.#queues.set(queue.id, queue.name)
  }

  definitionName(id: number): string {
    return this.#definitions.get(id)?.name ?? ''
  }

  queueName(id: number): string {
    return this.#queues.get(id) ?? ''
  }

  /** The handler with its state, if both are there. */
  ready(definitionId: number): Loaded | undefined {
    const loaded = this.#loaded.get(definitionId)
    return loaded?.ready === true ? loaded : undefined
  }

  /**
   * Loads the handler's module, and its state after `enterSetup`. What failed is tried again for the next job.
   * @throws MillraceError `MILLRACE_MODULE_FAILED`, `MILLRACE_HANDLER_MISSING`, `MILLRACE_SETUP_FAILED`
   */
  async prepare(definitionId: number, enterSetup: () => void): Promise<Loaded> {
    let loaded = this.#loaded.get(definitionId)
    if (loaded === undefined) {
      const ref = this.#definitions.get(definitionId)
      if (ref === undefined)
        throw new MillraceError('MILLRACE_HANDLER_MISSING', `The thread was not told of definition ${definitionId}.`)
      loaded = { handler: await loadHandler(ref), ready: false, state: undefined }
      this.#loaded.set(definitionId, loaded)
    }
    const { setup } = loaded.handler
    if (setup !== undefined) {
      enterSetup()
      try {
        loaded.state = await setup({ threadId })
      } catch (error) {
        const { name, message } = errorRecord(error)
        throw new MillraceError(
          'MILLRACE_SETUP_FAILED',
          `The setup of job "${this.definitionName(definitionId)}" failed: ${name}: ${message}`,
          { cause: error },
        )
      }
    }
    loaded.ready = true
    return loaded
  }

  /** Runs every teardown. One that throws does not keep the others from running; the first error is thrown afterwards. */
  async tearDown(): Promise<void> {
    const loaded = [...this.#loaded.values()]
    this.#loaded.clear()
    const errors: unknown[] = []
    for (const { handler, ready, state } of loaded) {
      if (!ready || handler.teardown === undefined) continue
      try {
        await handler.teardown(state)
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
