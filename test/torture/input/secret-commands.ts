/** What the commands and the control socket show of a store full of secrets: no payload, unless it is what was asked for. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { controlCalls } from '../../../src/control-socket/calls.js'
import { SOCKET_FILE } from '../../../src/control-socket/socket-place.js'
import { oneProcess, type Runner } from './run-line.js'
import { SECRET, secretive, showsSecret } from './secret.js'

/** A command, or a call of the control socket; ID is a job's. */
interface Question {
  readonly words: readonly string[]
  /** It asks for a payload: without it in the answer, the search is a search in the wrong place. */
  readonly asks?: true
}

const INPUT = JSON.stringify({ secret: SECRET, deed: 'returns' })

const COMMANDS: readonly Question[] = [
  ...['status', 'queues', 'threads'].flatMap((name) => [{ words: [name, 'DIR'] }, { words: [name, 'DIR', '--json'] }]),
  ...['schedules DIR', 'metrics DIR', 'top DIR --once --interval=1', 'pause DIR default', 'resume DIR default'],
  ...['jobs list DIR', 'jobs list DIR --json', 'jobs list DIR --state=discarded', 'jobs show DIR nonsense', 'backup DIR copy'],
  ...['jobs retry DIR --all --dry-run', 'jobs cancel DIR --all --dry-run --json', 'jobs discard DIR --name=secretive --dry-run'],
  ...['jobs run DIR --all --dry-run --json', 'schedules remove DIR lost', 'backup DIR copy', 'doctor DIR', 'doctor DIR --json'],
  { words: ['enqueue', 'DIR', 'secretive', INPUT] },
  { words: ['enqueue', 'DIR', 'unknown', INPUT] },
  { words: ['enqueue', 'DIR', 'secretive', INPUT, '--queue=lost'] },
  ...[
    SECRET,
    `"${SECRET}`,
    `{"secret":${SECRET}}`,
    `{"secret":"${SECRET}",}`,
    `["${SECRET}"\n"${SECRET}"]`,
    `{"a":"${SECRET}\n"}`,
  ].map((broken) => ({ words: ['enqueue', 'DIR', 'secretive', broken] })),
  ...['jobs show DIR ID', 'jobs show DIR ID --json', 'jobs list DIR --json --payloads', 'schedules DIR --json'].map(
    (line): Question => ({ words: line.split(' '), asks: true }),
  ),
].map((question): Question => (typeof question === 'string' ? { words: question.split(' ') } : question))

/** By the name of the call, what it is given. */
const CALLS: Readonly<Record<string, readonly { readonly given: object; readonly asks?: true }[]>> = {
  status: [{ given: {} }],
  metrics: [{ given: {} }],
  jobs: [{ given: {} }, { given: { payloads: false } }, { given: { limit: 'many' } }, { given: { payloads: true }, asks: true }],
  job: [{ given: { id: 'nonsense' } }, { given: { id: 'ID' }, asks: true }],
  retry: [{ given: { filter: { all: true }, dryRun: true } }, { given: { filter: {} } }],
  cancel: [{ given: { filter: { all: true }, dryRun: true } }],
  discard: [{ given: { filter: { all: true }, dryRun: true } }],
  queues: [{ given: {} }],
  pause: [{ given: { queue: 'default' } }],
  resume: [{ given: { queue: 'default' } }, { given: { queue: 'lost' } }],
  concurrency: [{ given: { queue: 'default', concurrency: 'none' } }],
  threads: [{ given: { threads: 2 } }],
  schedules: [{ given: {}, asks: true }],
  unschedule: [{ given: { name: 'lost' } }],
  enqueue: [
    { given: { name: 'unknown', input: SECRET } },
    { given: { name: 'secretive', input: { secret: SECRET } } },
    { given: { name: 'secretive', input: { secret: SECRET }, options: { queue: 'lost' } } },
    { given: { name: 'secretive', input: { secret: SECRET }, more: SECRET } },
  ],
  backup: [{ given: { path: 'DIR' } }],
}
/** Lines that are no request. */
const NO_REQUESTS = [`{"id":1,"call":"enqueue","with":{"input":${SECRET}}}`, `["${SECRET}"]`, `{"id":"${SECRET}"}`, SECRET]

/** @param runner - the commands as they are run; a planted fault stands in between */
export async function trySecretCommands(runner: Runner = oneProcess()): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-asked-'))
  const path = join(root, 'store')
  const wrong: string[] = []
  const { child, said } = secretive(path, 'serve')
  const ended = once(child, 'close')
  const look = (what: string, told: string, asks: boolean): void => {
    const shows = showsSecret(what, told)
    if (!asks) wrong.push(...shows)
    else if (shows.length === 0) wrong.push(`${what} does not show the payload that it was asked for: ${told.slice(0, 200)}`)
  }
  const command = async ({ words, asks }: Question, id: string, when: string): Promise<void> => {
    const args = words.map((word) => ({ DIR: path, ID: id })[word] ?? word)
    const end = await runner.run(args, { cwd: root })
    if (end === undefined) wrong.push(`millrace ${words.join(' ')} hangs`)
    else look(`millrace ${words.join(' ')}, ${when},`, end.stdout + end.stderr, asks === true)
  }
  try {
    const serving = /serving: '(\w+)'/
    while (!serving.test(said()) && child.exitCode === null)
      await Promise.race([once(child.stdio[3] as NodeJS.ReadableStream, 'data'), ended])
    const id = serving.exec(said())?.[1] ?? ''
    for (const question of COMMANDS) await command(question, id, 'beside its executor')
    wrong.push(...(await askSocket(path, id, look)))
    child.kill('SIGTERM')
    await ended
    look('the program that serves', said(), false)
    for (const question of COMMANDS) await command(question, id, 'alone')
    return wrong
  } finally {
    child.kill('SIGKILL')
    await ended
    await runner.end()
    await rm(root, { recursive: true, force: true })
  }
}

async function askSocket(path: string, id: string, look: (what: string, told: string, asks: boolean) => void): Promise<string[]> {
  for (const [call, all] of Object.entries(CALLS)) {
    for (const { given, asks } of all) {
      const filled = JSON.stringify(given).replaceAll('"ID"', JSON.stringify(id)).replaceAll('"DIR"', JSON.stringify(path))
      const told = await answerOf(path, `{"id":1,"call":"${call}","with":${filled}}`)
      look(`the control socket, asked ${call} with ${JSON.stringify(given).slice(0, 100)},`, told, asks === true)
    }
  }
  for (const request of NO_REQUESTS) look('the control socket, told what is no request,', await answerOf(path, request), false)
  // The names alone; nothing is called.
  const known = Object.keys(controlCalls({} as Parameters<typeof controlCalls>[0]))
  return known
    .filter((call) => CALLS[call] === undefined)
    .map((call) => `the control socket has the call ${call}, which nobody tries`)
}

/** Every byte that the socket says until a request has its answer. */
async function answerOf(path: string, request: string): Promise<string> {
  const socket = connect(join(path, SOCKET_FILE))
  let told = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    told += text
    if (/^\{"id":\d+,"(?:result|error)":.*\n/m.test(told)) socket.destroy()
  })
  socket.on('error', (error) => (told += String(error)))
  socket.write(`${request}\n`)
  await once(socket, 'close')
  return told
}
