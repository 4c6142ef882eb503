/**
 * What every thread of the pool runs: Piscina calls the default export with each batch.
 *
 * The build makes one CommonJS file of this and all it imports, `dist/workers/entry.cjs`. A thread then starts in two thirds of the
 * time that loading two dozen modules takes. And Piscina asks for its file by `require`: with an ES module there, Node 20 aborts the
 * whole process when a thread is terminated while that is being linked. The copies of modules in it and those that handlers import
 * know each other's objects by registered symbols, never by `instanceof` or by state of a module.
 */
import { threadId } from 'node:worker_threads'
import { MEMORY_STEP_BYTES } from '../src/base/limits.js'
import type { BatchResult, BatchTask, MainToThread } from '../src/protocol/messages.js'
import { openChannel, send } from './channel.js'
import { heldBytes } from './heap.js'
import { eventLoopTurn } from './event-loop-turn.js'
import { installHooks } from './load-handler.js'
import { BatchRunner } from './run-batch.js'
import { ThreadState } from './thread-state.js'
import { errorRecord } from '../src/codec/error-record.js'

const thread = new ThreadState()
const runner = new BatchRunner(thread)
let last: Promise<unknown> = Promise.resolve()
let toldBytes = 0

installHooks()
process.on('uncaughtException', (error) => runner.uncaught(error, 'MILLRACE_UNCAUGHT_EXCEPTION'))
process.on('unhandledRejection', (reason) => runner.uncaught(reason, 'MILLRACE_UNHANDLED_REJECTION'))

function onMessage(message: MainToThread): void {
  if (message.type === 'abort') {
    runner.abort(message.batchId, message.index, message.reason)
    return
  }
  void thread
    .tearDown()
    .catch((error: unknown) => {
      const { name, message: text, stack } = errorRecord(error)
      send({ type: 'stray', code: undefined, jobId: undefined, name, message: `A teardown failed: ${text}`, stack })
    })
    .finally(() => send({ type: 'tornDown' }))
}

/** Two batches may be here, one of them in reserve: they run one after the other, never together. */
export default async function runTask(task: BatchTask): Promise<BatchResult> {
  if (task.settings !== undefined) openChannel(task.settings.port, onMessage)
  thread.learn(task)
  const result = last.then(async () => {
    const batch = await runner.run(task)
    if (thread.tellMemory) tellMemory()
    return await movable(batch)
  })
  // A batch's result must have left before the next batch begins: a job there that never gives the thread back would hold it for
  // good, and the main thread would watch the wrong batch.
  last = result.then(eventLoopTurn, eventLoopTurn)
  return await result
}

function tellMemory(): void {
  const bytes = heldBytes()
  if (Math.abs(bytes - toldBytes) < MEMORY_STEP_BYTES) return
  toldBytes = bytes
  send({ type: 'memory', threadId, bytes })
}

/** A large output is moved to the main thread, not copied. Piscina is loaded for it only when one comes up. */
async function movable(result: BatchResult): Promise<BatchResult> {
  const { apart } = result
  if (apart === undefined) return result
  const { move, transferableSymbol, valueSymbol } = await import('piscina')
  return move({ [transferableSymbol]: [apart], [valueSymbol]: result } as unknown as Transferable) as unknown as BatchResult
}

type Transferable = Parameters<(typeof import('piscina'))['move']>[0]
