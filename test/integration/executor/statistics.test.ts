/**
 * Statistics of queues and definitions: exact over whole histories, through kills and reopenings; windows that empty; times; metrics. What
 * they must be is counted anew from the jobs and their histories (`support/recount`).
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { metaKey } from '../../../src/codec/keys.js'
import { NOW_BYTES, seriesKey } from '../../../src/codec/series-record.js'
import type { Executor } from '../../../src/executor/executor.js'
import { defineJob } from '../../../src/job/define-job.js'
import type { Engine } from '../../../src/store/engine.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, endless, failing, gated, nothing, obedient } from '../../fixtures/executor/jobs.js'
import { readExposition, valueOf } from '../../support/exposition.js'
import { lasting, listed, setup, type Setup, STORES } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { createPrng, seedOfRun, type Prng } from '../../support/prng.js'
import { statisticsProblems } from '../../support/recount.js'
import { checkStore } from '../../support/store-check.js'
import { TurnedClock } from '../../torture/model/turned-clock.js'

const jobs = [echo, endless, failing, gated, nothing, obedient]
const queues = { default: {}, narrow: { concurrency: 1 } }
const retain = { jobs: Infinity, age: Infinity }
const NOBODY: ReadonlySet<string> = new Set()
const MINUTE = 60_000
const HOUR = 60 * MINUTE

/** What a caller may do, and what handlers do then. */
async function act(executor: Executor, prng: Prng, ids: string[]): Promise<void> {
  const options = {
    ...(prng.below(3) === 0 && { delay: prng.below(3 * MINUTE) }),
    ...(prng.below(3) === 0 && { queue: 'narrow' }),
    ...(prng.below(4) === 0 && { maxRetries: prng.below(3) }),
  }
  switch (prng.below(7)) {
    case 0:
    case 1: {
      const inputs = Array.from({ length: prng.below(60) }, () => 'x'.repeat(prng.below(40) === 0 ? 40_000 : 5))
      for (const { id } of await executor.enqueueMany(echo, inputs, options)) ids.push(id)
      return
    }
    case 2:
    case 3: {
      const what = prng.pick(['complete', 'fail', 'fatal', 'cancel', 'snooze', 'retry'] as const)
      ids.push((await executor.enqueue(obedient, { do: what, afterMs: prng.below(20_000) }, options)).id)
      return
    }
    case 4:
      ids.push((await executor.enqueue(failing, { times: prng.below(3) }, options)).id)
      return
    case 5:
      ids.push((await executor.enqueue(endless, null, { ...options, timeout: 30, maxRetries: 1 })).id)
      return
    default: {
      const chosen = Array.from({ length: ids.length === 0 ? 0 : 1 + prng.below(8) }, () => prng.pick(ids))
      await Promise.all(chosen.map((id) => executor.cancel(id)))
    }
  }
}

/** Looks through the store while no executor has it open. */
async function look<Value>(bench: Setup, see: (engine: Engine) => Value | Promise<Value>): Promise<Value> {
  const engine = await bench.engine()
  try {
    return await see(engine)
  } finally {
    await engine.close()
  }
}

for (const store of STORES) {
  it(`are what jobs and their histories say, through random histories and reopenings, ${store}`, async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    const clock = new TurnedClock()
    const bench = await setup(t, { store, jobs, queues, retain, clock, random: prng, durability: 'process' })
    let { executor } = bench
    const ids: string[] = []
    for (let round = 0; round < 3; round++) {
      for (let step = 0; step < 8; step++) {
        await Promise.all(Array.from({ length: 1 + prng.below(5) }, () => act(executor, prng, ids)))
        await executor.drain()
        assert.deepEqual(statisticsProblems(executor, await listed(executor), NOBODY), [], `round ${round}, step ${step}`)
        clock.advance(prng.below(2 * MINUTE))
      }
      await executor.drain()
      const before = executor.stats()
      await executor.close()
      assert.deepEqual(await look(bench, (engine) => checkStore(engine, { keepsAll: true })), [])
      executor = await bench.reopen()
      assert.equal(executor.stats().since, before.since)
      await executor.drain()
      assert.deepEqual(statisticsProblems(executor, await listed(executor), NOBODY), [], `round ${round}, reopened`)
    }
  })

  it(`windows empty as time goes on, and tell the same after a reopening, ${store}`, async (t) => {
    const clock = new FakeClock()
    const bench = await setup(t, { store, jobs, clock, durability: 'process' })
    let { executor } = bench
    const completed = (): (number | undefined)[] => {
      const { totals, windows } = executor.stats().queues['default'] ?? {}
      return [windows?.hour.completed, windows?.day.completed, windows?.month.completed, totals?.completed]
    }
    await executor.enqueueMany(echo, [1, 2, 3])
    await executor.drain()
    assert.deepEqual(completed(), [3, 3, 3, 3])
    clock.advance(2 * HOUR)
    assert.deepEqual(completed(), [0, 3, 3, 3])
    await executor.enqueueMany(echo, [4, 5])
    await executor.drain()
    assert.deepEqual(completed(), [2, 5, 5, 5])
    await executor.close()
    clock.advance(10 * MINUTE)
    executor = await bench.reopen()
    assert.deepEqual(completed(), [2, 5, 5, 5])
    clock.jump(-6 * HOUR)
    assert.deepEqual(completed(), [2, 5, 5, 5])
    await (await executor.enqueue(echo, 6)).result()
    assert.deepEqual(completed(), [3, 6, 6, 6])
    clock.advance(2 * HOUR)
    assert.deepEqual(completed(), [0, 6, 6, 6])
    clock.advance(25 * HOUR)
    assert.deepEqual(completed(), [0, 0, 6, 6])
    clock.advance(31 * 24 * HOUR)
    assert.deepEqual(completed(), [0, 0, 0, 6])
    assert.deepEqual(executor.stats().definitions['echo']?.windows.month, executor.stats().queues['default']?.windows.month)
  })

  it(`what waits, what is at work, since when and for how long, ${store}`, async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store, jobs, queues, clock, threads: 1 })
    const gate = new Gate(t)
    const idle = executor.stats().queues['narrow']
    assert.deepEqual(
      [idle?.waiting, idle?.running, idle?.oldestWaitingMs, idle?.drainMs, idle?.run, idle?.wait],
      [0, 0, undefined, 0, undefined, undefined],
    )
    await executor.enqueue(gated, { gate: gate.name, tag: 'first' }, { queue: 'narrow' })
    await gate.reached(1)
    clock.advance(5000)
    const waiting = await executor.enqueueMany(nothing, [1, 2, 3], { queue: 'narrow' })
    await executor.enqueue(nothing, 4, { queue: 'narrow', delay: '1h' })
    // What is handed over behind the held one begins by the threads' clock, which is not turned; until that one is seen to be slow.
    while ((await listed(executor, { state: 'running' })).length > 1) await new Promise(setImmediate)
    clock.advance(20_000)
    const busy = executor.stats().queues['narrow']
    assert.deepEqual(
      [busy?.waiting, busy?.scheduled, busy?.totals.enqueued, busy?.totals.started, busy?.windows.hour.started],
      [4, 1, 5, 1, 1],
    )
    assert.deepEqual([busy?.oldestWaitingMs, busy?.drainMs], [20_000, undefined])
    assert.equal(executor.stats().definitions['gated']?.totals.started, 1)
    assert.equal(executor.stats().definitions['nothing']?.waiting, 3)
    gate.open()
    await Promise.all(waiting.map((job) => job.result()))
    await executor.drain()
    const { wait, run, totals, drainMs, oldestWaitingMs } = executor.stats().queues['narrow'] ?? {}
    assert.deepEqual([totals?.started, totals?.completed, drainMs, oldestWaitingMs], [4, 4, 0, undefined])
    assert.deepEqual([wait?.count, run?.count], [4, 4])
    // Three of four have waited for 20 s, by the clock that was turned.
    for (const told of [wait?.p50Ms, wait?.p90Ms, wait?.p99Ms])
      assert.ok(Math.abs((told ?? 0) - 20_000) < 20_000 * 0.06, `${told}`)
    assert.ok((run?.meanMs ?? 0) > 0 && (run?.p50Ms ?? 0) > 0)
    const shut = new Gate(t)
    await executor.enqueue(gated, { gate: shut.name, tag: 'second' }, { queue: 'narrow' })
    await shut.reached(1)
    const { drainMs: estimate } = executor.stats().queues['narrow'] ?? {}
    const { run: ofGated } = executor.stats().definitions['gated'] ?? {}
    assert.ok(Math.abs((estimate ?? 0) - (ofGated?.meanMs ?? 0)) < 1e-6 * (estimate ?? 0), `${estimate} for ${ofGated?.meanMs}`)
    const narrow = executor.queue('narrow')
    const isAbout = (share: number): void => {
      const { drainMs: told } = executor.stats().queues['narrow'] ?? {}
      const expected = (estimate ?? 0) * share
      assert.ok(Math.abs((told ?? 0) - expected) < 1e-6 * expected, `${told} instead of ${expected}`)
    }
    // The narrower of the two that an operator may set says how many work for it.
    await narrow.setConcurrency(2)
    isAbout(1)
    await executor.setThreads(4)
    isAbout(1 / 2)
    await narrow.setConcurrency(Infinity)
    isAbout(1 / 4)
    await narrow.pause()
    assert.equal(executor.stats().queues['narrow']?.drainMs, undefined)
    await narrow.resume()
    clock.runFreely()
    await executor.close({ grace: 0 })
    assert.equal(executor.stats().queues['narrow']?.totals.interrupted, 1)
    assert.equal(executor.metrics(), executor.metrics())
  })

  it(`the age of what waits is that of the front, whatever lies behind it or was cancelled before it, ${store}`, async (t) => {
    const clock = new FakeClock()
    const { executor } = await setup(t, { store, jobs, clock, threads: 1 })
    const gate = new Gate(t)
    await executor.enqueue(gated, { gate: gate.name, tag: 'first' })
    await gate.reached(1)
    const pages = []
    for (let page = 0; page < 80; page++) {
      pages.push(await executor.enqueueMany(echo, [1, 2]))
      clock.advance(1000)
    }
    const age = (): number | undefined => executor.stats().queues['default']?.oldestWaitingMs
    assert.equal(age(), 80_000)
    for (const job of pages.slice(0, 3).flat()) await executor.cancel(job.id)
    assert.equal(age(), 77_000)
    const urgent = await executor.enqueue(echo, 3, { priority: 5 })
    assert.equal(age(), 77_000)
    for (const job of pages.slice(3, 79).flat()) await executor.cancel(job.id)
    assert.equal(age(), 1000)
    for (const job of pages.slice(79).flat()) await executor.cancel(job.id)
    assert.equal(age(), 0)
    await executor.cancel(urgent.id)
    assert.equal(age(), undefined)
    gate.open()
    await executor.drain()
  })

  it(`a store that is older than its statistics counts what waits in it, and what happens from then on, ${store}`, async (t) => {
    const clock = new FakeClock()
    const bench = await setup(t, { store, jobs, queues, retain, clock, threads: 1 })
    const { executor } = bench
    await executor.enqueueMany(echo, [1, 2, 3])
    await executor.enqueueMany(obedient, [{ do: 'retry' }, { do: 'fatal' }])
    await executor.drain()
    const later = await executor.enqueueMany(echo, [4, 5, 6, 7], { delay: '1h' })
    await executor.enqueueMany(nothing, [1, 2], { delay: '2h', queue: 'narrow', maxRetries: 1 })
    await executor.cancel(later[1]?.id ?? '')
    await executor.close()
    await look(bench, async (engine) => {
      const writes = new WriteBatch()
      for (const { key } of engine.range('meta', { start: metaKey('stats:'), end: metaKey('stats;'), limit: 100 }))
        writes.remove('meta', key)
      await engine.commit(writes)
      assert.deepEqual(checkStore(engine, { keepsAll: true }), [])
    })
    clock.advance(1000)
    const again = await bench.reopen()
    const { since, totals, queues: told, definitions } = again.stats()
    assert.deepEqual([since, totals.completed, totals.discarded, totals.cancelled], [clock.now(), 3, 1, 1])
    const counted = (name: string): (number | undefined)[] => {
      const { scheduled, retryable, waiting, totals: ever } = definitions[name] ?? {}
      return [scheduled, retryable, waiting, ever?.enqueued, ever?.completed]
    }
    assert.deepEqual(counted('echo'), [3, 0, 0, 3, 0])
    assert.deepEqual(counted('obedient'), [0, 1, 0, 1, 0])
    assert.deepEqual(counted('nothing'), [2, 0, 0, 2, 0])
    assert.deepEqual([told['narrow']?.scheduled, told['default']?.scheduled], [2, 3])
    clock.advance(3 * HOUR)
    await again.drain()
    assert.deepEqual(
      [
        again.stats().totals.completed,
        again.stats().queues['default']?.totals.completed,
        again.stats().queues['narrow']?.waiting,
      ],
      [8, 3, 0],
    )
    await again.close()
    assert.deepEqual(await look(bench, (engine) => checkStore(engine, { keepsAll: true })), [])
  })

  it(`metrics are Prometheus text, and say what stats say, ${store}`, async (t) => {
    const odd = 'a "quoted" \\name\\n,{le="1"}'
    const strange = defineJob({ name: '__proto__', module: import.meta.url, run: () => 1 })
    const { executor } = await setup(t, { store, jobs: [...jobs, strange], queues: { default: {}, [odd]: {} } })
    await executor.enqueueMany(echo, [1, 2, 3], { queue: odd })
    await executor.enqueueMany(obedient, [{ do: 'fatal' }, { do: 'retry' }])
    await executor.enqueue(strange, undefined, { delay: '1h' })
    await executor.drain()
    const text = executor.metrics()
    const read = readExposition(text)
    const of = (name: string, labels = {}): number | undefined => valueOf(read, `millrace_${name}`, labels)
    const labels = { queue: odd, definition: 'echo' }
    const { queues: told, definitions, store: stored, threads, since } = executor.stats()
    assert.deepEqual([of('jobs_enqueued_total', labels), of('jobs_completed_total', labels)], [3, 3])
    assert.equal(told[odd]?.totals.completed, 3)
    assert.equal(of('attempts_failed_total', { queue: 'default', definition: 'obedient' }), 2)
    assert.equal(of('attempts_retried_total', { queue: 'default', definition: 'obedient' }), 1)
    assert.equal(of('backlog_jobs', { queue: 'default', definition: 'obedient', state: 'retryable' }), 1)
    assert.equal(of('backlog_jobs', { queue: 'default', definition: '__proto__', state: 'scheduled' }), 1)
    assert.deepEqual([Object.hasOwn(definitions, '__proto__'), definitions['__proto__']?.scheduled], [true, 1])
    assert.equal(of('run_seconds_count', labels), 3)
    assert.equal(of('wait_seconds_count', labels), 3)
    assert.equal(of('drain_seconds', { queue: odd }), 0)
    assert.deepEqual([of('jobs', { state: 'completed' }), of('jobs', { state: 'scheduled' })], [3, 1])
    assert.equal(of('threads', { state: 'idle' }), threads.length)
    assert.deepEqual([of('stuck_threads'), of('suspects')], [0, 0])
    assert.equal(of('store_size_bytes'), stored.sizeBytes)
    assert.equal(of('store_commits_total'), stored.commits)
    assert.equal(of('turn_seconds_count'), stored.commits - 1, 'all but that of the recovery')
    assert.ok((of('store_last_commit_seconds') ?? 0) > 0)
    assert.equal(of('counted_since_seconds'), since / 1000)
    assert.ok(!text.includes('undefined') && !text.includes('NaN'), text)
    assert.deepEqual(JSON.parse(JSON.stringify(told)), JSON.parse(JSON.stringify(executor.stats().queues)))
  })
}

describe('a kill', () => {
  it('at any commit leaves statistics that are what the jobs say, before it or behind it', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    for (const last of [1, 2, 3, 5, 8, 13, 21, 34]) {
      for (const isDurable of [false, true]) {
        const remains = lasting(createMemoryEngine())
        await liveUntil(t, remains, last, isDurable, seed + last)
        const found = checkStore(remains, { crashed: true, keepsAll: true })
        // Before the first commit there is no store.
        if (last > 1 || isDurable) assert.deepEqual(found, [], `commit ${last}, ${isDurable}`)
        const { executor } = await setup(t, {
          engine: remains,
          jobs,
          queues,
          retain,
          clock: new TurnedClock(),
        })
        await executor.drain()
        assert.deepEqual(statisticsProblems(executor, await listed(executor), NOBODY), [], `commit ${last}, ${isDurable}`)
        await executor.close({ grace: 0 })
      }
    }
  })

  it('takes the times of the minute before it at most; a close takes none', async (t) => {
    const clock = new FakeClock()
    const remains = lasting(createMemoryEngine())
    let isDead = false
    const engine: Engine = {
      ...remains,
      commit: async (batch) => {
        if (isDead) throw new Error('the process is dead')
        await remains.commit(batch)
      },
    }
    const bench = await setup(t, { engine, jobs, clock })
    const measured = (executor: Executor): (number | undefined)[] => {
      const { run, totals } = executor.stats().queues['default'] ?? {}
      return [run?.count, totals?.completed]
    }
    await (await bench.executor.enqueue(echo, 1)).result()
    clock.advance(2 * MINUTE)
    for (let job = 2; job <= 4; job++) await (await bench.executor.enqueue(echo, job)).result()
    await bench.executor.close()
    const second = await bench.reopen()
    assert.deepEqual(measured(second), [4, 4])
    clock.advance(2 * MINUTE)
    for (let job = 5; job <= 9; job++) await (await second.enqueue(echo, job)).result()
    assert.deepEqual(measured(second), [9, 9])
    isDead = true
    second.on('error', () => undefined)
    await second.close({ grace: 0 })
    const third = await bench.reopen({ engine: remains })
    const [times = 0, completed] = measured(third)
    assert.equal(completed, 9)
    assert.ok(times >= 4 && times < 9, `${times} times are left`)
  })
})

/** Lives a random life on an engine that dies at its `last` commit. */
async function liveUntil(t: TestContext, remains: Engine, last: number, isDurable: boolean, seed: number): Promise<void> {
  const prng = createPrng(seed)
  const clock = new TurnedClock()
  let commits = 0
  const engine: Engine = {
    ...remains,
    commit: async (batch) => {
      commits++
      if (commits < last || (commits === last && isDurable)) await remains.commit(batch)
      if (commits >= last) throw new Error('the process is dead')
    },
  }
  const opening = setup(t, { engine, jobs, queues, retain, clock, random: prng })
  if (last === 1) {
    await assert.rejects(opening)
    return
  }
  const { executor } = await opening
  executor.on('error', () => undefined)
  const ids: string[] = []
  for (let step = 0; step < 10; step++) {
    await Promise.allSettled(Array.from({ length: 3 }, () => act(executor, prng, ids)))
    await executor.drain().catch(() => undefined)
    clock.advance(prng.below(2 * MINUTE))
  }
  await executor.close({ grace: 0 })
}

it('a commit writes one short record for each pair of queue and definition that it changes, and a past once a minute', async (t) => {
  const inner = lasting(createMemoryEngine())
  let written: [key: string, bytes: number][] = []
  const engine: Engine = {
    ...inner,
    commit: async (batch) => {
      for (const [index, key] of batch.keys.entries()) {
        const name = Buffer.from(key).toString('latin1')
        if (batch.tables[index] === 'meta' && name.startsWith('stats:')) written.push([name, batch.values[index]?.length ?? 0])
      }
      await inner.commit(batch)
    },
  }
  const clock = new FakeClock()
  const { executor } = await setup(t, { engine, jobs, clock })
  await executor.enqueueMany(echo, [1])
  await executor.drain()
  const now = seriesKey('now', 0, 0).toString()
  const past = seriesKey('past', 0, 0).toString()
  const keys = (): string[] => written.map(([key]) => key)
  assert.deepEqual(keys(), ['stats:since', now, past, now])
  written = []
  for (let times = 0; times < 3; times++) {
    const { commits } = executor.stats().store
    written = []
    await executor.enqueueMany(
      echo,
      Array.from({ length: 100 }, () => 1),
    )
    await executor.drain()
    assert.ok(written.length <= executor.stats().store.commits - commits, 'more than one a commit')
    assert.ok(written.every(([key, bytes]) => key === now && bytes === NOW_BYTES))
  }
  written = []
  clock.advance(MINUTE)
  await (await executor.enqueue(echo, 1)).result()
  assert.equal(keys().filter((key) => key === past).length, 1)
  written = []
  await executor.get('x').catch(() => undefined)
  await executor.enqueue(echo, 1, { delay: '1h' })
  assert.deepEqual(keys(), [now])
})
