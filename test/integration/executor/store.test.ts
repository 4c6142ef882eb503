/** What the store may do to an executor: fail, be too new, be damaged, hold jobs that nobody here knows. And what lasts in it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defineJob } from '../../../src/job/define-job.js'
import type { Engine } from '../../../src/store/engine.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, failing, gated, nothing, obedient, ticket } from '../../fixtures/executor/jobs.js'
import { assertConsistent, lasting, listed, nextEvent, setup, STORES, withCode, type Setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'

const jobs = [echo, failing, gated, nothing, obedient, ticket]

/** Without a value the record is removed. */
async function writeMeta(bench: Setup, key: string, value?: string): Promise<void> {
  const engine = await bench.engine()
  const batch = new WriteBatch()
  if (value === undefined) batch.remove('meta', Buffer.from(key))
  else batch.put('meta', Buffer.from(key), Buffer.from(value))
  await engine.commit(batch)
  await engine.close()
}

describe('a commit that fails', () => {
  /** Fails the commits from a moment on. */
  function fragile(): { engine: Engine; break(): void; commits: () => number } {
    let isBroken = false
    let attempts = 0
    const inner = createMemoryEngine({
      failCommit: () => {
        attempts++
        return isBroken ? new Error('the disk is on fire') : undefined
      },
    })
    return {
      engine: inner,
      break() {
        isBroken = true
      },
      commits: () => attempts,
    }
  }

  it('ends everything with a typed error, and nothing is acknowledged afterwards', async (t) => {
    const fragility = fragile()
    const { executor } = await setup(t, { engine: fragility.engine, jobs, threads: 2, abortGrace: 0 })
    const gate = new Gate(t)
    const done = await executor.enqueue(echo, 'before')
    assert.equal(await done.result(), 'before')
    const running = await executor.enqueue(gated, { gate: gate.name, tag: 'x' })
    await gate.reached(1)
    const scheduled = await executor.enqueue(echo, 1, { delay: '1h' })
    const failure = withCode('MILLRACE_STORE_FAILED', /the disk is on fire/)
    const events: string[] = []
    for (const name of ['completed', 'cancelled', 'failed', 'retried', 'discarded', 'enqueued', 'interrupted', 'idle'] as const)
      executor.on(name, () => events.push(name))
    const error = nextEvent(executor, 'error')
    fragility.break()
    const calls = {
      enqueue: executor.enqueue(echo, 1),
      many: executor.enqueueMany(echo, [1, 2, 3]),
      'cancel of a scheduled job': executor.cancel(scheduled.id),
      'cancel of a running job': executor.cancel(running.id),
      drain: executor.drain(),
      'result of a running job': running.result(),
      'result of a scheduled job': scheduled.result(),
      'result by id': executor.job(scheduled.id).result(),
    }
    for (const [name, call] of Object.entries(calls)) await assert.rejects(call, failure, name)
    failure((await error).error)
    const attempts = fragility.commits()
    const later = {
      enqueue: () => executor.enqueue(echo, 1),
      many: () => executor.enqueueMany(echo, [1]),
      get: () => executor.get(done.id),
      list: () => executor.list().next(),
      counts: () => executor.counts(),
      cancel: () => executor.cancel(running.id),
      drain: () => executor.drain(),
      result: () => scheduled.result(),
      'result by id': () => executor.job(done.id).result(),
    }
    for (const [name, call] of Object.entries(later)) await assert.rejects(call(), failure, name)
    assert.equal(await done.result(), 'before', 'what was known is known')
    gate.open()
    assert.deepEqual(await executor.close(), { interrupted: [] })
    assert.equal(fragility.commits(), attempts, 'it went on committing')
    assert.deepEqual(events, [], 'something was told that is not true')
    await assert.rejects(executor.get(done.id), withCode('MILLRACE_CLOSED'))
  })

  it('rejects the calls that come while it is under way', async (t) => {
    const fragility = fragile()
    const { executor } = await setup(t, { engine: fragility.engine, jobs })
    executor.on('error', () => undefined)
    const job = await executor.enqueue(echo, 1, { delay: '1h' })
    fragility.break()
    const first = executor.enqueue(echo, 2)
    // The turn has begun when its immediate has run; the commit settles one immediate later.
    await new Promise((resolve) => setImmediate(resolve))
    const during = [
      executor.enqueue(echo, 3),
      executor.get(job.id),
      executor.cancel(job.id),
      executor.drain(),
      executor.job(job.id).info(),
    ]
    for (const call of [first, ...during]) await assert.rejects(call, withCode('MILLRACE_STORE_FAILED'))
  })

  it('at the opening rejects the opening', async (t) => {
    const engine = createMemoryEngine({ failCommit: () => new Error('read-only') })
    await assert.rejects(setup(t, { engine, jobs }), withCode('MILLRACE_STORE_FAILED', /read-only/))
  })

  it('warns when nobody listens to errors', async (t) => {
    const fragility = fragile()
    const { executor } = await setup(t, { engine: fragility.engine, jobs })
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    fragility.break()
    await assert.rejects(executor.enqueue(echo, 1))
    assert.match((await warned).message, /the disk is on fire/)
  })
})

for (const store of STORES) {
  describe(`the format of the store, ${store}`, () => {
    it('is refused when its record, or that of the counters, is gone or never was one: no number is given out twice', async (t) => {
      const bench = await setup(t, { store, jobs })
      await (await bench.executor.enqueue(echo, 1)).result()
      await bench.executor.close()
      const engine = await bench.engine()
      const records = ['format', 'counters'].map((key) => [key, engine.get('meta', Buffer.from(key))?.toString() ?? ''] as const)
      await engine.close()
      for (const [key, value] of records) {
        for (const wrong of [undefined, '{}', value.replace(/:\d+/, ':0').replace('"nextSeq":0', '"nextSeq":null')]) {
          await writeMeta(bench, key, wrong)
          await assert.rejects(bench.reopen(), withCode('MILLRACE_STORE_CORRUPT'), `${key} ${wrong}`)
        }
        await writeMeta(bench, key, value)
      }
      assert.equal(await (await (await bench.reopen()).enqueue(echo, 2)).result(), 2)
    })

    it('is refused when it is newer, and the directory can be opened again', async (t) => {
      const bench = await setup(t, { store, jobs })
      await bench.executor.close()
      const engine = await bench.engine()
      const format = engine.get('meta', Buffer.from('format'))?.toString() ?? ''
      await engine.close()
      await writeMeta(bench, 'format', format.replace('"format":2', '"format":3'))
      for (let attempt = 0; attempt < 2; attempt++)
        await assert.rejects(
          bench.reopen(),
          withCode('MILLRACE_STORE_TOO_NEW', /format 3; this version of millrace reads up to 2/),
        )
      await writeMeta(bench, 'format', format)
      const again = await bench.reopen()
      assert.equal(await (await again.enqueue(echo, 1)).result(), 1)
    })

    it('is refused when it cannot be read', async (t) => {
      const bench = await setup(t, { store, jobs })
      await bench.executor.close()
      await writeMeta(bench, 'counters', '{"nextSeq":')
      await assert.rejects(bench.reopen(), withCode('MILLRACE_STORE_CORRUPT', /"counters"/))
    })
  })

  describe(`jobs of a definition that is not here, ${store}`, () => {
    it('are kept, listed, warned of once, not spun on, and run when it is back', async (t) => {
      const bench = await setup(t, { store, jobs, threads: 1 })
      const gate = new Gate(t)
      await bench.executor.enqueue(gated, { gate: gate.name, tag: 'x' })
      await gate.reached(1)
      const handles = await bench.executor.enqueueMany(
        ticket,
        Array.from({ length: 1500 }, (_, index) => index),
      )
      const late = await bench.executor.enqueue(ticket, 'late', { delay: 1 })
      await bench.executor.close({ grace: 0 })
      const warnings: string[] = []
      const listener = (warning: Error): void => void warnings.push(`${warning.name}: ${warning.message}`)
      process.on('warning', listener)
      t.after(() => process.off('warning', listener))
      const other = await bench.reopen({ jobs: [echo] })
      const through = await other.enqueueMany(echo, [1, 2, 3])
      assert.deepEqual(await Promise.all(through.map((job) => job.result())), [1, 2, 3])
      await other.drain()
      const { commits } = other.stats().store
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(other.stats().store.commits, commits, 'it spins')
      assert.equal((await listed(other, { name: 'ticket' })).length, 1501)
      assert.equal((await other.get(handles[700]!.id))?.state, 'available')
      assert.equal(await other.cancel(handles[700]!.id), true)
      assert.equal(warnings.filter((text) => text.includes('"ticket"')).length, 1, warnings.join('\n'))
      assert.ok(warnings.some((text) => text.startsWith('MillraceUnknownJob: ') && text.includes('"gated"')))
      await assertConsistent(other)
      await other.close()
      gate.open()
      const again = await bench.reopen()
      await again.drain()
      assert.equal((await again.get(late.id))?.state, 'completed')
      const results = await Promise.all(handles.filter((_, index) => index !== 700).map(({ id }) => again.get(id)))
      assert.ok(results.every((info) => info === undefined || info.state === 'completed'))
      assert.deepEqual(await again.counts(), { ...(await again.counts()), available: 0, running: 0, scheduled: 0, cancelled: 1 })
      await assertConsistent(again)
    })
  })

  describe(`jobs of a queue that is not here, ${store}`, () => {
    it('wait, can be looked at and cancelled, and run when it is back', async (t) => {
      const bench = await setup(t, { store, jobs, threads: 1, queues: { side: {} } })
      const gate = new Gate(t)
      await bench.executor.enqueue(gated, { gate: gate.name, tag: 'x' }, { queue: 'side' })
      await gate.reached(1)
      const handles = await bench.executor.enqueueMany(echo, [1, 2, 3], { queue: 'side' })
      await bench.executor.close({ grace: 0 })
      const other = await bench.reopen({ queues: {} })
      await assert.rejects(other.enqueue(echo, 1, { queue: 'side' }), withCode('MILLRACE_UNKNOWN_QUEUE'))
      await other.drain()
      assert.equal((await other.get(handles[0]!.id))?.state, 'available')
      assert.equal(await other.cancel(handles[1]!.id), true)
      assert.equal((await listed(other, { queue: 'side', state: 'available' })).length, 3)
      await assertConsistent(other)
      await other.close()
      gate.open()
      const again = await bench.reopen()
      assert.equal(await again.job(handles[2]!.id).result(), 3)
      await again.drain()
      await assertConsistent(again)
    })
  })

  it(`ten thousand jobs in every state are as before after a reopen, and then drain, ${store}`, async (t) => {
    const clock = new FakeClock()
    const retain = { jobs: Infinity, age: Infinity }
    const bench = await setup(t, { store, jobs, threads: 2, clock, retain, durability: 'process' })
    const { executor } = bench
    const finished = [
      ...(await executor.enqueueMany(
        echo,
        Array.from({ length: 1000 }, (_, index) => ({ index })),
      )),
      ...(await executor.enqueueMany(
        obedient,
        Array.from({ length: 100 }, () => ({ do: 'fatal' as const })),
      )),
      ...(await executor.enqueueMany(
        obedient,
        Array.from({ length: 100 }, () => ({ do: 'cancel' as const })),
      )),
    ]
    const retryable = await executor.enqueueMany(
      failing,
      Array.from({ length: 200 }, () => ({ times: 1 })),
    )
    await executor.drain()
    const scheduled = await executor.enqueueMany(
      echo,
      Array.from({ length: 2000 }, (_, index) => index),
      { delay: '1h' },
    )
    const gate = new Gate(t)
    // One a thread: with the clock standing still nobody sees that the first is slow.
    const holders = []
    for (const tag of ['a', 'b']) {
      holders.push(await executor.enqueue(gated, { gate: gate.name, tag }))
      await gate.reached(holders.length)
    }
    const waiting = await executor.enqueueMany(
      echo,
      Array.from({ length: 10_000 }, (_, index) => (index % 50 === 0 ? 'x'.repeat(40_000) : index)),
    )
    for (const { id } of waiting.slice(500, 520)) assert.equal(await executor.cancel(id), true)
    const before = await listed(executor)
    const counts = await executor.counts()
    assert.deepEqual(
      [
        counts.completed,
        counts.discarded,
        counts.cancelled,
        counts.retryable,
        counts.scheduled,
        counts.running + counts.available,
      ],
      [1000, 100, 120, 200, 2000, 10_002 - 20],
    )
    clock.runFreely()
    await executor.close({ grace: 0 })
    const frozen = new FakeClock(clock.now())
    const again = await bench.reopen({ jobs: [], clock: frozen })
    const after = await listed(again)
    const byId = new Map(after.map((info) => [info.id, info]))
    assert.equal(byId.size, before.length)
    const settings = { maxRetries: 5, timeoutMs: 15_000 }
    for (const info of before) {
      const same = byId.get(info.id)
      const { progress: _progress, ...rest } = info
      const isHeld = holders.some(({ id }) => id === info.id)
      if (isHeld)
        assert.deepEqual(
          same?.attempts.map(({ outcome }) => outcome),
          ['interrupted'],
        )
      // Without the definition its constants are unknown; what was stored is not.
      else assert.deepEqual(same, { ...rest, ...settings, state: info.state === 'running' ? 'available' : info.state })
    }
    await assertConsistent(again, 'without definitions')
    await again.close()
    gate.open()
    const last = await bench.reopen({ clock: new FakeClock(clock.now() + 2 * 60 * 60 * 1000) })
    await last.drain()
    const end = await last.counts()
    assert.deepEqual(end, {
      scheduled: 0,
      available: 0,
      running: 0,
      retryable: 0,
      completed: 13_182,
      cancelled: 120,
      discarded: 100,
    })
    for (const list of [scheduled, retryable, finished.slice(0, 1000)])
      for (const { id } of [list[0]!, list.at(-1)!]) assert.equal((await last.get(id))?.state, 'completed')
    await assertConsistent(last, 'drained')
  })
}

it('an input that no longer fits its schema is discarded with the reason, and its bytes are kept', async (t) => {
  const engine = lasting(createMemoryEngine())
  const anything = defineJob({
    name: 'resize',
    module: new URL('../../fixtures/executor/schema-jobs.js', import.meta.url).href,
    run: () => 1,
  })
  const { executor, reopen } = await setup(t, { engine, jobs: [anything] })
  const job = await executor.enqueue(anything, { width: -5 } as never, { delay: 1 })
  await executor.close()
  const { resize } = await import('../../fixtures/executor/schema-jobs.js')
  const again = await reopen({ jobs: [resize] })
  const result = await again
    .job(job.id)
    .result()
    .catch((error: unknown) => error)
  withCode('MILLRACE_JOB_FAILED', /does not fit the schema any more.*width/)(result)
  const info = await again.get(job.id)
  assert.deepEqual([info?.state, info?.error?.code, info?.input], ['discarded', 'MILLRACE_INPUT_MISMATCH', { width: -5 }])
})
