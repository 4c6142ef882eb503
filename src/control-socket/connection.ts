/**
 * The server's end of one client's connection: reads a request, lets it be answered, reads the next.
 *
 * Whoever is at the other end can neither hold the host up nor make it grow: one request at a time, of bounded length; nothing is read
 * while it is answered; what is sent waits for room; a client that stops half way, in either direction, is let go after a time. An
 * error here is the client's, never the host's.
 */
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../base/clock.js'
import { isMillraceError } from '../base/errors.js'
import { CONTROL_IDLE_MS, CONTROL_PULSE_MS, CONTROL_REQUEST_BYTES, CONTROL_SEND_MS } from '../base/limits.js'
import { describeThrown } from '../base/problems.js'
import { LineReader } from './line-reader.js'
import type { Answer, Call, Calls, Hello, Refusal, Reply } from './protocol.js'

export interface ConnectionOptions {
  readonly clock: Clock
  readonly hello: Hello
  readonly calls: Calls
  /** Runs a call when its turn has come, or refuses it because there are too many. */
  readonly admit: (run: () => Promise<unknown>) => Promise<unknown>
}

interface Request {
  readonly id: number
  readonly call: Call
  readonly given: unknown
}

export class Connection {
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #lines = new LineReader(CONTROL_REQUEST_BYTES)
  #idle: Timer | undefined
  #isAnswering = false

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    socket.unref()
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#idle?.cancel())
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#waitForRequest()
    socket.write(line(options.hello))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #waitForRequest(): void {
    this.#idle?.cancel()
    this.#idle = this.#options.clock.after(CONTROL_IDLE_MS, () => this.#socket.destroy())
  }

  #onData(chunk: Buffer): void {
    this.#lines.push(chunk)
    if (this.#lines.isOverlong) {
      const message = `The request is longer than ${CONTROL_REQUEST_BYTES} bytes. Enqueue large inputs in the program itself.`
      this.#part({ id: 0, error: { code: 'MILLRACE_CONTROL', message } })
      return
    }
    if (!this.#isAnswering) void this.#answerAll()
  }

  /** Never rejects. */
  async #answerAll(): Promise<void> {
    this.#isAnswering = true
    this.#idle?.cancel()
    this.#socket.pause()
    try {
      for (let text = this.#lines.next(); text !== undefined; text = this.#lines.next()) {
        const request = readRequest(text, this.#options.calls)
        if ('error' in request) {
          this.#part(request)
          return
        }
        await this.#answer(request)
      }
      this.#isAnswering = false
      this.#waitForRequest()
      this.#socket.resume()
    } catch {
      // The client is gone, or does not take what it asked for.
      this.#socket.destroy()
    }
  }

  async #answer({ id, call, given }: Request): Promise<void> {
    let pulse: Timer | undefined
    const beat = (): void => {
      pulse = this.#options.clock.after(CONTROL_PULSE_MS, () => {
        if (this.#socket.writableLength === 0) this.#socket.write(line({ id, pulse: true }))
        beat()
      })
    }
    beat()
    const reply: Reply = {
      items: (items) => this.#send({ id, items }),
      progress: (progress) => {
        if (this.#socket.destroyed) throw new Error('the client is gone')
        if (this.#socket.writableLength === 0) this.#socket.write(line({ id, progress }))
      },
    }
    let last: Answer
    try {
      last = { id, result: (await this.#options.admit(() => call(given, reply))) ?? null }
    } catch (error) {
      last = { id, error: refusalOf(error) }
    } finally {
      pulse?.cancel()
    }
    await this.#send(last)
  }

  /** Resolves when there is room for more. Rejects when the client is gone, or has not taken anything for long. */
  async #send(answer: Answer): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed) throw new Error('the client is gone')
    if (socket.write(line(answer))) return
    await new Promise<void>((resolve, reject) => {
      const timer = this.#options.clock.after(CONTROL_SEND_MS, () => socket.destroy())
      const settle = (): void => {
        timer.cancel()
        socket.off('drain', settle).off('close', settle)
        if (socket.destroyed) reject(new Error('the client is gone'))
        else resolve()
      }
      socket.on('drain', settle).on('close', settle)
    })
  }

  /** Says what is wrong with what the client has sent, and hears nothing more of it. */
  #part(answer: Answer): void {
    this.#isAnswering = true
    this.#socket.pause()
    this.#socket.end(line(answer))
    this.#idle?.cancel()
    this.#idle = this.#options.clock.after(CONTROL_SEND_MS, () => this.#socket.destroy())
  }
}

function line(value: Hello | Answer): string {
  return `${JSON.stringify(value)}\n`
}

function readRequest(text: string, calls: Calls): Request | Extract<Answer, { error: Refusal }> {
  const refuse = (id: number, message: string): Extract<Answer, { error: Refusal }> => ({
    id,
    error: { code: 'MILLRACE_CONTROL', message },
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse(0, 'The request is not a line of JSON.')
  }
  if (typeof value !== 'object' || value === null) return refuse(0, 'The request is not a JSON object.')
  const { id, call, with: given } = value as { readonly id?: unknown; readonly call?: unknown; readonly with?: unknown }
  if (typeof id !== 'number') return refuse(0, 'The request has no number as its id.')
  const known = typeof call === 'string' && Object.hasOwn(calls, call) ? calls[call] : undefined
  if (known === undefined) return refuse(id, `There is no such call. There are ${Object.keys(calls).join(', ')}.`)
  return { id, call: known, given }
}

function refusalOf(error: unknown): Refusal {
  if (isMillraceError(error)) return { code: error.code, message: error.message }
  return { code: 'MILLRACE_CONTROL', message: `The call failed: ${describeThrown(error)}` }
}
