/**
 * The thread's line to the main thread beside the batches: starts, progress, logs, output, stray errors, and the abort and
 * tear-down requests that come back. Messages that were posted are delivered even when the thread is terminated right after,
 * which is why stdout and stderr go this way: Node's own streams of a thread keep all but the first chunk until its event loop
 * turns, and lose them with the thread.
 */
import type { MessagePort } from 'node:worker_threads'
import type { MainToThread, ThreadToMain } from '../src/protocol/messages.js'

let port: MessagePort | undefined

export function send(message: ThreadToMain): void {
  port?.postMessage(message)
}

/** Called once, with the first batch and before any module of the user is loaded. */
export function openChannel(opened: MessagePort, onMessage: (message: MainToThread) => void): void {
  port = opened
  opened.on('message', onMessage)
  forward('stdout')
  forward('stderr')
}

function forward(stream: 'stdout' | 'stderr'): void {
  const write = (chunk: string | Uint8Array, encoding?: BufferEncoding | Callback, callback?: Callback): boolean => {
    check(chunk)
    const text =
      typeof chunk === 'string' && typeof encoding === 'string' && encoding !== 'utf8' && encoding !== 'utf-8'
        ? Buffer.from(chunk, encoding)
        : chunk
    send({ type: 'output', stream, text })
    const done = typeof encoding === 'function' ? encoding : callback
    if (done !== undefined) process.nextTick(done, null)
    return true
  }
  process[stream].write = write
}

/** The main thread's stream would throw there, outside of every job: what no stream takes is refused here, in Node's words. */
function check(chunk: unknown): void {
  if (typeof chunk === 'string' || chunk instanceof Uint8Array) return
  if (chunk === null)
    throw Object.assign(new TypeError('May not write null values to stream'), { code: 'ERR_STREAM_NULL_VALUES' })
  throw Object.assign(
    new TypeError(`The "chunk" argument must be of type string or an instance of Buffer or Uint8Array. Received ${typeof chunk}`),
    { code: 'ERR_INVALID_ARG_TYPE' },
  )
}

type Callback = (error?: Error | null) => void
