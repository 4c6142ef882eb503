/** Clients of the control socket that nobody should have: the executor's loop stays free, it grows no memory, it goes on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { CONTROL_CLIENTS, CONTROL_REQUEST_BYTES } from '../../../src/base/limits.js'
import { ControlClient, ControlError } from '../../../src/control-socket/client.js'
import { ControlServer } from '../../../src/control-socket/control-server.js'
import { PROTOCOL, type Calls } from '../../../src/control-socket/protocol.js'
import { FakeClock } from '../../support/fake-clock.js'
import { tempDirectory } from '../../support/temp-directory.js'

const calls: Calls = {
  echo: async (given) => given,
  endless: async (_given, reply) => {
    for (let item = 0; ; item++) {
      sent = item
      await reply.items(['x'.repeat(10_000)])
    }
  },
  never: async () => await new Promise(() => undefined),
  fail: async () => {
    throw new RangeError('no')
  },
}

/** Items that `endless` has handed over. */
let sent = 0

async function start(
  t: TestContext,
  clock = systemClock,
): Promise<{ directory: string; server: ControlServer; raw: () => Promise<Socket> }> {
  const directory = await tempDirectory(t)
  const hello = { millrace: '1.2.3', protocol: PROTOCOL, pid: process.pid, openedAt: 0 }
  const server = await ControlServer.start({ directory, clock, hello, calls })
  t.after(() => server.close())
  const raw = async (): Promise<Socket> => {
    const socket = connect(join(directory, 'millrace.sock'))
    t.after(() => socket.destroy())
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }
  return { directory, server, raw }
}

const client = async (directory: string): Promise<ControlClient> =>
  await ControlClient.connect(directory, { clock: systemClock, timeoutMs: 30_000 })

/** What the socket says until it is closed. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('utf8').on('data', (more: string) => (text += more))
  await once(socket, 'close')
  return text
}

async function isServed(directory: string): Promise<void> {
  const sound = await client(directory)
  assert.deepEqual(await sound.call('echo', { a: 1 }), { a: 1 })
  sound.close()
}

test('garbage is answered with an error and the end of the connection', async (t) => {
  const { directory, raw } = await start(t)
  const garbage: readonly (readonly [string | Buffer, RegExp])[] = [
    ['hello\n', /not a line of JSON/],
    [Buffer.concat([Buffer.alloc(100, 0xff), Buffer.of(10)]), /not a line of JSON/],
    ['null\n', /not a JSON object/],
    ['[]\n', /no number as its id/],
    ['{"id":"1","call":"echo"}\n', /no number as its id/],
    ['{"id":1,"call":"__proto__"}\n', /There is no such call\. There are echo, endless, never, fail\./],
    [`${'['.repeat(100_000)}\n`, /not a line of JSON/],
  ]
  for (const [bytes, message] of garbage) {
    const socket = await raw()
    const said = untilClosed(socket)
    socket.write(bytes)
    const [, answer = ''] = (await said).split('\n')
    assert.match((JSON.parse(answer) as { error: { message: string } }).error.message, message)
  }
  await isServed(directory)
})

test('a request that does not end is refused at its limit', async (t) => {
  const { directory, raw } = await start(t)
  const socket = await raw()
  const said = untilClosed(socket)
  socket.write(Buffer.alloc(CONTROL_REQUEST_BYTES + 100_000, 'x'))
  assert.match(await said, /longer than 1048576 bytes/)
  await isServed(directory)
})

test('a client that never reads: what is sent to it stops, and it is let go after a time', async (t) => {
  const clock = new FakeClock()
  const { raw } = await start(t, clock)
  const socket = await raw()
  socket.pause()
  socket.write('{"id":1,"call":"endless"}\n')
  const seen = async (): Promise<number> => {
    // The loop turns until nothing more is taken.
    let before = -1
    for (let quiet = 0; quiet < 50; quiet = sent === before && sent > 0 ? quiet + 1 : 0) {
      before = sent
      await new Promise((resolve) => setImmediate(resolve))
    }
    return sent
  }
  const items = await seen()
  assert.ok(items < 1000, `${items} items of 10 kB`)
  assert.equal(await seen(), items)
  const closed = once(socket, 'close')
  clock.advance(10_000)
  socket.resume()
  await closed
})

test('half a request is waited for, for a time', async (t) => {
  const clock = new FakeClock()
  const { raw } = await start(t, clock)
  const socket = await raw()
  const said = untilClosed(socket)
  const answered = new Promise<void>((resolve) => socket.on('data', (text: string) => text.includes('"id":1') && resolve()))
  // The half that is read together with a whole one: a connection that is closed before all is read is reset.
  socket.write('{"id":1,"call":"echo","with":"whole"}\n{"id":2,')
  await answered
  while (clock.waits.length !== 1) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(socket.destroyed, false)
  clock.advance(60_000)
  const lines = (await said).split('\n')
  assert.deepEqual([lines.length, JSON.parse(lines[1] ?? '')], [3, { id: 1, result: 'whole' }], 'the hello and an answer')
})

test('many clients, and calls of clients that have gone: the number is bounded, and it is said', async (t) => {
  const { directory, raw } = await start(t)
  for (let index = 0; index < CONTROL_CLIENTS; index++) {
    const socket = await raw()
    socket.write('{"id":1,"call":"never"}\n')
    await once(socket, 'data')
    if (index >= 8) continue
    // The call is begun before the client goes.
    const other = await client(directory)
    await other.call('echo')
    other.close()
    socket.destroy()
  }
  await assert.rejects(
    async () => {
      for (;;) {
        const more = await client(directory)
        await more.call('echo')
        more.close()
        await raw()
      }
    },
    (error) => error instanceof ControlError && ['lost', 'refused'].includes(error.problem),
  )
})

test('a call that fails in an unforeseen way is told, and the next one is taken', async (t) => {
  const { directory } = await start(t)
  const one = await client(directory)
  await assert.rejects(one.call('fail'), { problem: 'refused', message: 'The call failed: RangeError: no' })
  assert.deepEqual(await one.call('echo', [1]), [1])
  one.close()
})

test('the socket goes with the server, and replaces what a dead process left', async (t) => {
  const { directory, server } = await start(t)
  assert.deepEqual(readdirSync(directory), ['millrace.sock'])
  const waiting = await client(directory)
  const call = assert.rejects(waiting.call('never'), { problem: 'lost' })
  await server.close()
  await call
  assert.equal(existsSync(join(directory, 'millrace.sock')), false)
  await assert.rejects(client(directory), { problem: 'absent' })
})

test('an executor of another version, something else that listens, one that says nothing', async (t) => {
  const directory = await tempDirectory(t)
  let greeting = '{"millrace":"9.0.0","protocol":99,"pid":7,"openedAt":0}\n'
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(greeting)
  })
  server.listen(join(directory, 'millrace.sock'))
  t.after(() => server.close())
  await once(server, 'listening')
  await assert.rejects(client(directory), {
    problem: 'version',
    message: /process 7 is of millrace 9\.0\.0 and speaks version 99 .* speaks 1\./,
  })
  greeting = '220 mail ESMTP\r\n'
  await assert.rejects(client(directory), { problem: 'version', message: /no Millrace executor/ })
  greeting = 'a'
  await assert.rejects(ControlClient.connect(directory, { clock: systemClock, timeoutMs: 10 }), { problem: 'silent' })
})
