/**
 * The client's end of the control socket. It tells apart what an operator has to do something different about: nobody listens, the
 * executor does not answer, it went away, it is of another version.
 */
import { connect, type Socket } from 'node:net'
import type { Clock, Timer } from '../base/clock.js'
import { PROTOCOL, type Answer, type Hello } from './protocol.js'
import { SOCKET_FILE, withSocketPath } from './socket-place.js'

/**
 * - `absent`: nobody listens; there is no socket, or its process is dead.
 * - `denied`: the socket is another user's.
 * - `silent`: the executor has not said anything for the time given.
 * - `lost`: the connection ended before the answer, or at once because there are too many.
 * - `version`: the executor speaks another version of the protocol.
 * - `refused`: the executor answered with an error; `code` is its code.
 */
export type ControlProblem = 'absent' | 'denied' | 'silent' | 'lost' | 'version' | 'refused'

/** Why a call has no result. */
export class ControlError extends Error {
  readonly problem: ControlProblem
  /** Of an executor that refused. */
  readonly code: string | undefined

  constructor(problem: ControlProblem, message: string, code?: string) {
    super(message)
    this.problem = problem
    this.code = code
  }
}

/** What a call tells before its end. */
export interface CallListeners {
  readonly onItems?: (items: readonly unknown[]) => void
  readonly onProgress?: (progress: unknown) => void
}

export interface ControlClientOptions {
  readonly clock: Clock
  /** The longest silence. */
  readonly timeoutMs: number
}

/** What the system says when there is no socket, or its process is dead. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'])

interface PendingCall extends CallListeners {
  readonly id: number
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class ControlClient {
  readonly hello: Hello
  readonly #socket: Socket
  readonly #options: ControlClientOptions
  #calls = 0
  #pending: PendingCall | undefined
  #silence: Timer | undefined
  #ended: ControlError | undefined
  #rest = ''

  private constructor(socket: Socket, hello: Hello, rest: string, options: ControlClientOptions) {
    this.#socket = socket
    this.hello = hello
    this.#rest = rest
    this.#options = options
    socket.on('data', (text: string) => this.#onText(text))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end(new ControlError('lost', `${this.#who} has ended, or has closed the connection.`)))
  }

  /** @throws ControlError */
  static async connect(directory: string, options: ControlClientOptions): Promise<ControlClient> {
    const socket = await dial(directory)
    socket.setEncoding('utf8')
    const { hello, rest } = await new Promise<{ hello: Hello; rest: string }>((resolve, reject) => {
      let text = ''
      const timer = options.clock.after(options.timeoutMs, () => {
        settle()
        reject(new ControlError('silent', `The executor does not answer within ${options.timeoutMs / 1000} s.`))
      })
      timer.setRef(true)
      const onData = (more: string): void => {
        text += more
        const end = text.indexOf('\n')
        if (end === -1) return
        settle()
        try {
          resolve({ hello: readHello(text.slice(0, end)), rest: text.slice(end + 1) })
        } catch (error) {
          reject(error)
        }
      }
      const onClose = (): void => {
        settle()
        reject(
          new ControlError(
            'lost',
            'The executor has closed the connection at once. It serves a limited number at a time; try again.',
          ),
        )
      }
      const onError = (): void => undefined
      const settle = (): void => {
        timer.cancel()
        socket.off('data', onData).off('close', onClose)
      }
      socket.on('data', onData).on('close', onClose).on('error', onError)
    }).catch((error: unknown) => {
      socket.destroy()
      throw error
    })
    return new ControlClient(socket, hello, rest, options)
  }

  /**
   * One at a time.
   *
   * @throws ControlError
   */
  async call(name: string, given: unknown = {}, listeners: CallListeners = {}): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended
    const id = ++this.#calls
    try {
      return await new Promise((resolve, reject) => {
        this.#pending = { id, resolve, reject, ...listeners }
        this.#awaitSound()
        this.#socket.write(`${JSON.stringify({ id, call: name, with: given })}\n`)
      })
    } finally {
      this.#pending = undefined
      this.#silence?.cancel()
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  get #who(): string {
    return `The executor in process ${this.hello.pid}`
  }

  #awaitSound(): void {
    this.#silence?.cancel()
    const { clock, timeoutMs } = this.#options
    this.#silence = clock.after(timeoutMs, () => {
      this.#end(new ControlError('silent', `${this.#who} has not answered within ${timeoutMs / 1000} s.`))
      this.#socket.destroy()
    })
    this.#silence.setRef(true)
  }

  #end(error: ControlError): void {
    this.#ended ??= error
    this.#pending?.reject(this.#ended)
  }

  #onText(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    if (this.#pending !== undefined) this.#awaitSound()
    for (const line of lines) {
      const answer = readAnswer(line)
      if (answer === undefined) {
        this.#end(new ControlError('version', `${this.#who} has answered in words that are not of the control protocol.`))
        this.#socket.destroy()
        return
      }
      this.#onAnswer(answer)
    }
  }

  #onAnswer(answer: Answer): void {
    const pending = this.#pending
    // 0: the server could not read whose answer it is.
    if (pending === undefined || (answer.id !== pending.id && answer.id !== 0)) return
    if ('items' in answer) pending.onItems?.(answer.items)
    else if ('progress' in answer) pending.onProgress?.(answer.progress)
    else if ('error' in answer) pending.reject(new ControlError('refused', answer.error.message, answer.error.code))
    else if ('result' in answer) pending.resolve(answer.result)
  }
}

/** Undefined: it is none. */
function readAnswer(line: string): Answer | undefined {
  try {
    const answer = JSON.parse(line) as Answer | null
    return typeof answer === 'object' && answer !== null ? answer : undefined
  } catch {
    return undefined
  }
}

async function dial(directory: string): Promise<Socket> {
  const socket = withSocketPath(directory, SOCKET_FILE, (path) => connect({ path }))
  return await new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EACCES' || error.code === 'EPERM')
        reject(new ControlError('denied', 'The executor is another user’s; run the command as that user.'))
      else if (NOBODY.has(error.code ?? '')) reject(new ControlError('absent', 'Nobody listens on the control socket.'))
      else reject(new ControlError('silent', `The executor cannot be reached (${error.code ?? error.message}).`))
    })
  })
}

function readHello(line: string): Hello {
  let hello: Partial<Hello> | undefined
  try {
    hello = JSON.parse(line) as Partial<Hello>
  } catch {
    // Something else listens there.
  }
  if (typeof hello?.protocol !== 'number' || typeof hello.pid !== 'number')
    throw new ControlError('version', 'What listens on the control socket is no Millrace executor.')
  if (hello.protocol !== PROTOCOL) {
    throw new ControlError(
      'version',
      `The executor in process ${hello.pid} is of millrace ${String(hello.millrace)} and speaks version ${hello.protocol} of the control ` +
        `protocol; this command speaks ${PROTOCOL}. Use the millrace that the program has: run npx in its folder.`,
    )
  }
  return hello as Hello
}
