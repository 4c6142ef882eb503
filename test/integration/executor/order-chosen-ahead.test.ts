/**
 * The order of first attempts, when jobs come back from their thread while a commit is under way: what it claims was chosen before anybody
 * knew of them, and is not to begin before them.
 */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { STUCK_AFTER_MS } from '../../../src/base/limits.js'
import { BatchControl } from '../../../src/codec/batch-control.js'
import type { Batch } from '../../../src/dispatcher/batch.js'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import { PoolThread } from '../../../src/dispatcher/pool-thread.js'
import { ThreadSlot } from '../../../src/dispatcher/thread-slot.js'
import type { JobDefinition, JobHandle } from '../../../src/index.js'
import { exiting, gated, ticket } from '../../fixtures/executor/jobs.js'
import { setup, slow } from '../../support/executor.js'
import type { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { exitOf, LIMITS } from '../../support/open.js'
import { StillClock } from '../../support/still-clock.js'

interface Ahead {
  readonly clock: FakeClock
  readonly gate: Gate
  readonly slot: ThreadSlot
  /** What the thread has been sent: the job that is at the gate, and two tickets. */
  readonly batch: Batch
  /** The two, and a third one whose claim is durable when `release` has been called. */
  readonly tickets: readonly Promise<JobHandle<number>>[]
  release(): void
}

async function chosenAhead(t: TestContext, definition: JobDefinition<{ gate: string; tag: string }, unknown>): Promise<Ahead> {
  const store = slow()
  const clock = new StillClock()
  const jobs = [exiting, gated, ticket]
  const { executor } = await setup(t, { engine: store.engine, jobs, threads: 1, maxStuckThreads: 1, clock })
  const chosen: { readonly batch: Batch; readonly slot: ThreadSlot }[] = []
  const { prepare } = Dispatcher.prototype
  t.mock.method(Dispatcher.prototype, 'prepare', function seen(this: Dispatcher, ...given: Parameters<typeof prepare>) {
    const batch = prepare.apply(this, given)
    chosen.push({ batch, slot: given[3] })
    return batch
  })
  const gate = new Gate(t)
  const atGate = executor.enqueue(definition, { gate: gate.name, tag: 'x' })
  const tickets = [1, 2].map((input) => executor.enqueue(ticket, input))
  await gate.reached(1)
  void (await atGate).result().catch(() => undefined)
  store.hold()
  tickets.push(executor.enqueue(ticket, 3))
  await store.held
  const [first] = chosen
  assert.ok(first !== undefined)
  assert.deepEqual(
    chosen.map(({ batch }) => batch.jobs),
    [3, 1],
  )
  return { ...first, clock, gate, tickets, release: () => store.release() }
}

async function numbersOf(tickets: readonly Promise<JobHandle<number>>[]): Promise<number[]> {
  const handles = await Promise.all(tickets)
  return await Promise.all(handles.map((job) => job.result()))
}

interface Stuck {
  readonly slot: ThreadSlot
  readonly batch: Batch
  /** Of the job that does not end, in the batch. */
  readonly index: number
  readonly clock: FakeClock
}

/** Native code holds a thread beyond the timeout of a job until `run` has ended, and another one takes its place, with no turn meanwhile. */
async function whileStuck(t: TestContext, { slot, batch, index, clock }: Stuck, run: () => Promise<void>): Promise<void> {
  let letGo = (): void => undefined
  const isFree = new Promise<void>((resolve) => (letGo = resolve))
  const { destroy } = PoolThread.prototype
  const terminating = t.mock.method(PoolThread.prototype, 'terminate', () => undefined)
  const destroying = t.mock.method(PoolThread.prototype, 'destroy', async function held(this: PoolThread) {
    await isFree
    await destroy.call(this)
  })
  try {
    assert.equal(slot.terminate('timeout', batch, index), true)
    clock.advance(STUCK_AFTER_MS)
    assert.equal(destroying.mock.callCount(), 1)
    for (const { mock } of [terminating, destroying]) mock.restore()
    await run()
  } finally {
    letGo()
  }
}

it('a job that was chosen before a thread died does not begin before those that come back from it', LIMITS, async (t) => {
  const { gate, slot, tickets, release } = await chosenAhead(t, exiting)
  const { threadId } = slot
  gate.open()
  await exitOf(threadId)
  release()
  assert.deepEqual(await numbersOf(tickets), [1, 2, 3])
})

it('nor does one that was chosen before a job ended at the very moment of its timeout', LIMITS, async (t) => {
  const { gate, slot, batch, tickets, release } = await chosenAhead(t, gated)
  const { steal } = BatchControl.prototype
  // Its time is up. What lies behind it is taken out of the reach of the thread, and only then it shows that it has ended.
  const ending = t.mock.method(BatchControl.prototype, 'steal', function late(this: BatchControl) {
    const kept = steal.call(this)
    gate.open()
    while (this.finished === 0);
    return kept
  })
  assert.equal(slot.terminate('timeout', batch, 0), false)
  ending.mock.restore()
  const { send } = ThreadSlot.prototype
  // What is sent is begun before the next turn could take it back.
  t.mock.method(ThreadSlot.prototype, 'send', function begun(this: ThreadSlot, ...given: Parameters<typeof send>) {
    send.apply(this, given)
    while (given[0].control.taken === 0);
  })
  release()
  assert.deepEqual(await numbersOf(tickets), [1, 2, 3])
})

it(
  'nor one that was chosen before its thread was replaced, which native code held, and those behind that come back',
  LIMITS,
  async (t) => {
    const { clock, slot, batch, tickets, release } = await chosenAhead(t, gated)
    await whileStuck(t, { slot, batch, index: 0, clock }, async () => {
      release()
      assert.deepEqual(await numbersOf(tickets), [1, 2, 3])
      assert.equal(batch.end, undefined)
    })
  },
)

it('what had ended in a thread that native code holds is told when no turn came before it was replaced', LIMITS, async (t) => {
  const store = slow()
  const clock = new StillClock()
  const { executor } = await setup(t, { engine: store.engine, jobs: [gated, ticket], threads: 1, maxStuckThreads: 1, clock })
  const chosen = t.mock.method(Dispatcher.prototype, 'prepare')
  const { send } = ThreadSlot.prototype
  // The second job begins however long the test keeps the first one.
  t.mock.method(
    ThreadSlot.prototype,
    'send',
    function patient(this: ThreadSlot, ...[sent, task, transfer]: Parameters<typeof send>) {
      send.call(this, sent, { ...task, yieldAfterMs: Number.MAX_VALUE }, transfer)
    },
  )
  const [first, second] = [new Gate(t), new Gate(t)]
  const jobs = [first, second].map((gate) => executor.enqueue(gated, { gate: gate.name, tag: 'x' }))
  await first.reached(1)
  store.hold()
  const other = executor.enqueue(ticket, 1)
  await store.held
  first.open()
  await second.reached(1)
  const { result: batch, arguments: given } = chosen.mock.calls[0]!
  const [, , , slot] = given
  assert.ok(batch?.jobs === 2 && batch.hasNews)
  await whileStuck(t, { slot, batch, index: 1, clock }, async () => {
    store.release()
    await (await other).result()
    const [ended, held] = await Promise.all(jobs)
    assert.equal((await executor.get(ended!.id))?.state, 'completed')
    assert.equal((await executor.get(held!.id))?.state, 'running')
  })
})
