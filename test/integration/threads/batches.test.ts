/** Batches: nobody waits for a batch-mate. And many terminations, which leave nothing behind. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loops, returnsMuch, spins, where } from '../../fixtures/threads/jobs.js'
import { LIMITS, liveThreads, open, threadLives } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

/** What blocks is let go by what it must not hold up; if that waits for it all the same, it fails after this. */
const BLOCKS_AT_MOST = '60s'
const JOBS = [loops, returnsMuch, spins, where]

test(
  '3,000 quick jobs and one that blocks: all others are told first, those behind it by the other thread',
  LIMITS,
  async (t) => {
    const { executor, directory, told } = await open(t, {
      jobs: JOBS,
      threads: 2,
      listen: ['interrupted', 'failed'],
      retain: { jobs: Infinity },
    })
    const warm = await executor.enqueueMany(
      spins,
      Array.from({ length: 200 }, () => ({ ms: 0 })),
    )
    await Promise.all(warm.map((job) => job.result()))
    for (const blocking of [0, 1, 1000, 2500]) {
      const order: number[] = []
      const threads: number[] = []
      const until = join(directory, `others-of-${blocking}`)
      const jobs = await executor.enqueueMany(
        spins,
        Array.from({ length: 3000 }, (_, index) => (index === blocking ? { ms: 0, until } : { ms: 0 })),
        { timeout: BLOCKS_AT_MOST, maxRetries: 0 },
      )
      await Promise.all(
        jobs.map(async (job, index) => {
          threads[index] = await job.result()
          if (order.push(index) === 2999) writeFileSync(until, '')
        }),
      )
      assert.equal(order.at(-1), blocking, `the blocking job was told as number ${order.indexOf(blocking)} of 3,000`)
      assert.notEqual(threads[blocking + 1], threads[blocking])
      for (const index of [blocking, blocking + 1, 2999])
        assert.deepEqual(await attemptsOf(executor, jobs[index]!), ['1 completed'])
    }
    assert.deepEqual(told, [])
  },
)

test(
  '3,000 quick jobs among which twelve block: each runs once, and those before the first are told before any block ends',
  LIMITS,
  async (t) => {
    const { executor, directory, told } = await open(t, {
      jobs: JOBS,
      threads: 2,
      listen: ['interrupted', 'failed'],
      retain: { jobs: Infinity },
    })
    const warm = await executor.enqueueMany(
      spins,
      Array.from({ length: 200 }, () => ({ ms: 0 })),
    )
    await Promise.all(warm.map((job) => job.result()))
    const blocks = (index: number): boolean => index % 250 === 249
    const order: number[] = []
    const until = join(directory, 'those-before-the-first')
    const jobs = await executor.enqueueMany(
      spins,
      Array.from({ length: 3000 }, (_, index) => (blocks(index) ? { ms: 25, until } : { ms: 0 })),
      { timeout: BLOCKS_AT_MOST, maxRetries: 0 },
    )
    const before = new Set(Array.from({ length: 249 }, (_, index) => index))
    await Promise.all(
      jobs.map(async (job, index) => {
        await job.result()
        order.push(index)
        // Two threads are blocked by two jobs at the latest: what lies before the first of them has to be told nevertheless.
        if (before.delete(index) && before.size === 0) writeFileSync(until, '')
      }),
    )
    assert.deepEqual(
      order.toSorted((left, right) => left - right),
      Array.from({ length: 3000 }, (_, index) => index),
    )
    assert.deepEqual(told, [])
  },
)

test('a finished job is told while its batch-mate still runs', LIMITS, async (t) => {
  const { executor, directory } = await open(t, { jobs: JOBS })
  const warm = await executor.enqueueMany(
    spins,
    Array.from({ length: 200 }, () => ({ ms: 0 })),
  )
  await Promise.all(warm.map((job) => job.result()))
  for (let round = 0; round < 5; round++) {
    const until = join(directory, `quick-${round}`)
    const inputs = [{ ms: 0 }, { ms: 0, until }, { ms: 0 }]
    const [quick, slow, behind] = await executor.enqueueMany(spins, inputs, { timeout: BLOCKS_AT_MOST, maxRetries: 0 })
    const settled: string[] = []
    await Promise.all([
      quick!.result().then(() => {
        settled.push(`quick beside ${executor.stats().threads[0]?.state}`)
        writeFileSync(until, '')
      }),
      slow!.result().then(() => settled.push('slow')),
      behind!.result().then(() => settled.push('behind')),
    ])
    assert.deepEqual(settled, ['quick beside running', 'slow', 'behind'])
  }
})

test('promise 2: outputs that travel by themselves arrive whole, and no job runs twice for them', LIMITS, async (t) => {
  const { executor, directory, told } = await open(t, { jobs: JOBS, threads: 2, listen: ['interrupted', 'failed'] })
  const file = join(directory, 'trace')
  const inputs = Array.from({ length: 60 }, (_, index) => ({
    file,
    tag: `${index}`,
    bytes: index % 2 === 0 ? 600_000 : 10,
    ms: index % 5,
  }))
  const jobs = await executor.enqueueMany(returnsMuch, inputs)
  // The event loop is kept turning, and commits with it: an outcome may be read before its output has come.
  const others = [...inputs].map(async () => {
    await (await executor.enqueue(where, undefined)).result()
  })
  const outputs = await Promise.all(jobs.map((job) => job.result()))
  await Promise.all(others)
  for (const [index, output] of outputs.entries()) {
    assert.equal(output.length, inputs[index]!.bytes)
    assert(output.every((byte) => byte === 7))
  }
  assert.deepEqual(told, [])
  assert.equal(tracesIn(file).length, inputs.length)
})

test('promise 3: 200 terminations under load: every outcome is right, no thread is left over', LIMITS, async (t) => {
  const before = threadLives.length
  const { executor, directory, told } = await open(t, {
    jobs: JOBS,
    threads: 2,
    listen: ['interrupted', 'error', 'stuck'],
    retain: { jobs: Infinity },
  })
  const file = join(directory, 'trace')
  const loop = { file, tag: 'loop', attempts: 9 }
  const pending: Promise<{ id: string; result(): Promise<unknown> }>[] = []
  for (let index = 0; index < 2000; index++) {
    pending.push(
      index % 10 === 5 ? executor.enqueue(loops, loop, { timeout: '30ms', maxRetries: 0 }) : executor.enqueue(where, undefined),
    )
  }
  const jobs = await Promise.all(pending)
  const results = await Promise.allSettled(jobs.map((job) => job.result()))
  for (const [index, { status }] of results.entries())
    assert.equal(status, index % 10 === 5 ? 'rejected' : 'fulfilled', `job ${index}`)
  for (const [index, job] of jobs.entries())
    assert.deepEqual(await attemptsOf(executor, job), [index % 10 === 5 ? '1 timedOut' : '1 completed'], `job ${index}`)
  assert.deepEqual(told, [])
  assert.equal(liveThreads().length, 2)
  assert.equal(threadLives.length - before, 202, 'threads that were started')
  const { completed, discarded, running, available } = await executor.counts()
  assert.deepEqual({ completed, discarded, running, available }, { completed: 1800, discarded: 200, running: 0, available: 0 })
})
