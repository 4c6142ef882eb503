/** Unique jobs: what becomes of an enqueue whose key is held, in every state of the job that holds it. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { DuplicateJobError, type EnqueueOptions, type Executor, type JobHandle, type UniqueOptions } from '../../../src/index.js'
import { BACKPRESSURE_BYTES } from '../../../src/base/limits.js'
import { INDEX_UNIQUE } from '../../../src/codec/keys.js'
import type { Engine } from '../../../src/store/engine.js'
import { type Keyed, keyed, loose, other, refusing, settling } from '../../fixtures/executor/unique-jobs.js'
import { gated } from '../../fixtures/executor/jobs.js'
import {
  assertConsistent,
  listed,
  nextEvent,
  rejection,
  setup,
  type Setup,
  type SetupOptions,
  STORES,
  withCode,
} from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [keyed, other, loose, settling, refusing, gated]

/** One thread, so that what is behind a gated job waits. */
function open(t: TestContext, options: SetupOptions = {}): Promise<Setup> {
  return setup(t, { jobs, threads: 1, retain: { jobs: Infinity, age: Infinity }, ...options })
}

/** The records of keys in a store. */
function keysIn(engine: Engine): number {
  return engine.range('index', { start: Buffer.of(INDEX_UNIQUE), limit: 10_000 }).length
}

/** Closes in order, and looks through what is left. Gives the number of records of keys. */
async function keysLeft({ engine }: Setup, executor: Executor, keepsAll = true): Promise<number> {
  await executor.close({ grace: 0 })
  const bytes = await engine()
  assert.deepEqual(checkStore(bytes, { keepsAll }), [])
  return keysIn(bytes)
}

/** Takes the one thread until the gate opens. */
async function block(executor: Executor, gate: Gate, tag = 'block'): Promise<void> {
  const before = gate.arrived.length
  await executor.enqueue(gated, { gate: gate.name, tag }, { priority: 127 })
  await gate.reached(before + 1)
}

function unique(key: string, more: Omit<UniqueOptions, 'key'> = {}): EnqueueOptions {
  return { unique: { key, ...more } }
}

for (const store of STORES) {
  describe(`unique jobs, ${store}`, () => {
    it('of enqueues of one turn one is new, and all of them are of that job', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const handles = await Promise.all(Array.from({ length: 40 }, (_, value) => executor.enqueue(keyed, { key: 'a', value })))
      assert.deepEqual(handles.map(({ isNew }) => isNew).filter(Boolean).length, 1)
      assert.equal(handles[0]?.isNew, true)
      assert.equal(new Set(handles.map(({ id }) => id)).size, 1)
      assert.deepEqual(await Promise.all(handles.map((handle) => handle.result())), Array(40).fill(0))
      assert.equal((await listed(executor)).length, 1)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('one enqueueMany stores each key once', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const handles = await executor.enqueueMany(
        keyed,
        ['a', 'b', 'a', 'c', 'b'].map((key, value) => ({ key, value })),
      )
      assert.deepEqual(
        handles.map(({ isNew }) => isNew),
        [true, true, false, true, false],
      )
      assert.equal(handles[2]?.id, handles[0]?.id)
      assert.equal(handles[4]?.id, handles[1]?.id)
      assert.deepEqual(await Promise.all(handles.map((handle) => handle.result())), [0, 1, 0, 3, 1])
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('a key is of its definition', async (t) => {
      const { executor } = await open(t, { store })
      const made = await Promise.all([
        executor.enqueue(keyed, { key: 'a' }),
        executor.enqueue(other, { key: 'a' }),
        executor.enqueue(loose, { key: 'a' }, unique('a')),
        executor.enqueue(loose, { key: 'a' }),
      ])
      assert.ok(made.every(({ isNew }) => isNew))
    })

    it('the enqueue returns the job that is scheduled, waits, runs, or waits for a retry; a handle gives its result', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock })
      const { executor } = all
      const gate = new Gate(t)
      const again = async (first: JobHandle<unknown>, state: string): Promise<JobHandle<unknown>> => {
        assert.equal((await executor.get(first.id))?.state, state)
        const second = await executor.enqueue(keyed, { key: 'a', value: 'second' })
        assert.deepEqual([second.id, second.isNew, second.name], [first.id, false, 'keyed'])
        return second
      }
      const input = { key: 'a', value: 'first', gate: gate.name, fails: 1 }
      const first = await executor.enqueue(keyed, input, { delay: 1000 })
      const handles = [await again(first, 'scheduled')]
      await block(executor, gate)
      clock.advance(1000)
      const { id } = first
      // Promoted by the turn that the timer asked for.
      for (let state = ''; state !== 'available';) state = (await executor.get(id))?.state ?? ''
      handles.push(await again(first, 'available'))
      gate.let('block')
      await gate.reached(2)
      handles.push(await again(first, 'running'))
      const retried = nextEvent(executor, 'retried')
      gate.open()
      await retried
      handles.push(await again(first, 'retryable'))
      clock.advance(60_000)
      assert.deepEqual(await Promise.all([first, ...handles].map((handle) => handle.result())), Array(5).fill('first'))
      const next = await executor.enqueue(keyed, { key: 'a', value: 'third' })
      assert.equal(next.isNew, true)
      assert.equal(await next.result(), 'third')
      await assertConsistent(executor)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('a handle of a job that nobody held a handle of any more settles too', async (t) => {
      const all = await open(t, { store })
      const gate = new Gate(t)
      await block(all.executor, gate)
      const { id } = await all.executor.enqueue(keyed, { key: 'a', value: 7 })
      await all.executor.close({ grace: 0 })
      const executor = await all.reopen()
      await block(executor, gate)
      const held = await executor.enqueue(keyed, { key: 'a', value: 8 })
      assert.deepEqual([held.id, held.isNew], [id, false])
      gate.open()
      assert.equal(await held.result(), 7)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('rejects with the id of the job that holds the key', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      await block(executor, gate)
      const options = unique('a', { onConflict: 'reject' })
      const [first, second] = await Promise.allSettled([
        executor.enqueue(loose, { key: '1' }, options),
        executor.enqueue(loose, { key: '2' }, options),
      ])
      assert.ok(first.status === 'fulfilled' && second.status === 'rejected')
      const error = await rejection(executor.enqueue(loose, { key: '3' }, options))
      for (const each of [second.reason as unknown, error]) {
        assert.ok(each instanceof DuplicateJobError)
        assert.deepEqual([each.code, each.jobId, each.key], ['MILLRACE_DUPLICATE', first.value.id, 'a'])
        assert.match(each.message, new RegExp(`Nothing was enqueued: job ${first.value.id} holds the unique key "a" of "loose"`))
      }
      gate.open()
      await first.value.result()
      const next = await executor.enqueue(loose, { key: '4' }, options)
      assert.equal(next.isNew, true)
      await next.result()
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('an enqueueMany that meets one held key rejects as a whole and stores nothing', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      await block(executor, gate)
      const held = await executor.enqueue(refusing, { key: 'b' })
      const many = (keys: readonly string[]): Promise<unknown> =>
        executor.enqueueMany(
          refusing,
          keys.map((key) => ({ key })),
        )
      const errors = await Promise.all([
        rejection(many(['a', 'b', 'c'])),
        rejection(many(['a', 'c', 'a'])),
        rejection(executor.enqueueMany(loose, [{ key: '1' }, { key: '2' }], unique('d', { onConflict: 'reject' }))),
      ])
      assert.deepEqual(
        errors.map((error) => error instanceof DuplicateJobError && [error.key, error.jobId]),
        [
          ['b', held.id],
          ['a', undefined],
          ['d', undefined],
        ],
      )
      assert.match(errors[1]?.message ?? '', /more than one input of this call has the unique key "a"/)
      assert.equal((await listed(executor)).length, 2)
      const [first, second] = await Promise.allSettled([many(['a', 'c']), many(['c', 'e'])])
      assert.deepEqual([first.status, second.status], ['fulfilled', 'rejected'])
      gate.open()
      await executor.drain()
      assert.equal((await listed(executor)).length, 4)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('replaces input and settings of a job that waits, which keeps its id and its place', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      await block(executor, gate)
      const replace = unique('a', { onConflict: 'replace' })
      const first = await executor.enqueue(
        loose,
        { key: 'a', value: 1, bulk: new Uint8Array(50_000) },
        { ...replace, maxRetries: 7 },
      )
      const behind = await executor.enqueue(loose, { key: 'b', value: 'b' })
      const large = { key: 'a', value: 3, bulk: new Uint8Array(40_000).fill(3) }
      const [second, third] = await Promise.all([
        executor.enqueue(loose, { key: 'a', value: 2 }, { ...replace, priority: 5, queue: 'default' }),
        executor.enqueue(loose, large, { ...replace, maxRetries: 9, timeout: '1h' }),
      ])
      for (const { id, isNew } of [second, third]) assert.deepEqual([id, isNew], [first.id, false])
      const info = await executor.get(first.id)
      assert.deepEqual([info?.input, info?.maxRetries, info?.timeoutMs, info?.priority], [large, 9, 3_600_000, 0])
      await assertConsistent(executor)
      const ends: string[] = []
      executor.on('completed', ({ job }) => ends.push(job.id))
      gate.open()
      assert.deepEqual(await Promise.all([first, second, third, behind].map((handle) => handle.result())), [3, 3, 3, 'b'])
      assert.deepEqual(ends.slice(-2), [first.id, behind.id])
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('replaces a job that was handed to a thread and not begun', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      const replace = unique('a', { onConflict: 'replace' })
      // Of one commit, and so of one batch.
      const [, first] = await Promise.all([
        executor.enqueue(gated, { gate: gate.name, tag: 'block' }),
        executor.enqueue(loose, { key: 'a', value: 1 }, replace),
      ])
      await gate.reached(1)
      const second = await executor.enqueue(loose, { key: 'a', value: 2 }, replace)
      const third = await executor.enqueue(loose, { key: 'a', value: 3 }, unique('a'))
      assert.deepEqual([second.id, second.isNew, third.id], [first.id, false, first.id])
      await assertConsistent(executor)
      gate.open()
      assert.equal(await first.result(), 2)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('what was not stored is not waited for: enqueues that find their key held never hold up those that follow', async (t) => {
      const all = await open(t, { store })
      const { executor } = all
      const gate = new Gate(t)
      await block(executor, gate)
      const bulk = new Uint8Array(BACKPRESSURE_BYTES / 20)
      const replace = unique('a', { onConflict: 'replace' })
      const conflicts = [unique('a'), replace, replace] as const
      for (let round = 0; round < 9; round++) {
        // Of one turn: after the first round all of them meet the job of an earlier commit.
        const bulky = conflicts.map((options, index) =>
          executor.enqueue(loose, { key: 'a', value: `${round}${index}`, bulk }, options),
        )
        await Promise.all([...bulky, executor.enqueue(loose, { key: 'a', value: 'small' }, replace)])
      }
      const rejecting = unique('a', { onConflict: 'reject' })
      for (let call = 0; call < 3; call++) await rejection(executor.enqueue(loose, { key: 'a', bulk }, rejecting))
      const last = await executor.enqueue(loose, { key: 'a', value: 'last' }, replace)
      gate.open()
      assert.equal(await last.result(), 'last')
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('a job that runs cannot be replaced: it gives up its key to a new one', async (t) => {
      const all = await open(t, { store, threads: 2 })
      const { executor } = all
      const gate = new Gate(t)
      const replace = unique('a', { onConflict: 'replace' })
      const first = await executor.enqueue(loose, { key: 'a', value: 1, gate: gate.name, fails: 1 }, replace)
      await gate.reached(1)
      const second = await executor.enqueue(loose, { key: 'b', value: 2, gate: gate.name }, replace)
      assert.equal(second.isNew, true)
      await gate.reached(2)
      const retried = nextEvent(executor, 'retried')
      gate.let('a')
      await retried
      // The first waits for its retry, and the key is the second's all the same.
      const third = await executor.enqueue(loose, { key: 'c' }, unique('a'))
      assert.equal(third.id, second.id)
      gate.open()
      assert.equal(await second.result(), 2)
      const last = await executor.enqueue(loose, { key: 'd', value: 4 }, unique('a'))
      assert.equal(last.isNew, true)
      assert.equal((await executor.get(first.id))?.state, 'retryable')
      assert.equal(await last.result(), 4)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('replacing moves a scheduled job only when it is told when, and a retry keeps its attempts', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock })
      const { executor } = all
      const start = clock.now()
      const replace = unique('a', { onConflict: 'replace' })
      const first = await executor.enqueue(loose, { key: 'a', value: 1 }, { ...replace, delay: 5000 })
      const shown = async () => {
        const info = await executor.get(first.id)
        return [info?.state, (info?.input as Keyed).value, (info?.runAt ?? start) - start, info?.attempts.length]
      }
      await executor.enqueue(loose, { key: 'a', value: 2 }, replace)
      assert.deepEqual(await shown(), ['scheduled', 2, 5000, 0])
      await executor.enqueue(loose, { key: 'a', value: 3 }, { ...replace, runAt: start + 9000 })
      assert.deepEqual(await shown(), ['scheduled', 3, 9000, 0])
      const retried = nextEvent(executor, 'retried')
      await executor.enqueue(loose, { key: 'a', value: 4, fails: 1 }, { ...replace, delay: 0 })
      await retried
      assert.deepEqual(await shown(), ['retryable', 4, 60_000, 1])
      await executor.enqueue(loose, { key: 'a', value: 5 }, replace)
      assert.deepEqual(await shown(), ['retryable', 5, 60_000, 1])
      await executor.enqueue(loose, { key: 'a', value: 6 }, { ...replace, delay: 1000 })
      assert.deepEqual(await shown(), ['retryable', 6, 1000, 1])
      await assertConsistent(executor)
      clock.advance(1000)
      assert.equal(await first.result(), 6)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('debouncing puts a job off until so long after the last enqueue, and runs the last input once', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock })
      const { executor } = all
      const start = clock.now()
      const first = await executor.enqueue(settling, { key: 'a', value: 0 }, { delay: 1000 })
      for (let value = 1; value <= 3; value++) {
        clock.advance(900)
        const [one, two] = await Promise.all([
          executor.enqueue(settling, { key: 'a', value: -value }, { delay: 1000 }),
          executor.enqueue(settling, { key: 'a', value }, { delay: 1000 }),
        ])
        assert.deepEqual([one.id, two.id, one.isNew, two.isNew], [first.id, first.id, false, false])
        assert.equal((await executor.get(first.id))?.runAt, start + 900 * value + 1000)
      }
      await assertConsistent(executor)
      clock.advance(999)
      await executor.drain()
      assert.equal((await executor.get(first.id))?.state, 'scheduled')
      clock.advance(1)
      assert.equal(await first.result(), 3)
      assert.equal((await listed(executor)).length, 1)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('debouncing takes a job that waits out of its lane', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock })
      const { executor } = all
      const gate = new Gate(t)
      await block(executor, gate)
      const waiting = await executor.enqueue(loose, { key: 'a', value: 1 }, unique('a'))
      await executor.enqueue(loose, { key: 'a', value: 2 }, { ...unique('a', { onConflict: 'debounce' }), delay: 1000 })
      const info = await executor.get(waiting.id)
      assert.deepEqual([info?.state, info?.runAt], ['scheduled', clock.now() + 1000])
      await assertConsistent(executor)
      gate.open()
      await executor.drain()
      clock.advance(1000)
      assert.equal(await waiting.result(), 2)
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('debouncing without a delay is refused', async (t) => {
      const { executor } = await open(t, { store: 'memory' })
      for (const options of [undefined, { delay: 0 }, { runAt: Date.now() + 1000 }]) {
        await assert.rejects(
          executor.enqueue(settling, { key: 'a' }, options),
          withCode('MILLRACE_INVALID_OPTIONS', /delay: is missing: unique\.onConflict 'debounce'/),
        )
      }
    })

    it('while it waits: a job that a thread has begun holds nothing', async (t) => {
      const all = await open(t, { store, threads: 2 })
      const { executor } = all
      const gate = new Gate(t)
      const options = unique('a', { while: 'waiting' })
      const first = await executor.enqueue(loose, { key: 'a', value: 1, gate: gate.name, fails: 1 }, options)
      await gate.reached(1)
      const second = await executor.enqueue(loose, { key: 'b', value: 2, gate: gate.name }, options)
      await gate.reached(2)
      const retried = nextEvent(executor, 'retried')
      gate.let('a')
      await retried
      // A retry does not take the key again.
      const third = await executor.enqueue(loose, { key: 'c', value: 3 }, options)
      assert.deepEqual([second.isNew, third.isNew], [true, true])
      gate.open()
      assert.deepEqual([await second.result(), await third.result()], [2, 3])
      assert.equal((await executor.get(first.id))?.state, 'retryable')
      assert.equal(await keysLeft(all, executor), 0)
    })

    it('while it is kept: as long as get() finds it', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock, retain: { jobs: 2, age: '1h' } })
      const { executor } = all
      const options = unique('a', { while: 'kept' })
      const first = await executor.enqueue(loose, { key: 'a', value: 1 }, options)
      await first.result()
      for (const onConflict of ['return', 'replace'] as const) {
        const again = await executor.enqueue(loose, { key: 'a', value: 2 }, unique('a', { while: 'kept', onConflict }))
        assert.deepEqual([again.id, again.isNew, await again.result()], [first.id, false, 1])
      }
      for (const key of ['x', 'y']) await (await executor.enqueue(loose, { key })).result()
      assert.equal(await executor.get(first.id), undefined)
      const second = await executor.enqueue(loose, { key: 'a', value: 3 }, options)
      assert.deepEqual([second.isNew, await second.result()], [true, 3])
      clock.advance(3_600_000)
      const third = await executor.enqueue(loose, { key: 'a', value: 4 }, options)
      assert.deepEqual([third.isNew, await third.result()], [true, 4])
      await executor.close()
      const reopened = await all.reopen()
      assert.equal((await reopened.enqueue(loose, { key: 'a' }, options)).id, third.id)
      for (const key of ['x', 'y', 'z']) await (await reopened.enqueue(loose, { key })).result()
      assert.equal(await keysLeft(all, reopened, false), 0)
    })

    it('within its time a key is held whatever becomes of the job, and no longer', async (t) => {
      const clock = new FakeClock()
      const all = await open(t, { store, clock, retain: { jobs: 0 } })
      const { executor } = all
      const options = unique('a', { within: '10s' })
      const first = await executor.enqueue(loose, { key: 'a', value: 1 }, options)
      assert.equal(await first.result(), 1)
      clock.advance(9999)
      for (const onConflict of ['return', 'replace'] as const) {
        const again = await executor.enqueue(loose, { key: 'a', value: 2 }, unique('a', { onConflict }))
        assert.deepEqual([again.id, again.isNew], [first.id, false])
        await assert.rejects(again.result(), withCode('MILLRACE_JOB_PRUNED'))
      }
      clock.advance(1)
      const next = await executor.enqueue(loose, { key: 'a', value: 3 }, options)
      assert.equal(next.isNew, true)
      await next.result()
      // Time alone clears it away, also across a restart.
      await executor.close()
      assert.equal(keysIn(await all.engine()), 2)
      if (store === 'lmdb') await (await all.engine()).close()
      const reopened = await all.reopen()
      const { commits } = reopened.stats().store
      clock.advance(10_000)
      while (reopened.stats().store.commits === commits) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(await keysLeft(all, reopened, false), 0)
    })

    it('a key goes with a cancel, a discard, and an end that is not kept', async (t) => {
      const all = await open(t, { store, retain: { jobs: 0 } })
      const { executor } = all
      const gate = new Gate(t)
      for (const until of ['waiting', 'incomplete', 'kept'] as const) {
        const options = unique(until, { while: until })
        const scheduled = await executor.enqueue(loose, { key: until }, { ...options, delay: '1h' })
        assert.equal(await executor.cancel(scheduled.id), true)
        await block(executor, gate, until)
        const waiting = await executor.enqueue(loose, { key: until }, options)
        assert.equal(waiting.isNew, true)
        assert.equal(await executor.cancel(waiting.id), true)
        gate.let(until)
        const failing = await executor.enqueue(loose, { key: until, fails: 9 }, { ...options, maxRetries: 0 })
        assert.equal(failing.isNew, true)
        await assert.rejects(failing.result(), withCode('MILLRACE_JOB_FAILED'))
        const last = await executor.enqueue(loose, { key: until }, options)
        assert.equal(last.isNew, true)
        await last.result()
      }
      assert.equal(await keysLeft(all, executor, false), 0)
    })
  })
}
