/**
 * Listens on an executor's control socket, for as long as the executor has its directory. It never keeps the process alive, and costs
 * nothing while nobody connects: a file, and a handle that the event loop waits on.
 *
 * Calls of all clients pass one gate: they begin some time apart, and only so many are under way, those of clients included that have
 * gone meanwhile.
 */
import { createServer, type Server } from 'node:net'
import { MillraceError } from '../base/errors.js'
import type { Clock } from '../base/clock.js'
import { CONTROL_CLIENTS, CONTROL_GAP_MS } from '../base/limits.js'
import { Connection } from './connection.js'
import type { Calls, Hello } from './protocol.js'
import { placeSocket, removeSocket } from './socket-place.js'

export interface ControlServerOptions {
  readonly directory: string
  readonly clock: Clock
  readonly hello: Hello
  readonly calls: Calls
}

export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  #underWay = 0
  /** When the next call may begin. */
  #nextMs = 0

  private constructor(options: ControlServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => {
      const connection = new Connection(socket, { ...options, admit: (run) => this.#admit(run) })
      this.#connections.add(connection)
      socket.on('close', () => this.#connections.delete(connection))
    })
    this.#server.maxConnections = CONTROL_CLIENTS
    this.#server.unref()
  }

  /**
   * To be called while the directory is held. A socket that is there already is a dead process's, and is replaced.
   *
   * @throws when the file system takes no sockets
   */
  static async start(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options)
    const server = control.#server
    const listening = new Promise<void>((resolve, reject) => {
      server.once('listening', resolve)
      server.once('error', reject)
    })
    listening.catch(() => undefined)
    try {
      // In a worker of `node:cluster` too, the socket is this process's own.
      placeSocket(options.directory, (path) => server.listen({ path, exclusive: true }))
      await listening
    } catch (error) {
      // Why there is nothing to be put in its place is told a little later.
      if (!server.listening) await listening
      server.close()
      throw error
    }
    server.on('error', () => undefined)
    return control
  }

  /** To be called while the directory is still held. */
  async close(): Promise<void> {
    removeSocket(this.#options.directory)
    for (const connection of this.#connections) connection.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #admit(run: () => Promise<unknown>): Promise<unknown> {
    if (this.#underWay >= CONTROL_CLIENTS) {
      const message = `${CONTROL_CLIENTS} calls are under way already, some of them of clients that have gone. Try again later.`
      throw new MillraceError('MILLRACE_BACKPRESSURE', message)
    }
    this.#underWay++
    try {
      const { clock } = this.#options
      const nowMs = clock.monotonicMs()
      const waitMs = this.#nextMs - nowMs
      this.#nextMs = Math.max(nowMs, this.#nextMs) + CONTROL_GAP_MS
      if (waitMs > 0) await new Promise<void>((resolve) => clock.after(waitMs, resolve))
      return await run()
    } finally {
      this.#underWay--
    }
  }
}
