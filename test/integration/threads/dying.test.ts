/**
 * Between a worker's error and its exit the pool has a new worker already. What the slot sent there would run beside the end of the old
 * one, and be taken for dead with it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { loops, rethrows } from '../../fixtures/threads/jobs.js'
import { LIMITS, open } from '../../support/open.js'
import { attemptsOf, tracesIn } from '../../support/traces.js'

/** Holds back the exit of a worker that has told an error, as a large heap does. */
function holdExit(worker: Worker): { readonly failed: Promise<void>; readonly gone: Promise<void>; letGo(): void } {
  const emit = worker.emit.bind(worker) as (name: string, ...args: unknown[]) => boolean
  let exit = (): void => undefined
  let isHeld = true
  const [failed, fail] = signal()
  const [gone, leave] = signal()
  worker.emit = (name: string, ...args: unknown[]): boolean => {
    if (name === 'exit') leave()
    if (name === 'exit' && isHeld) {
      // After its exit a worker forgets its listeners.
      const listeners = worker.rawListeners('exit')
      exit = () => {
        for (const listener of listeners) listener.apply(worker, args)
      }
      return true
    }
    const answer = emit(name, ...args)
    if (name === 'error') fail()
    return answer
  }
  return {
    failed,
    gone,
    letGo: () => {
      isHeld = false
      exit()
    },
  }
}

function signal(): [Promise<void>, () => void] {
  let resolve!: () => void
  return [new Promise<void>((done) => (resolve = done)), resolve]
}

test('what comes between the error of a worker and its exit waits for the next one', LIMITS, async (t) => {
  const workers: Worker[] = []
  const listener = (worker: Worker): void => void workers.push(worker)
  process.on('worker', listener)
  t.after(() => process.off('worker', listener))
  const { executor, directory, until } = await open(t, {
    jobs: [rethrows, loops],
    maxStuckThreads: 0,
    listen: ['failed', 'interrupted'],
  })
  // Measured, so that the guilty one does not count as slow and others are sent behind it.
  for (let run = 0; run < 3; run++) await (await executor.enqueue(rethrows, { ms: 200, throws: false })).result()
  const [worker] = workers
  assert.ok(worker !== undefined)
  const held = holdExit(worker)
  const guilty = await executor.enqueue(rethrows, { ms: 0, throws: true })
  await held.failed
  const file = join(directory, 'trace')
  const innocent = await executor.enqueue(loops, { file, tag: 'innocent', attempts: 0 })
  // A turn in which it would have been sent; the worker is gone; and its successor has had as long as others take to come and go.
  await executor.counts()
  await held.gone
  for (let count = 0; count < 5; count++) await once(new Worker('', { eval: true }), 'exit')
  const early = tracesIn(file)
  held.letGo()
  await innocent.result()
  assert.deepEqual(early, [])
  assert.deepEqual(await attemptsOf(executor, innocent), ['1 completed'])
  assert.equal(tracesIn(file).length, 1)
  await until('failed')
  await assert.rejects(guilty.result(), /beside/)
  assert.deepEqual(await attemptsOf(executor, guilty), ['1 failed'])
})
