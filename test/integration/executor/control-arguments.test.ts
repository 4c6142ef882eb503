/** What the calls that steer queues and threads refuse: in words that name the value, the limit and the way out, and with nothing changed. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Executor } from '../../../src/index.js'
import { echo } from '../../fixtures/executor/jobs.js'
import { assertConsistent, listed, rejection, setup, STORES, withCode } from '../../support/executor.js'

/** A call with its bad argument, and what the error says. */
type Refused = readonly [
  call: (executor: Executor, value: never) => Promise<unknown>,
  values: readonly unknown[],
  message: RegExp,
]

const concurrency = (executor: Executor, value: never): Promise<void> => executor.queue('images').setConcurrency(value)
const threads = (executor: Executor, value: never): Promise<void> => executor.setThreads(value)
const pause = (executor: Executor, value: never): Promise<void> => executor.queue('images').pause(value)
const purge = (executor: Executor, value: never): Promise<unknown> => executor.queue('images').purge(value)
const purgeSo = (executor: Executor, value: never): Promise<unknown> => executor.queue('images').purge({}, value)

const REFUSED: readonly Refused[] = [
  [
    concurrency,
    [-1],
    /^setConcurrency\(\) .*: concurrency: -1 \(number\) is not a whole number of 1 or more, or Infinity for no limit$/,
  ],
  [
    concurrency,
    [1.5, Number.NaN, -Infinity, 2 ** 53],
    /\(number\) is not a whole number of 1 or more, or Infinity for no limit$/,
  ],
  [concurrency, ['2', null, {}, [], 3n, true], /is not a whole number of 1 or more, or Infinity for no limit$/],
  [concurrency, [0, -0], /0 \(number\) is not a whole number of 1 or more; to have none of its jobs begun: pause\(\)$/],
  [
    threads,
    [0, -1, 1.5, Number.NaN, Infinity, 1025, 2 ** 53],
    /^setThreads\(\) .*: threads: .* \(number\) is not a whole number from 1 to 1024$/,
  ],
  [threads, ['2', null, undefined, {}, [], 3n], /^setThreads\(\) .*: threads: .* is not a whole number from 1 to 1024$/],
  [threads, [1], /threads: 1 is not enough; 1 are reserved .*: give 2 or more$/],
  [pause, [null, true, 'now', [], 1], /^The options of pause .* is not an object; known fields are interrupt$/],
  [pause, [{ interrupt: 1 }, { interrupt: 'yes' }, { interrupt: null }], /interrupt: .* is not true or false$/],
  [pause, [{ interupt: true }], /interupt: is not a known field; did you mean 'interrupt'\?$/],
  [
    purge,
    [null, 'images', [], 1],
    /^The filter of purge .* is not an object; known fields are state, name, ids, olderThan, limit$/,
  ],
  [purge, [{ queue: 'images' }, { all: true }], /is not a known field; known fields are state, name, ids, olderThan, limit$/],
  [purge, [{ state: 'running' }], /state: purge does nothing with running jobs; it is for scheduled, available, .*discarded$/],
  [purge, [{ state: 'availible' }], /state: 'availible' \(string\) is not a state: scheduled, .*; did you mean 'available'\?$/],
  [purge, [{ name: 1 }], /name: 1 \(number\) is not the name of a definition$/],
  [
    purge,
    [{ olderThan: -1 }, { olderThan: 'old' }],
    /olderThan: .* is not a duration; give ms as a number, or a string such as /,
  ],
  [purge, [{ limit: -1 }, { limit: 0.5 }], /limit: .* \(number\) is not a whole number of 0 or more, or Infinity for no limit$/],
  [purge, [{ ids: 'x' }, { ids: 5 }], /ids: .* is not an iterable of job ids; give an array, such as /],
  [purge, [{ ids: ['x'] }], /ids: "x" is not a job id: an id is the 20-character string in job\.id\.$/],
  [purgeSo, [null, true], /^The options of purge .* is not an object; known fields are dryRun, onProgress$/],
  [purgeSo, [{ dryRun: 1 }], /dryRun: 1 \(number\) is not true or false$/],
  [purgeSo, [{ onProgress: 1 }], /onProgress: 1 \(number\) is not a function$/],
  [purgeSo, [{ reason: 'why' }], /reason: is not a known field; known fields are dryRun, onProgress$/],
]

for (const store of STORES) {
  describe(`arguments of control, ${store}`, () => {
    it('what is refused has changed nothing', async (t) => {
      const { executor, reopen } = await setup(t, {
        store,
        jobs: [echo],
        queues: { default: {}, images: { concurrency: 5 } },
        reserve: { threads: 1, priority: 1 },
      })
      const images = executor.queue('images')
      await images.setConcurrency(3)
      await executor.queue('default').pause()
      await executor.enqueueMany(echo, [1, 2, 3])
      const state = async (of: Executor): Promise<unknown> => [
        of.stats().threads.length,
        await of.queue('images').info(),
        await of.queue('default').info(),
        await listed(of),
      ]
      const before = [await state(executor), executor.stats().store.commits]
      for (const [call, values, message] of REFUSED) {
        for (const value of values) {
          const error = await rejection(call(executor, value as never))
          assert.equal(withCode('MILLRACE_INVALID_OPTIONS', message)(error), true)
          assert.ok(error.message.length < 400, error.message)
        }
      }
      assert.deepEqual([await state(executor), executor.stats().store.commits], before)
      await assertConsistent(executor)
      await executor.close()
      assert.deepEqual(await state(await reopen()), before[0], 'after a reopening')
    })
  })
}
