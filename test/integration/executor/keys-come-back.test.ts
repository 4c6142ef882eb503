/**
 * What comes back of a limit key is put back before its batch is let go of. The other way round the key would count as one that had been
 * idle, and be put level with the others, before anybody knew of it (`unit/scheduler/keyed-lanes`: what becomes of its place).
 */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Executor, JobDefinition } from '../../../src/index.js'
import { ReadyQueues } from '../../../src/scheduler/ready-queues.js'
import { exiting, gated, ticket } from '../../fixtures/executor/jobs.js'
import { setup } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { StillClock } from '../../support/still-clock.js'

interface Behind {
  readonly executor: Executor
  readonly gate: Gate
  /** Of the scheduler, from here on. */
  readonly calls: string[]
  /** They lie behind a job at the gate, and one of them runs at a time. */
  readonly tickets: Promise<number[]>
}

async function behind(t: TestContext, definition: JobDefinition<{ gate: string; tag: string }, unknown>): Promise<Behind> {
  const { executor } = await setup(t, { jobs: [exiting, gated, ticket], threads: 1, clock: new StillClock() })
  const gate = new Gate(t)
  const atGate = executor.enqueue(definition, { gate: gate.name, tag: 'x' }, { priority: 1 })
  const tickets = [1, 2].map((input) => executor.enqueue(ticket, input, { limit: { key: 'one', max: 1 } }))
  await gate.reached(1)
  void (await atGate).result().catch(() => undefined)
  const calls: string[] = []
  const { putBack, releaseKeys } = ReadyQueues.prototype
  t.mock.method(ReadyQueues.prototype, 'putBack', function seen(this: ReadyQueues, slices: Parameters<typeof putBack>[0]) {
    if (slices.length > 0) calls.push('put back')
    putBack.call(this, slices)
  })
  t.mock.method(ReadyQueues.prototype, 'releaseKeys', function seen(this: ReadyQueues, ...given: Parameters<typeof releaseKeys>) {
    calls.push('let go')
    releaseKeys.apply(this, given)
  })
  const results = async (): Promise<number[]> => await Promise.all((await Promise.all(tickets)).map((job) => job.result()))
  return { executor, gate, calls, tickets: results() }
}

it('when their thread dies', async (t) => {
  const { gate, calls, tickets } = await behind(t, exiting)
  gate.open()
  assert.deepEqual(await tickets, [1, 2])
  assert.deepEqual(calls.slice(0, 2), ['put back', 'let go'])
})

it('when they are taken back for a pause', async (t) => {
  const { executor, gate, calls, tickets } = await behind(t, gated)
  const queue = executor.queue('default')
  await queue.pause()
  assert.deepEqual(calls.slice(0, 2), ['put back', 'let go'])
  gate.open()
  await queue.resume()
  assert.deepEqual(await tickets, [1, 2])
})
