/** What a handler is given and what it may say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExecutorEvents } from '../../../src/index.js'
import { JobFailedError } from '../../../src/index.js'
import { logs, reports, says, shows, where } from '../../fixtures/threads/jobs.js'
import { LIMITS, open, rejection } from '../../support/open.js'
import { attemptsOf } from '../../support/traces.js'

const JOBS = [logs, reports, says, shows, where]

test('ctx tells the job: id, name, queue, attempt, enqueuedAt; without a setup its state is undefined', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const jobs = await executor.enqueueMany(
    shows,
    Array.from({ length: 20 }, (_, n) => ({ n })),
  )
  for (const job of jobs) {
    const shown = await job.result()
    const info = await executor.get(job.id)
    const { id, enqueuedAt } = info!
    assert.deepEqual(shown.job, { id, name: 'shows', queue: 'shown', enqueuedAt, attempt: 1 })
    assert.equal(id, job.id)
    assert.equal(shown.attempt, 1)
    assert.equal(shown.state, undefined)
    assert.equal(shown.aborted, false)
    assert(enqueuedAt <= shown.now)
  }
})

test(
  'outcomes: snooze waits uncharged, cancel ends, FatalError discards at once, RetryError names its wait',
  LIMITS,
  async (t) => {
    const { executor, until } = await open(t, { jobs: JOBS, listen: ['retried', 'cancelled', 'failed'] })
    const snoozing = await executor.enqueue(says, { what: 'snooze', reason: 'too early' })
    const { runAt, snoozed } = await until('retried', ({ job }) => job.id === snoozing.id)
    assert.equal(snoozed, true)
    assert(runAt - Date.now() > 3_500_000)
    assert.deepEqual(await attemptsOf(executor, snoozing), ['1 snoozed'])
    assert.equal((await executor.get(snoozing.id))?.attempt, 1)

    const again = await executor.enqueue(says, { what: 'snooze once' })
    assert.deepEqual(await again.result(), { attempt: 1 })
    assert.deepEqual(await attemptsOf(executor, again), ['1 snoozed', '1 completed'])

    const cancelling = await executor.enqueue(says, { what: 'cancel', reason: 'no such user' })
    const error = await rejection(cancelling.result())
    assert.equal(error.code, 'MILLRACE_JOB_CANCELLED')
    assert.match(error.message, /no such user/)

    const fatal = await executor.enqueue(says, { what: 'fatal' })
    const failure = await rejection(fatal.result())
    assert(failure instanceof JobFailedError)
    assert.equal(failure.error.name, 'FatalError')
    assert.deepEqual(await attemptsOf(executor, fatal), ['1 failed'])

    const retrying = await executor.enqueue(says, { what: 'retry' })
    const retried = await until('retried', ({ job }) => job.id === retrying.id)
    assert.equal(retried.snoozed, false)
    assert(retried.runAt - Date.now() > 3_500_000)

    const failing = await executor.enqueue(says, { what: 'fail once' })
    assert.deepEqual(await failing.result(), { attempt: 2 })
  },
)

test('promise 4: a reason that is enormous is cut, and its job is not taken for completed', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  for (const what of ['cancel', 'snooze']) {
    const job = await executor.enqueue(says, { what, reason: '\u0001'.repeat(400_000) })
    if (what === 'cancel') assert.equal((await rejection(job.result())).code, 'MILLRACE_JOB_CANCELLED')
    else await executor.drain()
    const info = await executor.get(job.id)
    assert.equal(info?.state, what === 'cancel' ? 'cancelled' : 'retryable')
    assert((info.error?.message.length ?? 0) < 10_000)
  }
})

test('progress is clamped, throttled, and its last word is heard; get shows it while the job runs', LIMITS, async (t) => {
  const { executor, until, told } = await open(t, { jobs: JOBS, listen: ['progress', 'completed'] })
  const many = Array.from({ length: 5000 }, (_, index) => [index / 5000] as const)
  const job = await executor.enqueue(reports, { steps: [...many, [7, 'done']], thenWait: true }, { timeout: '60s' })
  const last = await until('progress', ({ fraction }) => fraction === 1)
  assert.equal(last.message, 'done')
  await executor.cancel(job.id)
  assert(told.filter(({ name }) => name === 'progress').length < 50, 'progress is not throttled')
  assert(told.every((event) => event.name !== 'progress' || (event.fraction >= 0 && event.fraction <= 1)))

  for (const [given, shown] of [
    [-5, 0],
    [Number.NaN, 0],
    [0.25, 0.25],
    [Infinity, 1],
  ] as const) {
    const running = await executor.enqueue(reports, { steps: [[given, `at ${shown}`]], thenWait: true }, { timeout: '30s' })
    const event = await until('progress', ({ job: { id } }) => id === running.id)
    assert.equal(event.fraction, shown)
    assert.deepEqual((await executor.get(running.id))?.progress, { fraction: shown, message: `at ${shown}` })
    await executor.cancel(running.id)
  }
})

test('of progress reported in quick succession the latest is shown', LIMITS, async (t) => {
  const { executor, until } = await open(t, { jobs: JOBS, listen: ['progress'] })
  const steps = [[0.1], [0.2], [0.3, 'the latest']] as const
  const job = await executor.enqueue(reports, { steps, thenWait: true }, { timeout: '3s', softTimeout: '1s', maxRetries: 0 })
  const seen = until('progress', ({ message }) => message === 'the latest').then(() => true)
  assert(await Promise.race([seen, job.result().then(() => false)]), 'the job waits, and its latest progress was never told')
  await executor.cancel(job.id)
})

test('log lines become events, with level, data and job; what JSON cannot carry fails no job', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS })
  const lines: ExecutorEvents['log'][] = []
  const all = new Promise<void>((resolve) => {
    executor.on('log', (line) => {
      lines.push(line)
      if (line.message === 'undefined') resolve()
    })
  })
  const job = await executor.enqueue(logs, undefined, { maxRetries: 0 })
  assert.equal(await job.result(), 'logged')
  await all
  assert(lines.every(({ jobId, name }) => jobId === job.id && name === 'logs'))
  assert.deepEqual(
    lines.map(({ level, message }) => `${level} ${message}`),
    [
      'debug plain',
      'info with data',
      'warn a cycle',
      'error a bare cycle',
      'info a bigint',
      'info a function',
      'info long',
      'info undefined',
    ],
  )
  assert.deepEqual(lines[1]?.data, { a: [1, 'two'] })
  assert((JSON.stringify(lines[6]?.data) ?? '').length < 20_000)
})
