/** Events, get, list, counts, stats. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EventName } from '../../../src/executor/events.js'
import { JOB_STATES, type JobState } from '../../../src/job/job-info.js'
import { echo, endless, failing, gated, obedient, patient, reporting, ticket } from '../../fixtures/executor/jobs.js'
import { assertConsistent, listed, nextEvent, setup, slow, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { SLOW_MS } from '../../../src/base/limits.js'
import { Gate } from '../../support/gate.js'

const jobs = [echo, endless, failing, gated, obedient, patient, reporting, ticket]

it('nothing is told before its commit is durable: no event, no promise', async (t) => {
  const store = slow()
  const clock = new FakeClock()
  const { executor } = await setup(t, { engine: store.engine, jobs, clock })
  const told: string[] = []
  const names = ['enqueued', 'started', 'completed', 'cancelled', 'retried', 'discarded', 'failed', 'idle'] as const
  for (const name of names) executor.on(name, () => told.push(name))
  const tell = async (name: string, promise: Promise<unknown>): Promise<void> => {
    await promise.catch(() => undefined)
    told.push(name)
  }
  /** Acts, waits until the commit of it is held up, and sees what is told before and after. */
  const during = async (act: () => void, expected: readonly string[]): Promise<void> => {
    // A first attempt is told when its thread begins it: its claim was durable long before.
    const isTold = (name: string): boolean => name !== 'started'
    told.length = 0
    store.hold()
    act()
    await store.held
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(told.filter(isTold), [], 'told while the commit was under way')
    store.release()
    await executor.drain()
    for (const name of expected) assert.ok(told.includes(name), `${name} is missing: ${told.join()}`)
  }
  const later = await executor.enqueue(echo, 1, { delay: '1h' })
  await executor.drain()
  await during(() => void tell('promise', executor.cancel(later.id)), ['cancelled', 'promise'])
  await during(() => void tell('promise', executor.enqueue(echo, 2)), ['enqueued', 'promise', 'started', 'completed', 'idle'])
  for (const [what, expected] of [
    ['complete', ['completed', 'result']],
    ['fail', ['failed', 'retried']],
    ['fatal', ['failed', 'discarded', 'result']],
    ['cancel', ['cancelled', 'result']],
    ['snooze', ['retried']],
  ] as const) {
    // The outcome comes when the gate is open, and its commit is held up.
    const gate = new Gate(t)
    const job = await executor.enqueue(obedient, { do: what, gate: gate.name })
    await gate.reached(1)
    await during(() => {
      gate.open()
      tell('result', job.result()).catch(() => undefined)
    }, expected)
  }
})

for (const store of STORES) {
  describe(`events, ${store}`, () => {
    it('follow the commit: what they tell is what get shows', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock })
      const expected: Partial<Record<EventName, readonly JobState[]>> = {
        enqueued: ['scheduled', 'available', 'running', 'completed', 'discarded', 'cancelled', 'retryable'],
        completed: ['completed'],
        retried: ['retryable'],
        discarded: ['discarded'],
        cancelled: ['cancelled'],
        failed: ['retryable', 'discarded'],
      }
      const seen: string[] = []
      const looks: Promise<void>[] = []
      for (const [name, states] of Object.entries(expected)) {
        executor.on(name as 'completed', ({ job }) => {
          seen.push(`${name} ${job.name}`)
          assert.equal(job.queue, 'default')
          looks.push(
            executor.get(job.id).then((info) => {
              assert.ok(info !== undefined && states.includes(info.state), `${info?.state} at ${name}`)
            }),
          )
        })
      }
      await executor.enqueue(echo, 1)
      await executor.enqueue(failing, { times: 1 }, { maxRetries: 0 })
      await executor.enqueue(obedient, { do: 'fail' })
      await executor.enqueue(obedient, { do: 'fatal' })
      await executor.enqueue(obedient, { do: 'cancel' })
      await executor.enqueue(obedient, { do: 'snooze' })
      const later = await executor.enqueue(ticket, 1, { delay: '1h' })
      await executor.cancel(later.id)
      await executor.drain()
      await Promise.all(looks)
      assert.deepEqual(seen.sort(), [
        'cancelled obedient',
        'cancelled ticket',
        'completed echo',
        'discarded failing',
        'discarded obedient',
        'enqueued echo',
        'enqueued failing',
        'enqueued obedient',
        'enqueued obedient',
        'enqueued obedient',
        'enqueued obedient',
        'enqueued ticket',
        'failed failing',
        'failed obedient',
        'failed obedient',
        'retried obedient',
        'retried obedient',
      ])
    })

    it('carry what they are about', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, queues: { side: {} } })
      const started = nextEvent(executor, 'started')
      const completed = nextEvent(executor, 'completed')
      const progress = nextEvent(executor, 'progress')
      const log = nextEvent(executor, 'log')
      const enqueued = nextEvent(executor, 'enqueued')
      const { id } = await executor.enqueue(reporting, 1, { queue: 'side' })
      const job = { id, name: 'reporting', queue: 'side' }
      assert.deepEqual(await enqueued, { job, runAt: undefined })
      const { threadId, at, ...start } = await started
      assert.deepEqual(start, { job, attempt: 1 })
      assert.ok(threadId > 0 && Math.abs(at - Date.now()) < 60_000)
      assert.deepEqual(await progress, { job, fraction: 0.25, message: 'a quarter' })
      assert.deepEqual(await log, { jobId: id, name: 'reporting', level: 'info', message: 'hello', data: { answer: 42 } })
      const { runMs, ...end } = await completed
      assert.deepEqual(end, { job, attempt: 1 })
      assert.ok(runMs >= 0)
      const delayed = nextEvent(executor, 'enqueued')
      const later = await executor.enqueue(echo, 1, { delay: 5000 })
      assert.deepEqual(await delayed, { job: { id: later.id, name: 'echo', queue: 'default' }, runAt: clock.now() + 5000 })
      const failed = nextEvent(executor, 'failed')
      const discarded = nextEvent(executor, 'discarded')
      await executor.enqueue(failing, { times: 1 }, { maxRetries: 0 })
      const failure = await failed
      assert.deepEqual([failure.attempt, failure.timedOut, failure.error.message], [1, false, 'attempt 1 failed'])
      assert.equal((await discarded).error.message, 'attempt 1 failed')
    })

    it('tell a timeout, a running cancel and a retry of it', async (t) => {
      const { executor } = await setup(t, { store, jobs, abortGrace: 0 })
      const failed = nextEvent(executor, 'failed')
      const job = await executor.enqueue(endless, 1, { timeout: 30, maxRetries: 0 })
      const { timedOut, error } = await failed
      assert.deepEqual([timedOut, error.code], [true, 'MILLRACE_TIMEOUT'])
      await assert.rejects(job.result(), withCode('MILLRACE_JOB_FAILED'))
      const started = nextEvent(executor, 'started')
      const running = await executor.enqueue(endless, 1)
      await started
      const cancelled = nextEvent(executor, 'cancelled')
      assert.equal(await executor.cancel(running.id, 'no more'), true)
      assert.equal((await cancelled).reason, 'no more')
      await assertConsistent(executor)
    })

    it('never break the executor, whatever a listener does', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      const warnings: Error[] = []
      const listener = (warning: Error): void => void warnings.push(warning)
      process.on('warning', listener)
      t.after(() => process.off('warning', listener))
      const names: EventName[] = ['enqueued', 'started', 'completed', 'idle', 'failed', 'retried', 'cancelled']
      // Three jobs are enqueued, started and completed, and it is idle then. That one has started may be told after it has ended.
      let left = 3 + 3 + 3 + 1
      let allHeard = (): void => undefined
      const others = new Promise<void>((resolve) => (allHeard = resolve))
      for (const name of names) {
        executor.on(name, () => {
          throw new Error(`thrown at ${name}`)
        })
        // An async listener: its rejection is nobody's.
        executor.on(name, async () => {
          await Promise.reject(new Error(`rejected at ${name}`))
        })
        executor.on(name, () => {
          if (--left === 0) allHeard()
        })
        const again = (): void => {
          executor.off(name, again)
          executor.on(name, again)
        }
        executor.on(name, again)
      }
      const handles = await executor.enqueueMany(echo, [1, 2, 3])
      assert.deepEqual(await Promise.all(handles.map((job) => job.result())), [1, 2, 3])
      await executor.drain()
      await others
      await new Promise((resolve) => setImmediate(resolve))
      const texts = warnings.map(({ message }) => message)
      for (const text of ['thrown at completed', 'rejected at completed', 'thrown at idle', 'rejected at enqueued'])
        assert.ok(texts.includes(text), `${text} was swallowed`)
      assert.ok(warnings.every(({ name }) => name !== 'Error' || true))
      await assertConsistent(executor)
    })

    it('stop for a listener that was taken off', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      let calls = 0
      const listener = (): void => void calls++
      assert.equal(executor.on('completed', listener), executor)
      executor.on('completed', listener)
      await (await executor.enqueue(echo, 1)).result()
      await executor.drain()
      assert.equal(calls, 1, 'a listener that is there twice is called once')
      assert.equal(executor.off('completed', listener), executor)
      executor.off('completed', listener)
      await (await executor.enqueue(echo, 1)).result()
      await executor.drain()
      assert.equal(calls, 1)
    })

    it('say idle once per time that work ends, not at every look', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      let idles = 0
      executor.on('idle', () => idles++)
      await executor.drain()
      const atFirst = idles
      assert.ok(atFirst <= 1)
      const job = await executor.enqueue(echo, 1)
      await job.result()
      await executor.drain()
      assert.equal(idles, atFirst + 1)
      for (let look = 0; look < 10; look++) await executor.get(job.id)
      await listed(executor)
      await executor.drain()
      assert.equal(idles, atFirst + 1, 'looking at a job is no work')
      await executor.enqueue(echo, 1, { delay: '1h' })
      await executor.drain()
      assert.equal(idles, atFirst + 1, 'a job for later is no work yet')
    })
  })

  describe(`drain, ${store}`, () => {
    it('waits for what is available, running and due, and for nothing else', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, threads: 1 })
      await executor.drain()
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await executor.enqueueMany(echo, [1, 2, 3])
      await executor.enqueue(echo, 4, { delay: 1000 })
      let isDrained = false
      const drains = [executor.drain(), executor.drain().then(() => (isDrained = true))]
      await gate.reached(1)
      await executor.counts()
      assert.equal(isDrained, false)
      clock.advance(1000)
      gate.open()
      await Promise.all(drains)
      assert.deepEqual(await executor.counts(), { ...(await executor.counts()), completed: 5, scheduled: 0 })
    })
  })

  describe(`list, ${store}`, () => {
    it('filters by state, queue, name and number', async (t) => {
      const clock = new FakeClock()
      const { executor } = await setup(t, { store, jobs, clock, threads: 1, queues: { side: {} } })
      await executor.enqueueMany(obedient, [{ do: 'fatal' }, { do: 'cancel' }, { do: 'fail' }, { do: 'complete' }])
      await executor.enqueueMany(echo, [1, 2, 3], { queue: 'side' })
      await executor.drain()
      await executor.enqueueMany(echo, [4, 5], { delay: '1h', queue: 'side' })
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      // Some are handed over behind the held one, until it is seen to be slow: then they wait again.
      await executor.enqueueMany(
        ticket,
        Array.from({ length: 20 }, (_, index) => index),
      )
      while ((await listed(executor, { state: 'running' })).length > 1) await new Promise(setImmediate)
      const all = await listed(executor)
      assert.equal(all.length, 4 + 3 + 2 + 1 + 20)
      for (const state of JOB_STATES) {
        const some = await listed(executor, { state })
        assert.deepEqual(
          some.map(({ id }) => id),
          all.filter((info) => info.state === state).map(({ id }) => id),
        )
        assert.ok(some.length > 0, state)
      }
      assert.equal((await listed(executor, { state: ['completed', 'scheduled'] })).length, 4 + 2)
      assert.equal((await listed(executor, { state: [] })).length, 0)
      assert.equal((await listed(executor, { queue: 'side' })).length, 5)
      assert.equal((await listed(executor, { queue: 'side', state: 'completed', name: 'echo' })).length, 3)
      assert.equal((await listed(executor, { name: 'obedient' })).length, 4)
      assert.equal((await listed(executor, { name: 'nobody' })).length, 0)
      for (const limit of [0, 1, 7, 30, 31, Infinity])
        assert.equal((await listed(executor, { limit })).length, Math.min(limit, 30))
      const waiting = await listed(executor, { state: 'available', name: 'ticket' })
      assert.deepEqual(
        waiting.map(({ input }) => input),
        Array.from({ length: 20 }, (_, index) => index).slice(-waiting.length),
        'waiting jobs come in run order',
      )
      gate.open()
    })

    it('refuses a filter that would find nothing by mistake', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      for (const filter of [
        { state: 'done' },
        { states: ['completed'] },
        { limit: NaN },
        { limit: -1 },
        { limit: '5' },
        { state: ['completed', 'x'] },
      ])
        await assert.rejects(listed(executor, filter as object), withCode('MILLRACE_INVALID_OPTIONS'), JSON.stringify(filter))
    })

    it('gives every waiting job of 20,000 once, while jobs run', async (t) => {
      const { executor } = await setup(t, { store, jobs, durability: 'process', retain: { jobs: 50_000 } })
      const scheduled = await executor.enqueueMany(
        echo,
        Array.from({ length: 20_000 }, (_, index) => index),
        { delay: '1h' },
      )
      const running = executor.enqueueMany(
        echo,
        Array.from({ length: 20_000 }, (_, index) => index),
      )
      const seen = new Map<string, number>()
      for await (const info of executor.list({ state: 'scheduled' })) seen.set(info.id, (seen.get(info.id) ?? 0) + 1)
      assert.deepEqual(
        [...seen.keys()],
        scheduled.map(({ id }) => id),
      )
      assert.ok([...seen.values()].every((times) => times === 1))
      let found = 0
      for await (const info of executor.list()) {
        assert.ok((JOB_STATES as readonly string[]).includes(info.state))
        if (found++ > 1000) break
      }
      await running
      await executor.drain()
      assert.equal((await listed(executor, { state: 'completed' })).length, 20_000)
    })
  })

  it(`get, list and counts agree at every step of a job's life, ${store}`, async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store, jobs, clock, threads: 1 })
    const step = async (id: string, state: JobState): Promise<void> => {
      const info = await executor.get(id)
      assert.equal(info?.state, state)
      assert.deepEqual(await listed(executor, { name: info.name }), [info])
      await assertConsistent(executor, state)
    }
    const gate = new Gate(t)
    const job = await executor.enqueue(gated, { gate: gate.name, tag: 'x' }, { delay: 1000 })
    await step(job.id, 'scheduled')
    clock.advance(1000)
    await gate.reached(1)
    await step(job.id, 'running')
    // Once the held job counts as slow nothing is handed over behind it. Threads time their jobs by the real clock.
    while ((executor.stats().threads[0]?.job?.runMs ?? 0) < 2 * SLOW_MS) await new Promise((resolve) => setImmediate(resolve))
    const behind = await executor.enqueueMany(failing, [{ times: 1 }])
    await step(behind[0]!.id, 'available')
    const waiting = await executor.enqueueMany(ticket, [1])
    await step(waiting[0]!.id, 'available')
    gate.open()
    assert.equal(await job.result(), 'x')
    await executor.drain()
    await step(job.id, 'completed')
    const info = await executor.get(job.id)
    assert.ok(info?.finishedAt !== undefined && info.runAt === undefined && info.progress === undefined)
    assert.deepEqual([info.enqueuedAt, info.attempts[0]?.attempt, info.attempts.length], [clock.now() - 1000, 1, 1])
    const [retrying] = behind
    assert.equal((await executor.get(retrying!.id))?.state, 'retryable')
    clock.advance(2000)
    assert.equal(await retrying!.result(), 2)
    await step(retrying!.id, 'completed').catch(() => undefined)
    await assertConsistent(executor)
  })

  it(`stats tell what the threads do, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs, threads: 2 })
    const job = await executor.enqueue(patient, 1, { timeout: '1h' })
    await nextEvent(executor, 'progress')
    const { threads, stuckThreads, suspects, store: stored, totals } = executor.stats()
    const busy = threads.filter(({ state }) => state === 'running')
    assert.equal(threads.length, 2)
    assert.equal(busy.length, 1)
    const { runMs, ...rest } = busy[0]!.job!
    assert.deepEqual(rest, { id: job.id, name: 'patient', queue: 'default', timeoutMs: 3_600_000 })
    assert.ok(runMs >= 0)
    assert.equal(threads.find((thread) => thread !== busy[0])?.state, 'idle')
    assert.deepEqual([stuckThreads, suspects, totals], [0, 0, { completed: 0, cancelled: 0, discarded: 0 }])
    assert.ok(stored.sizeBytes > 0 && stored.commits > 0 && stored.lastCommitMs > 0)
    const info = await executor.get(job.id)
    assert.deepEqual(info?.progress, { fraction: 0.5, message: 'waiting' })
    await executor.cancel(job.id)
    assert.equal(executor.stats().totals.cancelled, 1)
  })

  it(`exactly the last finished jobs are kept, per state, and none for longer than asked, ${store}`, async (t) => {
    const clock = new FakeClock()
    const retain = { jobs: 7, age: '1h', discarded: { jobs: 3 }, cancelled: { jobs: Infinity } } as const
    const { executor, reopen } = await setup(t, { store, jobs, clock, retain, threads: 1 })
    const handles = await executor.enqueueMany(
      obedient,
      Array.from({ length: 400 }, (_, index) => ({
        do: index % 4 === 0 || index > 380 ? ('fatal' as const) : index % 4 === 1 ? ('cancel' as const) : ('complete' as const),
      })),
    )
    await executor.drain()
    const kept = async (from: typeof executor, state: JobState): Promise<number[]> =>
      (await listed(from, { state })).map(({ id }) => handles.findIndex((job) => job.id === id))
    const last = (fits: (index: number) => boolean, count: number): number[] =>
      handles
        .map((_, index) => index)
        .filter(fits)
        .slice(-count)
    const expected = {
      completed: last((index) => index <= 380 && index % 4 > 1, 7),
      discarded: last((index) => index % 4 === 0 || index > 380, 3),
      cancelled: last((index) => index <= 380 && index % 4 === 1, Infinity),
    }
    for (const [state, indexes] of Object.entries(expected))
      assert.deepEqual(await kept(executor, state as JobState), indexes, state)
    await assertConsistent(executor)
    await executor.close()
    const again = await reopen()
    for (const [state, indexes] of Object.entries(expected))
      assert.deepEqual(await kept(again, state as JobState), indexes, `${state}, reopened`)
    await assertConsistent(again)
    clock.jump(60 * 60 * 1000 - 1)
    assert.equal((await again.counts()).completed, 7)
    clock.jump(1)
    assert.deepEqual(await listed(again), [])
    await assertConsistent(again)
  })
}
