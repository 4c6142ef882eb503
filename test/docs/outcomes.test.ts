/** Makes happen what README.md's table of outcomes tells of, and compares each row with what is found and heard. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { EnqueueOptions, EventName, Executor, JobDefinition, JobInfo } from '../../src/index.js'
import { isMillraceError } from '../../src/index.js'
import { does, picky, waits } from '../fixtures/docs/outcome-jobs.js'
import { codes, table } from '../fixtures/docs/readme.js'
import { inState, mortal, nextEvent, setup } from '../support/executor.js'
import { FakeClock } from '../support/fake-clock.js'
import { Gate } from '../support/gate.js'

const rows = new Map(table('What a handler says', 'What happens').map(([what = '', ...cells]) => [what, cells]))
const checked = new Set<string>()
const jobs = [does, picky, waits]

/** Events that are about one job, or about its definition's functions. */
const HEARD = ['completed', 'failed', 'retried', 'discarded', 'cancelled', 'interrupted', 'rescued', 'error'] as const

interface Seen {
  readonly info: JobInfo | undefined
  readonly events: readonly string[]
  /** What `result()` came to: `waits on`, `the value`, or the code it rejected with. */
  readonly result: string
}

/** Compares a row with what was seen; it counts as checked. */
function compare(what: string, { info, events, result }: Seen): void {
  const cells = rows.get(what)
  assert(cells !== undefined, `README.md has no row "${what}"`)
  checked.add(what)
  const [state = '', charged = '', told = '', gives = ''] = cells
  assert.ok(info)
  assert.deepEqual([info.state], codes(state), what)
  const charges = info.attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'timedOut').length
  assert.equal(charges === 1 ? 'yes' : 'no', charged, `${what}: charged`)
  assert.deepEqual([...events].sort(), [...codes(told)].sort(), `${what}: events`)
  const expected = gives.startsWith('rejects') ? codes(gives)[0] : gives.replace(/;.*/, '')
  assert.equal(result, expected, `${what}: result()`)
}

/** Writes down what is told of jobs from now on. */
function hear(executor: Executor): string[] {
  const events: string[] = []
  for (const name of HEARD) executor.on(name as EventName, () => events.push(name))
  return events
}

/** What a result has come to by now. */
async function stateOf(result: Promise<unknown>): Promise<string> {
  const settled = result.then(
    (value) => (value === 'the value' ? 'the value' : `another value: ${String(value)}`),
    (error: unknown) => (isMillraceError(error) ? error.code : String(error)),
  )
  return await Promise.race([settled, new Promise<string>((resolve) => setImmediate(() => resolve('waits on')))])
}

/** One run of a job, and what came of it. */
async function runOf<Input>(
  t: TestContext,
  definition: JobDefinition<Input>,
  input: NoInfer<Input>,
  options: EnqueueOptions,
  last: 'completed' | 'retried' | 'discarded' | 'cancelled',
): Promise<Seen> {
  const { executor } = await setup(t, { store: 'memory', jobs, threads: 1 })
  const events = hear(executor)
  const ended = nextEvent(executor, last)
  const job = await executor.enqueue(definition, input as never, options)
  const result = job.result()
  result.catch(() => undefined)
  await ended
  const info = await executor.get(job.id)
  return { info, events, result: await stateOf(result) }
}

const byRow: readonly [string, string, EnqueueOptions, Parameters<typeof runOf>[4]][] = [
  ['`return value`', '`return value`', {}, 'completed'],
  ["`return snooze('5m')`", "`return snooze('5m')`", {}, 'retried'],
  ["`return cancel('why')`", "`return cancel('why')`", {}, 'cancelled'],
  ['it throws anything, retries left', 'anything', {}, 'retried'],
  ['it throws anything, none left', 'anything', { maxRetries: 0 }, 'discarded'],
  ["`throw new RetryError(text, { after: '10s' })`", "`throw new RetryError(text, { after: '10s' })`", {}, 'retried'],
  ['`throw new FatalError(text)`', '`throw new FatalError(text)`', {}, 'discarded'],
  [
    'it throws when `softTimeout` aborts `ctx.signal`',
    'it throws when `softTimeout` aborts `ctx.signal`',
    { softTimeout: 20, timeout: '1m' },
    'retried',
  ],
  ['it outlasts `timeout`, or ends its thread', 'it outlasts `timeout`', { timeout: 50 }, 'retried'],
  ['it outlasts `timeout`, or ends its thread', 'it ends its thread', {}, 'retried'],
]
for (const [what, input, options, last] of byRow) {
  test(`${what} (${input})`, async (t) => {
    const seen = await runOf(t, does, input, options, last)
    compare(what, seen)
    const [attempt] = seen.info?.attempts ?? []
    if (input.includes('RetryError')) assert.equal((seen.info?.runAt ?? 0) - (attempt?.endedAt ?? 0) <= 10_500, true)
  })
}

test('it throws, and `retryIf` returns `false`', async (t) => {
  for (const how of ['throws', 'rejects'] as const)
    compare('it throws, and `retryIf` returns `false`', await runOf(t, picky, { answer: 'false', how }, {}, 'discarded'))
})

test('it throws, and `retryIf` throws or returns no boolean', async (t) => {
  for (const answer of ['throws', 'promise', 'nothing'])
    compare(
      'it throws, and `retryIf` throws or returns no boolean',
      await runOf(t, picky, { answer, how: 'throws' }, {}, 'retried'),
    )
})

test('`cancel(id)` while it waits or runs', async (t) => {
  const { executor } = await setup(t, { store: 'memory', jobs, threads: 1, abortGrace: 10 })
  const gate = new Gate(t)
  const running = await executor.enqueue(waits, { gate: gate.name, tag: 'running' })
  await gate.reached(1)
  const others = [running, await executor.enqueue(does, 'available'), await executor.enqueue(does, 'scheduled', { delay: '1h' })]
  for (const job of others) {
    const events = hear(executor)
    const result = job.result()
    result.catch(() => undefined)
    assert.equal(await executor.cancel(job.id), true)
    const told = events.splice(0)
    compare('`cancel(id)` while it waits or runs', {
      info: await executor.get(job.id),
      events: told.slice(0, 1),
      result: await stateOf(result),
    })
  }
})

test('`close()` stops it', async (t) => {
  const { executor, reopen } = await setup(t, { store: 'memory', jobs, threads: 1, abortGrace: 10 })
  const gate = new Gate(t)
  const events = hear(executor)
  const job = await executor.enqueue(waits, { gate: gate.name, tag: 'a' })
  const result = job.result()
  result.catch(() => undefined)
  await gate.reached(1)
  await executor.close({ grace: 0 })
  const next = await reopen({ jobs: [] })
  compare('`close()` stops it', { info: await next.get(job.id), events, result: await stateOf(result) })
})

test('its turn comes after `startBefore`', async (t) => {
  const clock = new FakeClock()
  const { executor } = await setup(t, { store: 'memory', jobs, threads: 1, clock })
  const gate = new Gate(t)
  // One runs, and one waits in its thread.
  for (const tag of ['running', 'next'])
    await inState(executor, (await executor.enqueue(waits, { gate: gate.name, tag })).id, 'running')
  await gate.reached(1)
  const job = await executor.enqueue(does, '`return value`', { startBefore: '1m' })
  clock.advance(60_000)
  assert.equal((await executor.get(job.id))?.state, 'available', 'nobody has looked')
  const result = job.result()
  result.catch(() => undefined)
  const events = hear(executor)
  const discarded = nextEvent(executor, 'discarded')
  gate.open()
  await discarded
  await executor.drain()
  compare('its turn comes after `startBefore`', {
    info: await executor.get(job.id),
    events: events.filter((name) => name !== 'completed'),
    result: await stateOf(result),
  })
})

for (const [what, tags, maxCrashes] of [
  ['the process dies, with several jobs in flight', ['a', 'b'], 3],
  ['the process dies while it runs alone', ['a'], 3],
  ['the same, for the `maxCrashes`-th time', ['a'], 1],
] as const) {
  test(what, async (t) => {
    const { engine, remains, crash } = mortal()
    const { executor } = await setup(t, { engine, jobs, threads: 2 })
    executor.on('error', () => undefined)
    const gate = new Gate(t)
    const [job] = await executor.enqueueMany(
      waits,
      tags.map((tag) => ({ gate: gate.name, tag })),
    )
    await gate.reached(tags.length)
    crash()
    await executor.close({ grace: 0 })
    const { executor: next } = await setup(t, { engine: remains, jobs: [], maxCrashes })
    const events = hear(next)
    const result = next.job(job!.id).result()
    result.catch(() => undefined)
    const info = await next.get(job!.id)
    // What is told of the opening, is told when the event loop turns.
    await new Promise((resolve) => setImmediate(resolve))
    compare(what, { info, events: [...new Set(events)], result: await stateOf(result) })
  })
}

test('every row is checked', () => {
  assert.deepEqual([...checked].sort(), [...rows.keys()].sort())
})
