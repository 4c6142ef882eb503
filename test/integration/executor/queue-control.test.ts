/** Queues under an operator's hand: paused, resumed, bounded, drained, purged; and all of it again after the process is gone. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { systemClock, type Clock } from '../../../src/base/clock.js'
import type { Executor } from '../../../src/index.js'
import type { Engine } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, endless, gated, nothing, obedient, patient } from '../../fixtures/executor/jobs.js'
import { assertConsistent, inState, lasting, listed, mortal, nextEvent, setup, STORES, withCode } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [echo, endless, gated, nothing, obedient, patient]
const queues = { default: {}, images: {}, narrow: { concurrency: 1 } }

/** A clock that does not go on, for all that threads do in real time. */
function stopped(): Clock {
  const at = systemClock.monotonicMs()
  return {
    now: () => systemClock.now(),
    monotonicMs: () => at,
    after: (delayMs, callback) => systemClock.after(delayMs, callback),
  }
}

async function states(executor: Executor, ids: readonly { readonly id: string }[]): Promise<(string | undefined)[]> {
  return await Promise.all(ids.map(async ({ id }) => (await executor.get(id))?.state))
}

for (const store of STORES) {
  describe(`queue control, ${store}`, () => {
    it('a paused queue takes jobs and begins none, and nobody waits for it', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const images = executor.queue('images')
      await images.pause()
      const idle = nextEvent(executor, 'idle')
      const held = await executor.enqueueMany(echo, [1, 2, 3], { queue: 'images' })
      const other = await executor.enqueue(echo, 'other')
      assert.equal(await other.result(), 'other')
      await Promise.all([executor.drain(), images.drain(), idle])
      assert.deepEqual(await states(executor, held), ['available', 'available', 'available'])
      assert.deepEqual(await images.info(), {
        name: 'images',
        paused: true,
        concurrency: Infinity,
        scheduled: 0,
        available: 3,
        running: 0,
        retryable: 0,
      })
      await assertConsistent(executor)
      await images.resume()
      assert.deepEqual(await Promise.all(held.map((job) => job.result())), [1, 2, 3])
      await images.drain()
      assert.equal((await images.info()).paused, false)
    })

    it('takes back what no thread has begun, and lets what runs come to its end', async (t) => {
      // Nothing ever takes longer than expected, or what waits behind it would be taken back without a pause.
      const { executor } = await setup(t, { store, jobs, queues, threads: 1, clock: stopped() })
      const gate = new Gate(t)
      const images = executor.queue('images')
      const [first, ...rest] = await Promise.all([
        executor.enqueue(gated, { gate: gate.name, tag: 'a' }, { queue: 'images' }),
        executor.enqueue(nothing, undefined, { queue: 'images' }),
        executor.enqueue(echo, 1),
        executor.enqueue(nothing, undefined, { queue: 'images' }),
      ])
      await gate.reached(1)
      // The other queue's job may have come first.
      assert.ok((await executor.counts()).running >= 3, 'they were handed over together')
      const sum = (of: 'atWork' | 'heldAhead'): number =>
        Object.values(executor.stats().queues).reduce((jobs, queue) => jobs + queue[of], 0)
      assert.equal(sum('atWork'), 1, 'of which the thread is at one')
      assert.ok(sum('heldAhead') >= 2 && sum('heldAhead') <= 3, 'and has not begun the others')
      await images.pause()
      const { atWork, heldAhead } = executor.stats().queues['images']!
      assert.deepEqual([atWork, heldAhead], [1, 0])
      const counts = await images.info()
      assert.deepEqual([counts.running, counts.available], [1, 2])
      assert.deepEqual(await states(executor, [rest[0]!, rest[2]!]), ['available', 'available'])
      gate.open()
      assert.equal(await first.result(), 'a')
      assert.equal(await rest[1]!.result(), 1, 'the other queue goes on')
      await images.drain()
      await assertConsistent(executor)
      assert.equal((await executor.counts()).available, 2, 'nothing taken back is lost')
      await images.resume()
      await executor.drain()
      assert.equal((await executor.counts()).completed, 4)
    })

    it('interrupts what runs when asked to: first its signal, then its thread, and nothing is charged', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, abortGrace: 20 })
      const images = executor.queue('images')
      const begun = [nextEvent(executor, 'started'), nextEvent(executor, 'started', ({ job }) => job.name === 'endless')]
      const heeds = await executor.enqueue(patient, 1, { queue: 'images' })
      const ignores = await executor.enqueue(endless, 1, { queue: 'images' })
      await Promise.all([...begun, nextEvent(executor, 'progress')])
      const interrupted = [nextEvent(executor, 'interrupted'), nextEvent(executor, 'interrupted')]
      await images.pause({ interrupt: true })
      await Promise.all(interrupted)
      for (const job of [heeds, ignores]) {
        const info = await executor.get(job.id)
        assert.deepEqual([info?.state, info?.attempt], ['available', 1], job.name)
        assert.deepEqual(
          info?.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
          [[1, 'interrupted']],
          job.name,
        )
      }
      assert.equal((await images.info()).running, 0)
      await images.drain()
      await assertConsistent(executor)
    })

    it('interrupts what runs also when its thread has gone on to the next batch, and the first one is not back yet', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, threads: 1, abortGrace: 0, clock: stopped() })
      const measured = new Gate(t)
      measured.open()
      for (const tag of ['1', '2', '3']) await (await executor.enqueue(gated, { gate: measured.name, tag })).result()
      const gate = new Gate(t)
      const first = await executor.enqueue(gated, { gate: gate.name, tag: 'first' })
      await gate.reached(1)
      const second = await executor.enqueue(gated, { gate: gate.name, tag: 'second' })
      await inState(executor, second.id, 'running')
      // What is left of that turn is over then.
      for (let turns = 0; turns < 5; turns++) await turnOfLoop()
      const heard = new BroadcastChannel(gate.name)
      t.after(() => heard.close())
      // Right before the turn that pauses, and with no message from the thread heard in between.
      setImmediate(() => {
        gate.let('first')
        for (let arrived: unknown; arrived !== 'second';)
          arrived = (receiveMessageOnPort(heard as unknown as MessagePort)?.message as { arrived?: string } | undefined)?.arrived
      })
      await executor.queue('default').pause({ interrupt: true })
      assert.equal(await first.result(), 'first')
      const info = await executor.get(second.id)
      assert.deepEqual([info?.state, info?.attempts.map(({ outcome }) => outcome)], ['available', ['interrupted']])
    })

    it('says again after a restart what was said before, whatever the options say', async (t) => {
      const { executor, reopen } = await setup(t, { store, jobs, queues })
      await executor.queue('images').pause()
      await executor.queue('narrow').setConcurrency(Infinity)
      const [held] = await executor.enqueueMany(echo, [1], { queue: 'images' })
      await executor.close()
      const again = await reopen({ queues: { ...queues, images: { concurrency: 2 }, narrow: { concurrency: 5 } } })
      const images = again.queue('images')
      assert.deepEqual([(await images.info()).paused, (await images.info()).concurrency], [true, 2])
      assert.equal((await again.queue('narrow').info()).concurrency, Infinity)
      await again.drain()
      assert.equal((await again.get(held!.id))?.state, 'available')
      await images.resume()
      await again.queue('narrow').setConcurrency(undefined)
      assert.equal((await again.queue('narrow').info()).concurrency, 5)
      assert.equal(await again.job(held!.id).result(), 1)
      await again.close()
      const last = await reopen()
      assert.deepEqual([(await last.queue('images').info()).paused, (await last.queue('narrow').info()).concurrency], [false, 1])
    })

    it('leaves nothing in the store of a queue that nothing was set of', async (t) => {
      const { executor, engine } = await setup(t, { store, jobs, queues })
      await executor.queue('images').pause()
      await executor.queue('images').setConcurrency(2)
      await executor.queue('images').setConcurrency(undefined)
      await executor.queue('images').resume()
      await executor.close()
      const closed = await engine()
      const keys = closed.range('meta', { limit: 100 }).map(({ key }) => key.toString('utf8'))
      assert.deepEqual(
        keys.filter((key) => key.startsWith('queue-state')),
        [],
      )
      assert.deepEqual(checkStore(closed, { keepsAll: true }), [])
    })

    it('lowers and raises what may run at a time while jobs run', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, threads: 3 })
      const gate = new Gate(t)
      const images = executor.queue('images')
      const tags = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      const handles = []
      for (const tag of tags) handles.push(await executor.enqueue(gated, { gate: gate.name, tag }, { queue: 'images' }))
      await gate.reached(3)
      await images.setConcurrency(1)
      gate.let('a')
      gate.let('b')
      await Promise.all([handles[0]!.result(), handles[1]!.result()])
      // Two threads are free for another queue, and for none of this one's jobs.
      for (let round = 0; round < 5; round++) await executor.enqueue(nothing).then((job) => job.result())
      assert.equal(gate.arrived.length, 3, 'the third one runs on, and nothing else')
      gate.let('c')
      await Promise.all([handles[2]!.result(), gate.reached(4)])
      for (let round = 0; round < 5; round++) await executor.enqueue(nothing).then((job) => job.result())
      assert.deepEqual(gate.arrived.toSorted(), ['a', 'b', 'c', 'd'])
      await images.setConcurrency(2)
      await gate.reached(5)
      await images.setConcurrency(undefined)
      await gate.reached(6)
      gate.open()
      await executor.drain()
      assert.equal((await executor.counts()).completed, 17)
    })

    it('drains one queue while another one goes on', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const gate = new Gate(t)
      await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const handles = await executor.enqueueMany(echo, [1, 2, 3], { queue: 'images' })
      await executor.queue('images').drain()
      assert.deepEqual(await states(executor, handles), ['completed', 'completed', 'completed'])
      const late = executor.queue('default').drain()
      const failed = assert.rejects(late, withCode('MILLRACE_CLOSED'))
      await executor.close({ grace: 0 })
      await failed
    })

    it('purges what waits and what is over, and nothing that runs', async (t) => {
      const clock = new FakeClock()
      const { executor, engine } = await setup(t, { store, jobs, queues, clock, threads: 1 })
      const gate = new Gate(t)
      const images = executor.queue('images')
      const over = await executor.enqueue(echo, 'x'.repeat(50_000), { queue: 'images' })
      await over.result()
      const failed = await executor.enqueue(obedient, { do: 'fatal' }, { queue: 'images' })
      await assert.rejects(failed.result())
      await executor.enqueue(obedient, { do: 'fail' }, { queue: 'images' })
      await nextEvent(executor, 'retried')
      const runs = await executor.enqueue(gated, { gate: gate.name, tag: 'x' }, { queue: 'images' })
      await gate.reached(1)
      const waits = await executor.enqueueMany(echo, ['y'.repeat(50_000), 2, 3], { queue: 'images' })
      await executor.enqueueMany(echo, [4, 5], { queue: 'images', delay: '1h' })
      const others = await executor.enqueueMany(echo, [6, 7])
      const told = waits.map((job) => assert.rejects(job.result(), withCode('MILLRACE_JOB_CANCELLED', /purged/)))
      assert.deepEqual(await images.purge({}, { dryRun: true }), { matched: 8, changed: 0 })
      assert.deepEqual(await images.purge({ state: 'discarded' }), { matched: 1, changed: 1 })
      assert.deepEqual(await images.purge(), { matched: 7, changed: 7 })
      await Promise.all(told)
      assert.deepEqual(
        (await listed(executor, { queue: 'images' })).map(({ id, state }) => [id, state]),
        [[runs.id, 'running']],
      )
      assert.equal(await executor.get(over.id), undefined)
      await assert.rejects(executor.job(over.id).result(), withCode('MILLRACE_JOB_PRUNED'))
      gate.open()
      assert.deepEqual(await Promise.all(others.map((job) => job.result())), [6, 7])
      await executor.drain()
      await assertConsistent(executor)
      await executor.close()
      assert.deepEqual(checkStore(await engine(), {}), [])
    })

    it('knows the queues of its executor, until that is closed', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      assert.throws(() => executor.queue('image'), withCode('MILLRACE_UNKNOWN_QUEUE', /did you mean 'images'/))
      const images = executor.queue('images')
      await executor.close()
      for (const call of [
        images.pause(),
        images.resume(),
        images.setConcurrency(1),
        images.drain(),
        images.purge(),
        images.info(),
      ])
        await assert.rejects(call, withCode('MILLRACE_CLOSED'))
    })
  })
}

it('a pause that was acknowledged holds after the process has died, and its suspects wait with it', async (t) => {
  const { engine, remains, crash } = mortal()
  const { executor } = await setup(t, { engine, jobs, queues, threads: 2 })
  const gate = new Gate(t)
  const suspects = await Promise.all(
    ['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { queue: 'images' })),
  )
  await gate.reached(2)
  await executor.queue('images').pause()
  crash()
  await executor.close({ grace: 0 })
  const { executor: again } = await setup(t, { engine: remains, jobs, queues, threads: 2 })
  assert.equal(again.recovery.suspects.length, 2)
  assert.equal(again.queue('images').paused, true)
  // Suspects come before everything else, but not those of a paused queue: one that began would wait at the gate for ever.
  const begun = gate.reached(3).then(() => 'a suspect has begun')
  assert.equal(await Promise.race([again.enqueue(echo, 1).then((job) => job.result()), begun]), 1)
  assert.deepEqual(await states(again, suspects), ['available', 'available'])
  assert.equal(again.stats().suspects, 2)
  await Promise.all([again.drain(), again.queue('images').drain()])
  gate.open()
  await again.queue('images').resume()
  assert.deepEqual(await Promise.all(suspects.map(({ id }) => again.job(id).result())), ['a', 'b'])
  await assertConsistent(again)
})

it('a pause that interrupts what runs, and whose commit fails, rejects once: nothing is rejected that nobody hears', async (t) => {
  const { engine, crash } = mortal()
  const { executor } = await setup(t, { engine, jobs, queues, threads: 1 })
  executor.on('error', () => undefined)
  const gate = new Gate(t)
  await executor.enqueue(gated, { gate: gate.name, tag: 'a' }, { queue: 'images' })
  await gate.reached(1)
  const unheard: unknown[] = []
  const hear = (error: unknown): void => void unheard.push(error)
  process.on('unhandledRejection', hear)
  t.after(() => process.off('unhandledRejection', hear))
  crash()
  await assert.rejects(executor.queue('images').pause({ interrupt: true }), /the process is dead/)
  await turnOfLoop()
  assert.deepEqual(unheard, [])
})

it('whoever asks in steps is told, also when the turn of one of them fails before it has an end', async (t) => {
  const remains = lasting(createMemoryEngine())
  let isBroken = false
  const engine: Engine = {
    ...remains,
    commit: (batch) => {
      if (isBroken) throw new Error('nothing can be committed')
      return remains.commit(batch)
    },
  }
  const { executor } = await setup(t, { engine, jobs, queues })
  executor.on('error', () => undefined)
  isBroken = true
  const answers = await Promise.allSettled([executor.queue('images').info(), executor.queue('images').pause()])
  for (const answer of answers) assert.match(String(answer.status === 'rejected' && answer.reason), /nothing can be committed/)
})

it('a setting is there after a death as it was acknowledged, or not at all, and never by half', async (t) => {
  for (const isDurable of [false, true]) {
    const remains = lasting(createMemoryEngine())
    let isArmed = false
    const engine: Engine = {
      ...remains,
      commit: async (batch) => {
        if (!isArmed || isDurable) await remains.commit(batch)
        if (isArmed) throw new Error('the process is dead')
      },
    }
    const { executor } = await setup(t, { engine, jobs, queues, threads: 2 })
    const images = executor.queue('images')
    await images.setConcurrency(3)
    isArmed = true
    // Both go with one commit.
    const told = await Promise.allSettled([images.pause(), images.setConcurrency(1)])
    assert.deepEqual(
      told.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    await executor.close({ grace: 0 })
    const { executor: again } = await setup(t, { engine: remains, jobs, queues, threads: 2 })
    const { paused, concurrency } = await again.queue('images').info()
    assert.deepEqual([paused, concurrency], isDurable ? [true, 1] : [false, 3])
    await assertConsistent(again)
    await again.close()
    assert.deepEqual(checkStore(remains), [])
  }
})
