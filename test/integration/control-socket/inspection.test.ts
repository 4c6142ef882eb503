/** A store that nobody has open, and in which everything is overdue: to look at it changes no byte, to change it runs nothing. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import { openForInspection } from '../../../src/executor/open-for-inspection.js'
import { nothing } from '../../fixtures/executor/jobs.js'
import { program } from '../../support/demo-program.js'
import { listed, setup, withCode, type Setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'

const YEAR = 365 * 24 * 60 * 60 * 1000

/** Left behind years ago: a schedule, a delayed job, a unique key, a job that had to begin by then, one that is too old to keep. */
async function overdue(t: TestContext): Promise<Setup & { readonly ids: readonly string[] }> {
  const clock = new FakeClock(Date.now() - 3 * YEAR)
  const made = await setup(t, { jobs: [nothing], clock, retain: { age: '1d' }, queues: { default: {}, other: {} } })
  const { executor } = made
  await (await executor.enqueue(nothing, 0)).result()
  await executor.queue('other').pause()
  await executor.schedule('hourly', { every: '1h' }, nothing, 0, { queue: 'other', misfire: 'all' })
  const delayed = await executor.enqueue(nothing, 1, { delay: '1h', queue: 'other' })
  const unique = { key: 'one', while: 'waiting', within: '1h' } as const
  const only = await executor.enqueue(nothing, 2, { queue: 'other', unique })
  const late = await executor.enqueue(nothing, 3, { queue: 'other', startBefore: '1h' })
  await executor.close({ grace: 0 })
  return { ...made, ids: [delayed.id, only.id, late.id] }
}

const digest = (directory: string): string =>
  createHash('sha256')
    .update(readFileSync(join(directory, 'jobs.mdb')))
    .digest('hex')

/** Everything that can be asked, with some turns in between. */
async function lookAround(executor: Executor, ids: readonly string[]): Promise<readonly unknown[]> {
  const [schedule] = await executor.schedules()
  const states = []
  for (const id of ids) states.push((await executor.get(id))?.state)
  const { queues, store } = executor.stats()
  executor.metrics()
  return [
    schedule?.lastRunAt,
    schedule?.nextRunAt,
    states,
    (await listed(executor)).length,
    queues['other']?.totals.enqueued,
    store.commits,
  ]
}

test('to look at it writes nothing, enqueues no missed run, and takes nothing', { timeout: 60_000 }, async (t) => {
  const { directory, ids } = await overdue(t)
  const before = [digest(directory), readdirSync(directory)]
  const { executor, queues } = await openForInspection(directory, 'look')
  t.after(() => executor.close({ grace: 0 }))
  assert.deepEqual(queues, ['default', 'other'])
  const seen = await lookAround(executor, ids)
  const [lastRunAt, nextRunAt, states, , enqueued, commits] = seen
  assert.deepEqual([lastRunAt, enqueued, commits, states], [undefined, 3, 0, ['scheduled', 'available', 'available']])
  assert.ok((nextRunAt as number) < Date.now() - 2 * YEAR, 'the run that was missed is still to come')
  const { oldestWaitingMs } = executor.stats().queues['other'] ?? {}
  assert.ok((oldestWaitingMs ?? 0) > 2 * YEAR, `the oldest has waited ${oldestWaitingMs} ms`)
  for (let round = 0; round < 20; round++) assert.deepEqual(await lookAround(executor, ids), seen)
  // Another process that opens it meanwhile is not refused, and what was seen is how it stood before.
  const { code, stderr } = await program(['resume', directory, 'other']).ended
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(await lookAround(executor, ids), seen)
  const now = digest(directory)
  await executor.close({ grace: 0 })
  assert.equal(digest(directory), now)
  assert.notEqual(now, before[0], 'the other one has written')
  assert.deepEqual(readdirSync(directory), before[1])
})

test('alone: the very bytes are there afterwards', { timeout: 60_000 }, async (t) => {
  const { directory, ids } = await overdue(t)
  const before = digest(directory)
  const { executor } = await openForInspection(directory, 'look')
  await lookAround(executor, ids)
  await assert.rejects(executor.queue('other').resume(), /opened for reading/)
  await executor.close({ grace: 0 })
  assert.equal(digest(directory), before)
})

test('to change it runs nothing and enqueues nothing', { timeout: 60_000 }, async (t) => {
  const { directory, ids } = await overdue(t)
  const { executor } = await openForInspection(directory, 'change')
  t.after(() => executor.close({ grace: 0 }))
  await executor.queue('other').resume()
  assert.equal(await executor.unschedule('none'), false)
  const [lastRunAt, , states, , enqueued] = await lookAround(executor, ids)
  assert.deepEqual([lastRunAt, states, enqueued], [undefined, ['scheduled', 'available', 'available'], 3])
})

test('a store that somebody has open is refused either way', { timeout: 60_000 }, async (t) => {
  const { directory } = await setup(t, {})
  for (const inspection of ['look', 'change'] as const)
    await assert.rejects(openForInspection(directory, inspection), withCode('MILLRACE_LOCKED'))
})
