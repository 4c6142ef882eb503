/** What is made of jobs that were in flight when their process died. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import { openExecutor } from '../../../src/open.js'
import { doomed, killer } from '../../fixtures/executor/crash-jobs.js'
import { echo, gated } from '../../fixtures/executor/jobs.js'
import type { Plan } from '../../fixtures/executor/program.js'
import { assertConsistent, listed, mortal, nextEvent, setup, withCode } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'
import { linesOf, startProgram } from '../../support/program.js'
import { tempDirectory } from '../../support/temp-directory.js'

const jobs = [doomed, killer, echo, gated]

interface Span {
  readonly from: number
  readonly to: number
  readonly attempt: number
}

/** Kills a process when so many of its jobs have started. Gives the ids of all, in order of enqueueing. */
async function crash(t: TestContext, path: string, plan: Plan, started: number): Promise<readonly string[]> {
  const program = startProgram(t, path, plan, { MILLRACE_TEST_HANG: '1' })
  await program.until((lines) => linesOf(lines, 'started').length >= started)
  assert.equal(linesOf(program.lines, 'started').length, started, program.stderr())
  program.kill()
  assert.equal((await program.ended).signal, 'SIGKILL')
  return linesOf(program.lines, 'enqueued').at(-1)?.ids ?? []
}

async function spansOf(executor: Executor, ids: readonly string[]): Promise<Span[]> {
  const infos = await Promise.all(ids.map((id) => executor.get(id)))
  return infos.map((info) => {
    assert.equal(info?.state, 'completed', JSON.stringify(info))
    return info.output as Span
  })
}

function overlap(left: Span, right: Span): boolean {
  return left.from < right.to && right.from < left.to
}

it('is told by the event also where the executor puts up its control socket before its program has it', async (t) => {
  const directory = await tempDirectory(t)
  const [id] = await crash(t, directory, { enqueue: [{ job: 'doomed', inputs: [1] }], then: 'nothing' }, 1)
  const executor = await openExecutor({ path: directory, jobs, threads: 1 })
  const told: unknown[] = []
  executor.on('rescued', (event) => told.push(event))
  await executor.drain()
  await executor.close()
  assert.deepEqual(told, [{ id, suspect: false }])
})

it('a job that was in flight alone is charged the crash, and runs again', async (t) => {
  const directory = await tempDirectory(t)
  const [id] = await crash(t, directory, { enqueue: [{ job: 'doomed', inputs: [1] }], then: 'nothing' }, 1)
  const { executor } = await setup(t, { path: directory, jobs })
  assert.deepEqual(executor.recovery, { rescued: [id], suspects: [], quarantined: [] })
  assert.deepEqual(await nextEvent(executor, 'rescued'), { id, suspect: false })
  await executor.drain()
  const info = await executor.get(id!)
  assert.equal(info?.state, 'completed')
  assert.deepEqual(
    info.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
    [
      [1, 'crashed'],
      [1, 'completed'],
    ],
  )
  assert.equal(info.crashes, 1)
  assert.equal((info.output as Span).attempt, 1, 'the crash was charged as an attempt')
  await assertConsistent(executor)
})

it('a crash at maxCrashes 1 ends the job at once', async (t) => {
  const directory = await tempDirectory(t)
  const [id] = await crash(t, directory, { enqueue: [{ job: 'doomed', inputs: [1] }], then: 'nothing' }, 1)
  const { executor } = await setup(t, { path: directory, jobs, maxCrashes: 1 })
  assert.deepEqual(executor.recovery, { rescued: [], suspects: [], quarantined: [id] })
  const info = await executor.get(id!)
  assert.equal(info?.state, 'discarded')
  assert.equal(info.error?.code, 'MILLRACE_QUARANTINED')
  assert.match(info.error.message, /took the process down once while it ran alone, and maxCrashes is 1/)
  await assert.rejects(executor.job(id!).result(), withCode('MILLRACE_JOB_FAILED', /quarantined/))
  await executor.drain()
  await assertConsistent(executor)
})

it('several are suspects: each runs alone, once, before anything else', async (t) => {
  const directory = await tempDirectory(t)
  const inputs = Array.from({ length: 60 }, (_, index) => index)
  const ids = await crash(t, directory, { enqueue: [{ job: 'doomed', inputs }], then: 'nothing' }, 2)
  const { executor } = await setup(t, { path: directory, jobs, threads: 2 })
  const { rescued, suspects, quarantined } = executor.recovery
  assert.ok(suspects.length >= 2 && suspects.length < 60, `${suspects.length} suspects`)
  assert.deepEqual([rescued, quarantined], [suspects, []])
  assert.deepEqual(suspects, ids.slice(0, suspects.length))
  // New ones wait behind the suspects as well.
  const late = await executor.enqueueMany(doomed, [100, 101, 102, 103])
  await executor.drain()
  assert.equal(executor.stats().suspects, 0)
  const alone = await spansOf(executor, suspects)
  const rest = await spansOf(executor, [...ids.slice(suspects.length), ...late.map(({ id }) => id)])
  for (const [index, span] of alone.entries()) {
    for (const other of [...alone.slice(index + 1), ...rest]) assert.ok(!overlap(span, other), 'something ran beside a suspect')
    for (const other of rest) assert.ok(span.to <= other.from, 'something ran before the suspects were done')
  }
  assert.ok(
    rest.some((span, index) => rest.slice(index + 1).some((other) => overlap(span, other))),
    'the others never ran together: the check proves nothing',
  )
  for (const id of suspects) {
    const info = await executor.get(id)
    assert.deepEqual(
      info?.attempts.map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, 'interrupted'],
        [1, 'completed'],
      ],
    )
    assert.equal(info.crashes, 0)
  }
  await assertConsistent(executor)
})

for (const guilty of [1, 2]) {
  it(`of ${guilty} jobs that kill their process, among innocents, exactly the guilty are quarantined`, async (t) => {
    const directory = await tempDirectory(t)
    const innocents = Array.from({ length: 12 }, (_, index) => index)
    const plan: Plan = {
      enqueue: [
        { job: 'echo', inputs: innocents.slice(0, 4) },
        { job: 'killer', inputs: Array.from({ length: guilty }, () => 0) },
        { job: 'echo', inputs: innocents.slice(4) },
      ],
      options: { threads: 2 },
      then: 'drain',
    }
    let program = startProgram(t, directory, plan)
    let deaths = 0
    let quarantined: string[] = []
    while ((await program.ended).signal === 'SIGKILL') {
      deaths++
      assert.ok(deaths <= 1 + 3 * guilty, 'the process dies on and on')
      program = startProgram(t, directory, { then: 'drain' })
      const [open] = linesOf(await program.until((lines) => linesOf(lines, 'open').length > 0), 'open')
      quarantined = [...quarantined, ...(open?.quarantined ?? [])]
    }
    assert.equal((await program.ended).code, 0, program.stderr())
    // Once in company, then three times alone each; unless the first was alone already.
    assert.ok(deaths === 3 * guilty || deaths === 3 * guilty + 1, `${deaths} deaths`)
    const { executor } = await setup(t, { path: directory, jobs })
    const infos = await listed(executor)
    assert.equal(infos.length, innocents.length + guilty)
    for (const info of infos) {
      if (info.name === 'killer') {
        assert.deepEqual([info.state, info.crashes, info.error?.code], ['discarded', 3, 'MILLRACE_QUARANTINED'])
        assert.ok(quarantined.includes(info.id))
        assert.match(info.error?.message ?? '', /3 times while it ran alone/)
      } else {
        assert.deepEqual([info.state, info.crashes, info.attempt], ['completed', 0, 1], JSON.stringify(info))
        assert.ok(
          info.attempts.every(({ outcome }) => outcome === 'interrupted' || outcome === 'completed'),
          JSON.stringify(info.attempts),
        )
      }
    }
    assert.equal(quarantined.length, guilty)
    await assertConsistent(executor)
  })
}

it('suspects without a definition wait without blocking anybody, and run when it comes', async (t) => {
  const directory = await tempDirectory(t)
  await crash(t, directory, { enqueue: [{ job: 'doomed', inputs: [1, 2, 3, 4] }], then: 'nothing' }, 2)
  const { executor, reopen } = await setup(t, { path: directory, jobs: [echo] })
  const { suspects } = executor.recovery
  assert.ok(suspects.length >= 2)
  const job = await executor.enqueue(echo, 'through')
  assert.equal(await job.result(), 'through')
  await executor.drain()
  const [cancelled, ...waiting] = suspects
  assert.equal(await executor.cancel(cancelled!), true)
  assert.equal((await executor.get(cancelled!))?.state, 'cancelled')
  assert.equal((await executor.get(waiting[0]!))?.state, 'available')
  await assertConsistent(executor)
  await executor.close()
  const again = await reopen({ path: directory, jobs })
  assert.deepEqual(again.recovery, { rescued: [], suspects: [], quarantined: [] }, 'what waits is not found again')
  await again.drain()
  const spans = await spansOf(again, waiting)
  for (const [index, span] of spans.entries())
    for (const other of spans.slice(index + 1)) assert.ok(!overlap(span, other), 'a suspect did not run alone')
  assert.equal((await again.get(cancelled!))?.state, 'cancelled')
  await assertConsistent(again)
})

describe('a store in memory whose process dies', () => {
  it('gives its jobs to the next one, as the one on disk does', async (t) => {
    const { engine, remains, crash: die } = mortal()
    const { executor } = await setup(t, { engine, jobs, threads: 2 })
    executor.on('error', () => undefined)
    const gate = new Gate(t)
    const handles = await executor.enqueueMany(
      gated,
      ['a', 'b'].map((tag) => ({ gate: gate.name, tag })),
    )
    await gate.reached(2)
    die()
    gate.open()
    for (const job of handles) await assert.rejects(job.result(), /the process is dead/)
    await executor.close()
    const { executor: next } = await setup(t, { engine: remains, jobs, threads: 2 })
    assert.deepEqual(
      next.recovery.suspects,
      handles.map(({ id }) => id),
    )
    const rescued: string[] = []
    next.on('rescued', ({ id, suspect }) => {
      assert.equal(suspect, true)
      rescued.push(id)
    })
    assert.equal(await next.job(handles[0]!.id).result(), 'a')
    assert.equal(await next.job(handles[1]!.id).result(), 'b')
    assert.deepEqual(rescued, next.recovery.suspects)
    await assertConsistent(next)
  })

  it('keeps nothing running beside the last suspect, and cancels one that waits', async (t) => {
    const { engine, remains, crash: die } = mortal()
    const { executor } = await setup(t, { engine, jobs, threads: 3 })
    executor.on('error', () => undefined)
    const first = new Gate(t)
    const handles = await executor.enqueueMany(
      gated,
      ['a', 'b', 'c'].map((tag) => ({ gate: first.name, tag })),
    )
    await first.reached(3)
    die()
    await executor.close({ grace: 0 })
    const before = first.arrived.length
    const { executor: next } = await setup(t, { engine: remains, jobs, threads: 3 })
    const others = await next.enqueueMany(echo, [1, 2, 3, 4, 5, 6])
    await first.reached(before + 1)
    assert.equal((await next.counts()).running, 1)
    assert.equal(next.stats().suspects, 2)
    assert.equal(await next.cancel(handles[1]!.id), true)
    first.let('a')
    await first.reached(before + 2)
    // The last one: nothing else has begun.
    assert.deepEqual(first.arrived.slice(before), ['a', 'c'])
    for (let turn = 0; turn < 20; turn++) await next.get(handles[2]!.id)
    const counts = await next.counts()
    assert.deepEqual([counts.running, counts.completed, counts.available], [1, 1, 6])
    first.let('c')
    assert.deepEqual(await Promise.all(others.map((job) => job.result())), [1, 2, 3, 4, 5, 6])
    await assertConsistent(next)
  })

  it('does not count a job as in flight that had come back before it died', async (t) => {
    const { engine, remains, crash: die } = mortal()
    const { executor } = await setup(t, { engine, jobs, threads: 1 })
    executor.on('error', () => undefined)
    const gate = new Gate(t)
    const [held, ...rest] = await executor.enqueueMany(
      gated,
      ['a', 'b', 'c', 'd'].map((tag) => ({ gate: gate.name, tag })),
    )
    await gate.reached(1)
    for (const job of rest) assert.equal(await executor.cancel(job.id), true)
    die()
    await executor.close({ grace: 0 })
    const { executor: next } = await setup(t, { engine: remains, jobs, threads: 1 })
    assert.deepEqual(next.recovery, { rescued: [held!.id], suspects: [], quarantined: [] })
    gate.open()
    assert.equal(await next.job(held!.id).result(), 'a')
    assert.equal((await next.get(held!.id))?.crashes, 1)
    await assertConsistent(next)
  })
})
