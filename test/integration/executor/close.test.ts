/** How an executor ends, and when its process may. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { echo, endless, gated, patient, span } from '../../fixtures/executor/jobs.js'
import { lateChange } from '../../fixtures/executor/schema-jobs.js'
import { assertConsistent, listed, nextEvent, setup, slow, STORES, withCode, type Setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { linesOf, startProgram } from '../../support/program.js'
import { tempDirectory } from '../../support/temp-directory.js'

const HOUR_MS = 3_600_000

const jobs = [echo, endless, gated, patient, span, lateChange]

const DUE_WHILE_DRAINING = fileURLToPath(new URL('../../fixtures/executor/due-while-draining.js', import.meta.url))

/** Nothing is claimed, and every waiting page is there. */
async function assertNothingClaimed({ engine }: Setup): Promise<void> {
  const opened = await engine()
  assert.deepEqual(opened.range('claims', { limit: 10 }), [])
  await opened.close()
}

for (const store of STORES) {
  describe(`close, ${store}`, () => {
    it('resolves the same for everybody, and refuses every call from then on', async (t) => {
      const bench = await setup(t, { store, jobs })
      const { executor } = bench
      const job = await executor.enqueue(echo, 1)
      await job.result()
      const waiting = await executor.enqueue(echo, 2, { delay: '1h' })
      const [first, second] = [executor.close(), executor.close({ grace: 5 })]
      const refused = [
        () => executor.enqueue(echo, 1),
        () => executor.enqueueMany(echo, [1]),
        () => executor.get(job.id),
        () => executor.counts(),
        () => executor.cancel(job.id),
        () => executor.drain(),
        () => executor.job(job.id).result(),
        () => executor.job(job.id).info(),
        () => executor.list().next(),
      ]
      for (const call of refused) await assert.rejects(call(), withCode('MILLRACE_CLOSED'), String(call))
      assert.deepEqual(await first, { interrupted: [] })
      assert.equal(await first, await second)
      for (const call of refused) await assert.rejects(call(), withCode('MILLRACE_CLOSED'), String(call))
      assert.equal(await job.result(), 1, 'a known outcome is still known')
      await assert.rejects(waiting.result(), withCode('MILLRACE_CLOSED'))
      assert.deepEqual(await executor.close(), { interrupted: [] })
      executor.stats()
      await assertNothingClaimed(bench)
    })

    it('acknowledges what was enqueued before it, and refuses what comes during it', async (t) => {
      const bench = await setup(t, { store, jobs })
      const { executor } = bench
      const before = [executor.enqueue(echo, 1), executor.enqueueMany(echo, [2, 3]), executor.enqueue(lateChange, 4)]
      const closing = executor.close({ grace: 0 })
      const outcomes = await Promise.allSettled(before)
      assert.deepEqual(
        outcomes.slice(0, 2).map(({ status }) => status),
        ['fulfilled', 'fulfilled'],
      )
      // Its schema answers later than the close: refused, or stored, but not half of each.
      const [, , late] = outcomes
      if (late?.status === 'rejected') withCode('MILLRACE_CLOSED')(late.reason)
      await closing
      const again = await bench.reopen()
      await again.drain()
      const infos = await listed(again)
      assert.equal(infos.length, late?.status === 'rejected' ? 3 : 4)
      await assertConsistent(again)
    })

    it('lets running jobs finish within the grace, and leaves the others waiting', async (t) => {
      const bench = await setup(t, { store, jobs, threads: 2 })
      const { executor } = bench
      const gate = new Gate(t)
      const handles = await executor.enqueueMany(
        gated,
        ['a', 'b', 'c', 'd', 'e'].map((tag) => ({ gate: gate.name, tag })),
      )
      await gate.reached(2)
      const pending = handles.map((job) => job.result().catch((error: unknown) => error))
      const running = [...gate.arrived]
      const closing = executor.close({ grace: '1h' })
      gate.open()
      assert.deepEqual(await closing, { interrupted: [] })
      const results = await Promise.all(pending)
      const done = results.filter((result) => typeof result === 'string')
      assert.deepEqual(done.sort(), running.sort())
      for (const result of results.filter((result) => typeof result !== 'string'))
        withCode('MILLRACE_RESULT_PENDING', /executor\.job\(id\)/)(result)
      await assertNothingClaimed(bench)
      const again = await bench.reopen()
      assert.deepEqual(again.recovery, { rescued: [], suspects: [], quarantined: [] })
      await again.drain()
      assert.equal((await again.counts()).completed, 5)
      await assertConsistent(again)
      for (const { id } of handles)
        assert.equal((await again.get(id))?.attempts.length, 1, 'a job that had not begun has an attempt')
    })

    it('ends a busy loop at grace 0, tells which jobs it interrupted, and charges nobody', async (t) => {
      const bench = await setup(t, { store, jobs, threads: 2, abortGrace: 20 })
      const { executor } = bench
      const started = new Set<string>()
      executor.on('started', ({ job }) => started.add(job.id))
      const loop = await executor.enqueue(endless, 1)
      const listening = await executor.enqueue(patient, 1)
      while (started.size < 2) await nextEvent(executor, 'started')
      const behind = await executor.enqueueMany(echo, [1, 2, 3])
      const results = [loop, listening, ...behind].map((job) => job.result().catch((error: unknown) => error))
      const interruptions: string[] = []
      executor.on('interrupted', ({ job }) => interruptions.push(job.id))
      const { interrupted } = await executor.close({ grace: 0 })
      // Also the one that heard the signal and threw: it was told to stop.
      assert.deepEqual([...interrupted].sort(), [loop.id, listening.id])
      assert.deepEqual(interruptions, interrupted)
      for (const result of await Promise.all(results)) withCode('MILLRACE_RESULT_PENDING')(result)
      await assertNothingClaimed(bench)
      const again = await bench.reopen({ jobs: [echo] })
      assert.deepEqual(again.recovery, { rescued: [], suspects: [], quarantined: [] })
      for (const { id } of [loop, listening]) {
        const info = await again.get(id)
        assert.deepEqual(
          [info?.state, info?.attempt, info?.attempts.map(({ outcome }) => outcome)],
          ['available', 1, ['interrupted']],
        )
      }
      assert.deepEqual(await Promise.all(behind.map(({ id }) => again.job(id).result())), [1, 2, 3])
      await assertConsistent(again)
    })

    it('leaves nothing behind while a thousand commits are under way', async (t) => {
      const bench = await setup(t, { store, jobs })
      const { executor } = bench
      const acknowledged: string[] = []
      const refused: unknown[] = []
      let closing: Promise<unknown> | undefined
      const producers = Array.from({ length: 20 }, async (_, producer) => {
        for (let index = 0; index < 100; index++) {
          try {
            acknowledged.push((await executor.enqueue(echo, `${producer}.${index}`)).id)
          } catch (error) {
            refused.push(error)
            return
          }
          if (acknowledged.length === 500) closing = executor.close({ grace: 0 })
        }
      })
      await Promise.all(producers)
      await closing
      assert.ok(refused.length > 0)
      for (const error of refused) withCode('MILLRACE_CLOSED')(error)
      await assertNothingClaimed(bench)
      const again = await bench.reopen({ retain: { jobs: 10_000 } })
      await again.drain()
      const ids = new Set((await listed(again)).map(({ id }) => id))
      assert.deepEqual(new Set(acknowledged), ids)
    })

    it('rejects a drain that it cuts short', async (t) => {
      const { executor } = await setup(t, { store, jobs, threads: 1, abortGrace: 0 })
      await executor.enqueue(endless, 1)
      await executor.enqueue(endless, 2)
      const drained = executor.drain()
      await Promise.all([
        executor.close({ grace: 0 }),
        assert.rejects(drained, withCode('MILLRACE_CLOSED', /before its jobs were drained/)),
      ])
    })

    it('is what the end of a block does with await using', async (t) => {
      const bench = await setup(t, { store, jobs })
      await bench.executor.close()
      const { reopen } = bench
      let id = ''
      let executor
      {
        await using inner = await reopen()
        executor = inner
        const job = await inner.enqueue(echo, 7)
        ;({ id } = job)
        assert.equal(await job.result(), 7)
      }
      await assert.rejects(executor.get(id), withCode('MILLRACE_CLOSED'))
      await assertNothingClaimed(bench)
    })

    it('refuses options it does not know', async (t) => {
      const { executor } = await setup(t, { store, jobs })
      for (const options of [{ grace: 'soon' }, { grace: -1 }, { grace: NaN }])
        await assert.rejects(
          async () => await executor.close(options as { grace: number }),
          withCode('MILLRACE_INVALID_OPTIONS', /grace/),
        )
      const job = await executor.enqueue(echo, 1)
      assert.equal(await job.result(), 1)
    })
  })
}

it('what is claimed by the commit under way does not start any more', async (t) => {
  const store = slow()
  const { executor, reopen } = await setup(t, { engine: store.engine, jobs })
  store.hold()
  const enqueued = executor.enqueue(echo, 1)
  await store.held
  const closing = executor.close({ grace: '1h' })
  store.release()
  const { id } = await enqueued
  assert.deepEqual(await closing, { interrupted: [] })
  const again = await reopen({ jobs: [] })
  const info = await again.get(id)
  assert.deepEqual([info?.state, info?.attempts], ['available', []])
})

it('what has ended while a commit takes longer than everything else that close waits for is over, and not rescued', async (t) => {
  const clock = new FakeClock()
  const store = slow()
  const { executor, reopen } = await setup(t, { engine: store.engine, jobs, clock })
  const gate = new Gate(t)
  const { id } = await executor.enqueue(gated, { gate: gate.name, tag: 'ended' })
  await gate.reached(1)
  store.hold()
  const enqueued = executor.enqueue(echo, 1)
  await store.held
  gate.open()
  while (executor.stats().threads.some(({ job }) => job?.id === id)) await turn()
  const closing = executor.close({ grace: 0 })
  // Its stages come to their ends, one after another.
  for (; clock.waits.length > 0; await turn()) clock.advance(HOUR_MS)
  store.release()
  await enqueued
  assert.deepEqual(await closing, { interrupted: [] })
  const again = await reopen()
  assert.deepEqual(again.recovery.rescued, [])
  assert.equal((await again.get(id))?.state, 'completed')
})

it('a second executor of a directory is refused with the process that holds it', async (t) => {
  const { executor, reopen } = await setup(t, { jobs })
  await assert.rejects(reopen(), (error: unknown) => {
    withCode('MILLRACE_LOCKED', new RegExp(String(process.pid)))(error)
    assert.equal((error as { holderPid: number }).holderPid, process.pid)
    return true
  })
  const job = await executor.enqueue(echo, 1)
  assert.equal(await job.result(), 1, 'the first one was disturbed')
  await executor.close()
  await reopen()
})

describe('a process', () => {
  async function run(t: TestContext, ...args: [Parameters<typeof startProgram>[2]]): Promise<ReturnType<typeof startProgram>> {
    const program = startProgram(t, await tempDirectory(t), ...args)
    const { code, signal } = await program.ended
    assert.deepEqual([code, signal], [0, null], program.stderr())
    assert.equal(program.stderr(), '')
    assert.equal(program.lines.at(-1)?.kind, 'end')
    return program
  }

  it('ends by itself after close', async (t) => {
    const { lines } = await run(t, { enqueue: [{ job: 'echo', inputs: [1, 2, 3] }], then: 'drain' })
    assert.equal(linesOf(lines, 'closed').length, 1)
  })

  it('ends by itself after a close that had to terminate a thread', async (t) => {
    const { lines } = await run(t, { enqueue: [{ job: 'endless', inputs: [1] }], options: { abortGrace: 0 }, then: 'close' })
    assert.equal(linesOf(lines, 'closed').length, 1)
  })

  it('ends by itself without close, when nothing is to be done', async (t) => {
    await run(t, { then: 'nothing' })
  })

  it('ends by itself without close, when jobs are over, and when the rest is scheduled for later', async (t) => {
    const { lines } = await run(t, {
      enqueue: [
        { job: 'echo', inputs: [1, 2] },
        { job: 'echo', inputs: [3], delayMs: 3_600_000 },
      ],
      then: 'nothing',
    })
    assert.equal(linesOf(lines, 'completed').length, 2, 'it ended before its jobs had run')
  })

  for (const drained of ['executor', 'queue']) {
    it(`does not end while a drain of the ${drained} waits for a job that has just become due`, () => {
      const { status, stdout } = spawnSync(process.execPath, [DUE_WHILE_DRAINING, drained], { encoding: 'utf8' })
      assert.equal(status, 0)
      // Some became due before the drain had looked, and some after it was over.
      assert.match(stdout, /^[1-9]\d* of 60\n$/)
    })
  }

  it('does not end while an enqueue is not on disk', async (t) => {
    const { lines } = await run(t, {
      enqueue: [{ job: 'echo', inputs: Array.from({ length: 2000 }, () => 'x'.repeat(30)) }],
      then: 'enqueue-only',
    })
    assert.equal(linesOf(lines, 'enqueued')[0]?.ids.length, 2000)
    assert.equal(linesOf(lines, 'completed').length, 2000)
  })

  it('does not end while a result is awaited, also of a job that is scheduled or waits for a retry', async (t) => {
    const scheduled = await run(t, { enqueue: [{ job: 'echo', inputs: ['late'], delayMs: 300 }], then: 'await-last' })
    assert.deepEqual(linesOf(scheduled.lines, 'result'), [{ kind: 'result', value: 'late' }])
    const dangling = await run(t, { enqueue: [{ job: 'echo', inputs: ['late'], delayMs: 300 }], then: 'result-at-exit' })
    assert.deepEqual(linesOf(dangling.lines, 'result'), [{ kind: 'result', value: 'late' }])
    const retried = await run(t, { enqueue: [{ job: 'failing', inputs: [{ times: 1 }] }], then: 'await-last' })
    assert.deepEqual(linesOf(retried.lines, 'result'), [{ kind: 'result', value: 2 }])
  })
})
