/** State per definition per thread, its beginning and its end; recycling. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { JobFailedError } from '../../../src/index.js'
import { hoards, where } from '../../fixtures/threads/jobs.js'
import type { StateTrace } from '../../fixtures/threads/state.js'
import {
  first,
  reluctant,
  second,
  setupHangs,
  setupLoops,
  teardownHangs,
  teardownLoops,
  teardownThrows,
} from '../../fixtures/threads/state.js'
import { exitOf, LIMITS, newDirectory, open, rejection } from '../../support/open.js'
import { attemptsOf } from '../../support/traces.js'

const JOBS = [first, hoards, reluctant, second, setupHangs, setupLoops, teardownHangs, teardownLoops, teardownThrows, where]

function withTrace(t: Parameters<typeof newDirectory>[0]): {
  options: { jobs: typeof JOBS; env: Record<string, string> }
  traces: () => StateTrace[]
} {
  const file = join(newDirectory(t), 'state')
  return {
    options: { jobs: JOBS, env: { MILLRACE_TEST_TRACE: file } },
    traces: () => {
      if (!existsSync(file)) return []
      return readFileSync(file, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as StateTrace)
    },
  }
}

const times = (count: number): undefined[] => Array.from({ length: count }, () => undefined)

test(
  'setup runs once per definition and thread before its first job; close runs every teardown once, with that state',
  LIMITS,
  async (t) => {
    const { options, traces } = withTrace(t)
    const { executor } = await open(t, { ...options, threads: 2 })
    const seen = new Map<number, Set<number>>()
    for (let round = 0; round < 20; round++) {
      const jobs = [
        ...(await executor.enqueueMany(first, ['use', 'use', 'use'])),
        ...(await executor.enqueueMany(second, times(3))),
      ]
      for (const output of await Promise.all(jobs.map((job) => job.result()))) {
        seen.set(output.threadId, (seen.get(output.threadId) ?? new Set()).add(output.serial))
      }
    }
    const setups = traces()
    for (const [threadId, serials] of seen) {
      const mine = setups.filter((trace) => trace.threadId === threadId)
      assert.deepEqual(new Set(mine.map(({ serial }) => serial)), serials)
      assert.equal(new Set(mine.map(({ name }) => name)).size, mine.length, 'a second setup of a definition in a thread')
      assert(mine.every(({ given }) => given === threadId))
    }
    await executor.close()
    const ended = traces().filter(({ what }) => what === 'teardown')
    const key = ({ name, threadId, serial }: StateTrace): string => `${name} ${threadId} ${serial}`
    assert.deepEqual(ended.map(key).sort(), setups.map(key).sort())
  },
)

test('a setup that throws fails the attempt, not the thread, and is tried again for the next job', LIMITS, async (t) => {
  const { options, traces } = withTrace(t)
  const { executor } = await open(t, options)
  const threadId = await (await executor.enqueue(where, undefined)).result()
  const jobs = await executor.enqueueMany(reluctant, times(5))
  const messages = [/TypeError: not yet/, /./]
  for (const [index, message] of messages.entries()) {
    const error = await rejection(jobs[index]!.result())
    assert(error instanceof JobFailedError)
    assert.equal(error.error.code, 'MILLRACE_SETUP_FAILED', `setup ${index}: ${error.error.message}`)
    assert.match(error.error.message, /reluctant/)
    assert.match(error.error.message, message)
  }
  for (const job of jobs.slice(2)) assert.deepEqual(await job.result(), { threadId, serial: 1 })
  assert.equal(traces().filter(({ what }) => what === 'setup').length, 1)
})

for (const job of [setupLoops, setupHangs]) {
  test(`promise 3: the timeout holds in a setup that does not end: ${job.name}`, LIMITS, async (t) => {
    const { options } = withTrace(t)
    const { executor } = await open(t, options)
    const [stopped, other] = await Promise.all([executor.enqueue(job, undefined), executor.enqueue(where, undefined)])
    const error = await rejection(stopped.result())
    assert(error instanceof JobFailedError)
    assert.equal(error.error.code, 'MILLRACE_TIMEOUT')
    await other.result()
    assert.deepEqual(await attemptsOf(executor, other), ['1 completed'])
  })
}

test('a terminated thread runs no teardown; the one after it makes state of its own', LIMITS, async (t) => {
  const { options, traces } = withTrace(t)
  const { executor } = await open(t, options)
  const before = await (await executor.enqueue(first, 'use')).result()
  await rejection((await executor.enqueue(first, 'loop', { timeout: '50ms', maxRetries: 0 })).result())
  const after = await (await executor.enqueue(first, 'use')).result()
  assert.notEqual(after.threadId, before.threadId)
  assert.equal(after.used, 1)
  assert.deepEqual(
    traces().map(({ what, threadId }) => [what, threadId]),
    [
      ['setup', before.threadId],
      ['setup', after.threadId],
    ],
  )
})

test('recycle.afterJobs replaces a thread between jobs, after its teardown; no job is interrupted', LIMITS, async (t) => {
  const { options, traces } = withTrace(t)
  const { executor, told } = await open(t, { ...options, recycle: { afterJobs: 10 }, listen: ['interrupted', 'failed', 'error'] })
  const used = new Map<number, number>()
  for (let round = 0; round < 30; round++) {
    const { threadId } = await (await executor.enqueue(first, 'use')).result()
    used.set(threadId, (used.get(threadId) ?? 0) + 1)
  }
  assert.deepEqual([...used.values()], [10, 10, 10])
  assert.deepEqual(told, [])
  const threads = [...used.keys()]
  await exitOf(threads[1]!)
  const ended = traces().filter(({ what }) => what === 'teardown')
  assert.deepEqual(
    ended.slice(0, 2).map(({ threadId }) => threadId),
    threads.slice(0, 2),
  )
})

for (const [afterJobs, count] of [
  [1, 20],
  [7, 200],
  [100, 3000],
] as const) {
  test(
    `recycle.afterJobs under load: no thread has more than ${afterJobs} of ${count} jobs, and each completes in its first attempt`,
    LIMITS,
    async (t) => {
      const { executor, told } = await open(t, {
        jobs: JOBS,
        threads: 2,
        recycle: { afterJobs },
        listen: ['interrupted', 'failed', 'error'],
      })
      const jobs = await executor.enqueueMany(where, times(count))
      const perThread = new Map<number, number>()
      for (const threadId of await Promise.all(jobs.map((job) => job.result())))
        perThread.set(threadId, (perThread.get(threadId) ?? 0) + 1)
      assert(Math.max(...perThread.values()) <= afterJobs, `jobs per thread: ${[...perThread.values()].join(' ')}`)
      assert.deepEqual(told, [])
    },
  )
}

test('recycle.heapBytes replaces a thread whose heap has grown', LIMITS, async (t) => {
  const { executor } = await open(t, { jobs: JOBS, recycle: { heapBytes: 60 * 1024 * 1024 } })
  const threads: number[] = []
  for (let round = 0; round < 12; round++) threads.push(await (await executor.enqueue(hoards, { megabytes: 15 })).result())
  const distinct = new Set(threads).size
  assert(distinct >= 2 && distinct <= 6, `threads: ${threads.join(' ')}`)
})

for (const job of [teardownThrows, teardownHangs, teardownLoops]) {
  test(`a teardown that fails holds nobody up when a thread is recycled: ${job.name}`, LIMITS, async (t) => {
    const { executor, until } = await open(t, { jobs: JOBS, recycle: { afterJobs: 1 }, listen: ['error'] })
    const before = await (await executor.enqueue(job, undefined)).result()
    const after = await (await executor.enqueue(where, undefined)).result()
    assert.notEqual(after, before)
    if (job === teardownThrows) assert.match((await until('error')).error.message, /cannot let go/)
  })

  test(`a teardown that fails does not hold up close: ${job.name}`, LIMITS, async (t) => {
    const { executor, until } = await open(t, { jobs: JOBS, listen: ['error'] })
    await (await executor.enqueue(job, undefined)).result()
    await executor.close()
    if (job === teardownThrows) assert.match((await until('error')).error.message, /cannot let go/)
  })
}
