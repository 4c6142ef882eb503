/** What listens on the control socket is not what it should be: each is said in one line, with its exit code, and nothing hangs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { PROTOCOL } from '../../../src/control-socket/protocol.js'
import { program, type Ended } from '../../support/demo-program.js'
import { setup } from '../../support/executor.js'

const PID = 4711
const hello = (change: object = {}): string =>
  `${JSON.stringify({ millrace: '9.9.9', protocol: PROTOCOL, pid: PID, openedAt: 0, ...change })}\n`

interface Odd {
  /** What it does with whoever connects. */
  readonly serve: (socket: Socket) => void
  readonly args?: readonly string[]
  readonly code: number
  readonly says: RegExp
  /** What has been printed all the same. */
  readonly prints?: string
}

/** Answers the first request. */
const answering = (answer: (socket: Socket) => void) => (socket: Socket) => {
  socket.write(hello())
  socket.once('data', () => answer(socket))
}

const ODD: Readonly<Record<string, Odd>> = {
  'speaks another version': {
    serve: (socket) => socket.write(hello({ protocol: PROTOCOL + 1 })),
    code: 5,
    says: /^millrace status: The executor in process 4711 is of millrace 9\.9\.9 and speaks version 2 .* this command speaks 1\. .*\n$/,
  },
  'is no executor': { serve: (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'), code: 5, says: /is no Millrace executor/ },
  'says nothing at all': { serve: () => undefined, code: 4, says: /The executor does not answer within 0\.2 s/ },
  'goes at once': { serve: (socket) => socket.destroy(), code: 4, says: /has closed the connection at once/ },
  'goes in the middle of its first words': {
    serve: (socket) => socket.end(hello().slice(0, 20)),
    code: 4,
    says: /has closed the connection at once/,
  },
  'hangs before it answers': { serve: answering(() => undefined), code: 4, says: /process 4711 has not answered within 0\.2 s/ },
  'dies before it answers': {
    serve: answering((socket) => socket.destroy()),
    code: 4,
    says: /process 4711 has ended, or has closed the connection/,
  },
  'dies in the middle of an answer': {
    serve: answering((socket) => socket.end('{"id":1,"result":{"version":"9.9')),
    code: 4,
    says: /process 4711 has ended, or has closed the connection/,
  },
  'dies in the middle of a list': {
    serve: answering((socket) => socket.end('{"id":1,"items":[{"id":"a"}]}\n{"id":1,"items":[{"id"')),
    args: ['jobs', 'list', '--json'],
    code: 4,
    says: /^millrace jobs list: The executor in process 4711 has ended/,
    prints: '{"id":"a"}\n',
  },
  'answers with garbage': { serve: answering((socket) => socket.write('null\n')), code: 5, says: /not of the control protocol/ },
  refuses: {
    serve: answering((socket) => socket.write('{"id":1,"error":{"code":"MILLRACE_CLOSED","message":"It closes."}}\n')),
    code: 1,
    says: /^millrace status: It closes\.\n$/,
  },
}

test('an executor that is none, or is not well', { timeout: 300_000 }, async (t) => {
  const { executor, directory } = await setup(t, {})
  await executor.close({ grace: 0 })
  let serve: Odd['serve'] = () => undefined
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    serve(socket)
  }).listen(join(directory, 'millrace.sock'))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server, 'listening')
  for (const [name, odd] of Object.entries(ODD)) {
    await t.test(name, async () => {
      serve = odd.serve
      const [command = 'status', ...words] = odd.args ?? []
      const verbs = command === 'jobs' ? words.splice(0, 1) : []
      // Most are told at once: only whoever says nothing is waited for.
      const patience = /within/.test(odd.says.source) ? '200ms' : '60s'
      const ended: Ended = await program([command, ...verbs, directory, ...words, '--timeout', patience]).ended
      assert.match(ended.stderr, odd.says)
      assert.deepEqual([ended.code, ended.stdout, ended.stderr.split('\n').length], [odd.code, odd.prints ?? '', 2])
    })
  }
})
