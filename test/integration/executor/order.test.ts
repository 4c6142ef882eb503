/** Which job runs next: order, priorities, concurrency of queues, and fairness among them. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { gated, span, ticket } from '../../fixtures/executor/jobs.js'
import { assertConsistent, nextEvent, setup, slow, STORES } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const jobs = [gated, span, ticket]

interface Span {
  readonly from: number
  readonly to: number
  readonly threadId: number
}

/** Of a test that needs threads to run at the same time. */
const ROUNDS_MOST = 50

for (const store of STORES) {
  it(`first attempts start in the order of enqueueing, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs, threads: 1, durability: 'process' })
    const handles = await executor.enqueueMany(
      ticket,
      Array.from({ length: 6000 }, (_, index) => index),
    )
    // Singles behind them, of many turns, and of one.
    for (let index = 0; index < 20; index++) handles.push(await executor.enqueue(ticket, index))
    handles.push(...(await Promise.all(Array.from({ length: 500 }, (_, index) => executor.enqueue(ticket, index)))))
    const order = await Promise.all(handles.map((job) => job.result()))
    assert.deepEqual(
      order,
      handles.map((_, index) => index + 1),
    )
  })

  it(`jobs that come back from a thread keep their places, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs, threads: 1, abortGrace: 0 })
    const warm = await executor.enqueueMany(ticket, [1, 2, 3])
    await Promise.all(warm.map((job) => job.result()))
    // A slow one in front: what was handed over with it and in reserve behind it comes back.
    const gate = new Gate(t)
    const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    const handles = await executor.enqueueMany(
      ticket,
      Array.from({ length: 3000 }, (_, index) => index),
    )
    await gate.reached(1)
    // One of them is cancelled while it waits for the slow one.
    assert.equal(await executor.cancel(handles[5]!.id), true)
    gate.open()
    await holder.result()
    const order = await Promise.all(handles.map((job, index) => (index === 5 ? 0 : job.result())))
    assert.deepEqual(
      order,
      handles.map((_, index) => (index === 5 ? 0 : index < 5 ? index + 4 : index + 3)),
    )
    await assertConsistent(executor)
  })

  it(`jobs keep their places when one that was handed over with them is cancelled, ${store}`, async (t) => {
    // With its clock standing still the executor takes nothing back by itself.
    const { executor } = await setup(t, { store, jobs, threads: 1, clock: new FakeClock() })
    // Once it knows how long they take, it hands over some dozens at a time.
    const inputs = Array.from({ length: 200 }, () => ({ ms: 2 }))
    const warm = await executor.enqueueMany(span, inputs)
    await Promise.all(warm.map((job) => job.result()))
    const gate = new Gate(t)
    const [holder, handles] = await Promise.all([
      executor.enqueue(gated, { gate: gate.name, tag: 'x' }),
      executor.enqueueMany(span, inputs),
    ])
    await gate.reached(1)
    const { running } = await executor.counts()
    assert.ok(running > 8 && running < inputs.length - 8, `${running} jobs are handed over`)
    assert.equal(await executor.cancel(handles[2]!.id), true)
    gate.open()
    await holder.result()
    const rest = handles.filter((_, index) => index !== 2)
    const starts = (await Promise.all(rest.map((job) => job.result()))).map(({ from }) => from)
    assert.deepEqual(
      starts,
      [...starts].sort((left, right) => left - right),
    )
  })

  it(`a higher priority goes first, equal ones in order, ${store}`, async (t) => {
    const { executor, reopen } = await setup(t, { store, jobs, threads: 1 })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    const priorities = [0, -128, 127, 5, 0, -1, 127, 5, 1, -128]
    const handles = []
    for (const priority of priorities) handles.push(...(await executor.enqueueMany(ticket, [1, 2], { priority })))
    await executor.close({ grace: 0 })
    const again = await reopen()
    gate.open()
    const order = await Promise.all(handles.map(({ id }) => again.job<number>(id).result()))
    const expected = handles
      .map((_, index) => index)
      .sort((left, right) => priorities[right >> 1]! - priorities[left >> 1]! || left - right)
    assert.deepEqual(
      expected.map((index) => order[index]),
      handles.map((_, index) => index + 1),
    )
  })

  it(`a queue of concurrency 1 never runs two jobs at once, and one of 2 never three, ${store}`, async (t) => {
    const queues = { single: { concurrency: 1 }, double: { concurrency: 2 }, free: {} }
    const { executor } = await setup(t, { store, jobs, threads: 4, queues, durability: 'process' })
    const inputs = Array.from({ length: 120 }, () => ({ ms: 1 }))
    const names = ['single', 'double', 'free'] as const
    let [single, double, free] = [0, 0, 0]
    // On a busy machine four threads do not always run at once.
    for (let round = 0; round < ROUNDS_MOST && (round < 3 || double < 2 || free < 3); round++) {
      const handles = await Promise.all(names.map((queue) => executor.enqueueMany(span, inputs, { queue })))
      const spans = await Promise.all(handles.map((list) => Promise.all(list.map((job) => job.result()))))
      const most = spans.map(mostAtOnce)
      single = Math.max(single, most[0]!)
      double = Math.max(double, most[1]!)
      free = Math.max(free, most[2]!)
    }
    assert.equal(single, 1)
    assert.equal(double, 2)
    assert.ok(free >= 3, 'the free queue never ran on three threads: the check proves nothing')
    await assertConsistent(executor)
  })

  it(`a queue of thousands does not starve a small one, ${store}`, async (t) => {
    const queues = { huge: {}, small: {} }
    const { executor } = await setup(t, { store, jobs, threads: 1, queues, durability: 'process', retain: { jobs: 20_000 } })
    const gate = new Gate(t)
    const numbers = Array.from({ length: 10_000 }, (_, index) => index)
    const before = await executor.enqueueMany(ticket, numbers, { queue: 'huge' })
    const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' }, { queue: 'huge' })
    // Thread time is shared out, and what is owed is a few turns of it: some thousand of the jobs before, some of these.
    const lengths = Array.from({ length: 500 }, () => ({ ms: 1 }))
    const behind = await executor.enqueueMany(span, lengths, { queue: 'huge' })
    await gate.reached(1)
    const small = await executor.enqueueMany(span, lengths.slice(0, 4), { queue: 'small' })
    gate.open()
    await holder.result()
    const startsOf = async (handles: typeof behind): Promise<number[]> =>
      (await Promise.all(handles.map((job) => job.result()))).map(({ from }) => from)
    const starts = await startsOf(behind)
    assert.ok(Math.max(...(await startsOf(small))) < starts[400]!, 'the small queue waited for the huge one')
    const places = await Promise.all(before.map((job) => job.result()))
    for (const order of [starts, places])
      assert.deepEqual(
        [...order].sort((left, right) => left - right),
        order,
        'the huge queue lost its order',
      )
  })

  it(`of many queues each begins before any begins its last job, ${store}`, async (t) => {
    const names = Array.from({ length: 10 }, (_, index) => `queue ${index}`)
    const queues = Object.fromEntries(names.map((name) => [name, {}]))
    const { executor } = await setup(t, { store, jobs, threads: 1, queues, durability: 'process' })
    const gate = new Gate(t)
    const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    const lists = await Promise.all(
      names.map((queue) =>
        executor.enqueueMany(
          span,
          Array.from({ length: 30 }, () => ({ ms: 2 })),
          { queue },
        ),
      ),
    )
    gate.open()
    await holder.result()
    const spans = await Promise.all(lists.map((list) => Promise.all(list.map((job) => job.result()))))
    // Thread time is shared out, not counts: a job that the machine holds up is charged to its queue. So the order alone is
    // looked at: every queue has begun before any of them has begun its last job.
    const firsts = spans.map((list) => Math.min(...list.map(({ from }) => from)))
    const lasts = spans.map((list) => Math.max(...list.map(({ from }) => from)))
    assert.ok(Math.max(...firsts) < Math.min(...lasts), `first starts ${firsts.join()}, last starts ${lasts.join()}`)
  })
}

it('a queue that was full goes on when a thread of its own is free again', async (t) => {
  const queues = { single: { concurrency: 1 }, free: {} }
  const { executor } = await setup(t, { jobs, threads: 2, queues })
  const gate = new Gate(t)
  const handles = await executor.enqueueMany(
    gated,
    ['a', 'b', 'c'].map((tag) => ({ gate: gate.name, tag })),
    { queue: 'single' },
  )
  await gate.reached(1)
  const other = await executor.enqueue(ticket, 1, { queue: 'free' })
  await other.result()
  assert.deepEqual(gate.arrived, ['a'])
  for (const [index, tag] of ['a', 'b', 'c'].entries()) {
    await gate.reached(index + 1)
    assert.deepEqual(gate.arrived, ['a', 'b', 'c'].slice(0, index + 1))
    const completed = nextEvent(executor, 'completed')
    gate.let(tag)
    assert.equal((await completed).job.id, handles[index]!.id)
  }
  await executor.drain()
})

function mostAtOnce(spans: readonly Span[]): number {
  const edges = spans.flatMap(({ from, to }) => [
    { at: from, change: 1 },
    { at: to, change: -1 },
  ])
  edges.sort((left, right) => left.at - right.at || left.change - right.change)
  let now = 0
  let most = 0
  for (const { change } of edges) {
    now += change
    most = Math.max(most, now)
  }
  return most
}

it('no job waits in reserve behind a slow one', { timeout: 60_000 }, async (t) => {
  const { executor } = await setup(t, { store: 'memory', jobs, threads: 2, abortGrace: 0 })
  const gate = new Gate(t)
  await executor.enqueue(gated, { gate: gate.name, tag: 'first' })
  await gate.reached(1)
  await executor.enqueueMany(
    gated,
    ['second', 'third', 'fourth'].map((tag) => ({ gate: gate.name, tag })),
  )
  await gate.reached(2)
  // Both threads are held: what was handed over with the second job is taken back, and in the end given to neither.
  while ((await executor.counts()).running !== 2) await new Promise((resolve) => setImmediate(resolve))
  gate.open()
  await executor.drain()
})

it('a reserve that was chosen before the running job became slow is taken back too', { timeout: 60_000 }, async (t) => {
  const { engine, hold, release } = slow()
  const { executor } = await setup(t, { engine, jobs, threads: 1, abortGrace: 0 })
  const gate = new Gate(t)
  await executor.enqueue(gated, { gate: gate.name, tag: 'first' })
  await gate.reached(1)
  hold()
  const second = executor.enqueue(gated, { gate: gate.name, tag: 'second' })
  // Its claim is not durable until the first job has been looked at, and found slow and alone.
  for (const from = performance.now(); performance.now() - from < 50;) await new Promise((resolve) => setImmediate(resolve))
  release()
  const { id } = await second
  while ((await executor.get(id))?.state !== 'available');
  gate.open()
  await executor.drain()
})

it('a queue is at work in a thread only while one of its own jobs is there', { timeout: 60_000 }, async (t) => {
  const queues = { narrow: { concurrency: 1 } }
  const { executor } = await setup(t, { store: 'memory', jobs, threads: 2, queues })
  // It has had thread time: the other queue comes first.
  await (await executor.enqueue(ticket, 0, { queue: 'narrow' })).result()
  const gate = new Gate(t)
  // One batch takes the gated job and the first of the narrow queue, which is taken back from behind it.
  const [held, narrow] = await Promise.all([
    executor.enqueue(gated, { gate: gate.name, tag: 'x' }),
    executor.enqueueMany(ticket, [1, 2], { queue: 'narrow' }),
  ])
  await gate.reached(1)
  for (const job of narrow) await job.result()
  assert.equal((await executor.get(held.id))?.state, 'running')
  gate.open()
  await executor.drain()
})
