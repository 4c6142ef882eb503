/**
 * Answers of calls that change nothing. They tell that something else has happened, perhaps in the commit under way, and so they wait for
 * that as well: told before, they would not hold if the process died.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import type { BulkFilter } from '../../../src/index.js'
import { echo, obedient } from '../../fixtures/executor/jobs.js'
import { assertConsistent, setup, slow } from '../../support/executor.js'
import { planted } from '../../support/planted.js'

const jobs = [echo, obedient]

type Store = ReturnType<typeof slow>

/** What the calls answer that are made in one turn: nothing while its commit is held up, and then this. */
async function answersOf<Value>(engine: Store, calls: () => readonly Promise<Value>[]): Promise<Value[]> {
  engine.hold()
  const answers = calls()
  const told: unknown[] = []
  for (const answer of answers) answer.then((value) => told.push(value)).catch(() => undefined)
  await engine.held
  await turnOfLoop()
  const early = [...told]
  engine.release()
  const all = await Promise.all(answers)
  assert.deepEqual(early, [], 'an answer was given before the commit')
  return all
}

/** Makes a call in the turn in which the outcome of a run is there to be settled, before it is. */
async function asItEnds<Value>(run: () => Promise<unknown>, call: () => Promise<Value>): Promise<Value> {
  let resolve: (answer: Promise<Value>) => void = () => undefined
  const called = new Promise<Value>((answered) => {
    resolve = answered
  })
  let isCalled = false
  const hook = (own: Dispatcher['collect']): Dispatcher['collect'] =>
    function collect(this: Dispatcher) {
      const collected = own.call(this)
      if (!isCalled && collected.some(({ batch }) => batch.hasNews)) {
        isCalled = true
        resolve(call())
      }
      return collected
    }
  return await planted(Dispatcher.prototype, 'collect', hook, async () => {
    await run()
    return await called
  })
}

describe('answers that nothing was changed', () => {
  for (const what of ['cancel', 'discard'] as const) {
    it(`${what} of a scheduled job that another call ends in the same turn`, async (t) => {
      const engine = slow()
      const { executor } = await setup(t, { engine: engine.engine, jobs })
      const { id } = await executor.enqueue(echo, 1, { delay: '1d' })
      assert.deepEqual(await answersOf(engine, () => [executor.cancel(id), executor[what](id)]), [true, false])
      assert.equal((await executor.get(id))?.state, 'cancelled')
    })

    it(`${what} of a waiting job that another call ends in the same turn`, async (t) => {
      const engine = slow()
      const { executor } = await setup(t, { engine: engine.engine, jobs })
      await executor.queue('default').pause()
      const { id } = await executor.enqueue(echo, 1)
      assert.deepEqual(await answersOf(engine, () => [executor.cancel(id), executor[what](id)]), [true, false])
      assert.equal((await executor.get(id))?.state, 'cancelled')
    })

    it(`${what} of a job whose run has completed, and is about to be settled`, async (t) => {
      const engine = slow()
      const { executor } = await setup(t, { engine: engine.engine, jobs, threads: 1 })
      const job = { id: '' }
      const run = async (): Promise<void> => {
        job.id = (await executor.enqueue(echo, 1)).id
      }
      const [answer] = await asItEnds(run, () => answersOf(engine, () => [executor[what](job.id)]))
      assert.equal(answer, false)
      assert.equal((await executor.get(job.id))?.state, 'completed')
      await assertConsistent(executor)
    })

    it(`${what} of a job whose run has failed, and is about to be settled, ends it: it is not over yet`, async (t) => {
      const engine = slow()
      const { executor } = await setup(t, { engine: engine.engine, jobs, threads: 1 })
      const job = { id: '' }
      const run = async (): Promise<void> => {
        job.id = (await executor.enqueue(obedient, { do: 'fail' })).id
      }
      const [answer] = await asItEnds(run, () => answersOf(engine, () => [executor[what](job.id)]))
      assert.equal(answer, true)
      const { state, attempts } = (await executor.get(job.id))!
      assert.deepEqual([state, attempts.map(({ outcome }) => outcome)], [`${what}${what === 'cancel' ? 'l' : ''}ed`, ['failed']])
      await assertConsistent(executor)
    })
  }

  const filters: readonly { readonly what: string; readonly filter: (id: string) => BulkFilter }[] = [
    { what: 'of all jobs', filter: () => ({ all: true }) },
    { what: 'of this one', filter: (id) => ({ ids: [id] }) },
    { what: 'of those that run', filter: () => ({ state: 'running' }) },
  ]
  for (const { what, filter } of filters) {
    it(`cancelMany ${what} ends a job as well whose run has failed, and is about to be settled`, async (t) => {
      const engine = slow()
      const { executor } = await setup(t, { engine: engine.engine, jobs, threads: 1 })
      const job = { id: '' }
      const run = async (): Promise<void> => {
        job.id = (await executor.enqueue(obedient, { do: 'fail' })).id
      }
      const report = await asItEnds(run, () => executor.cancelMany(filter(job.id)))
      assert.deepEqual(report, { matched: 1, changed: 1 })
      assert.equal((await executor.get(job.id))?.state, 'cancelled')
      await assertConsistent(executor)
    })
  }

  it('retry of a job that another call brings back in the same turn', async (t) => {
    const engine = slow()
    const { executor } = await setup(t, { engine: engine.engine, jobs })
    await executor.queue('default').pause()
    const { id } = await executor.enqueue(echo, 1)
    await executor.cancel(id)
    assert.deepEqual(await answersOf(engine, () => [executor.retry(id), executor.retry(id)]), [true, false])
    assert.equal((await executor.get(id))?.state, 'available')
  })

  it('retry of a job whose key one holds that another call brings back in the same turn', async (t) => {
    const engine = slow()
    const { executor } = await setup(t, { engine: engine.engine, jobs })
    await executor.queue('default').pause()
    const unique = { key: 'k' }
    const first = await executor.enqueue(echo, 1, { unique })
    await executor.cancel(first.id)
    const second = await executor.enqueue(echo, 2, { unique })
    await executor.cancel(second.id)
    assert.deepEqual(await answersOf(engine, () => [executor.retry(second.id), executor.retry(first.id)]), [true, false])
    assert.equal((await executor.get(first.id))?.state, 'cancelled')
  })

  for (const [where, options] of [
    ['scheduled', { delay: '1d' }],
    ['waiting', {}],
  ] as const) {
    it(`retry of a ${where} job that another call ends in the same turn brings it back: it waited, or is over`, async (t) => {
      const { executor } = await setup(t, { engine: slow().engine, jobs })
      await executor.queue('default').pause()
      const { id } = await executor.enqueue(echo, 1, options)
      assert.deepEqual(await Promise.all([executor.cancel(id), executor.retry(id)]), [true, true])
      assert.equal((await executor.get(id))?.state, 'available')
      const gone = await executor.enqueue(echo, 1, options)
      await Promise.all([executor.queue('default').purge(), executor.retry(gone.id)])
      assert.equal(await executor.get(gone.id), undefined)
      await assertConsistent(executor)
    })
  }
})
