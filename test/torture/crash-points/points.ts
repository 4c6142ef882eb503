/**
 * The places at which a process can be made to die. One counter for all threads: each place that is passed counts, and at the number
 * that was asked for the process kills itself there. Nothing of the library knows of it: the engine is wrapped, threads and events
 * are watched from outside, handlers pass their places themselves.
 */
import type { Worker } from 'node:worker_threads'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import type { Executor } from '../../../src/index.js'
import type { Engine, WriteBatch } from '../../../src/store/engine.js'
import { tell } from '../../fixtures/crash/journal-line.js'

const SHARED = 'millrace-crash-points'
/** Where the shared numbers are. */
const PASSED = 0
const DEADLY = 1

/** Makes the process die at the given place, counted from 1; 0: never. Before the first thread starts. */
export function dieAt(place: number): void {
  const numbers = new Int32Array(new SharedArrayBuffer(8))
  numbers[DEADLY] = place
  setEnvironmentData(SHARED, numbers)
}

/** How many places were passed. */
export function placesPassed(): number {
  return (getEnvironmentData(SHARED) as Int32Array)[PASSED] ?? 0
}

/** A place is passed, in whatever thread. */
export function pass(place: string): void {
  const numbers = getEnvironmentData(SHARED) as Int32Array
  if (Atomics.add(numbers, PASSED, 1) + 1 !== numbers[DEADLY]) return
  tell({ is: 'dies', at: place })
  process.kill(process.pid, 'SIGKILL')
  // The signal is on its way: nothing may happen any more.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** Places around each commit and each look into the store. */
export function watchEngine(engine: Engine): Engine {
  return {
    get: (table, key) => engine.get(table, key),
    range: (table, options) => {
      if (table === 'claims') pass('recovery: claims are read')
      return engine.range(table, options)
    },
    commit: async (batch) => {
      const what = contentOf(batch)
      pass(`${what}: before`)
      const durable = engine.commit(batch)
      pass(`${what}: handed over`)
      setImmediate(() => pass(`${what}: under way`))
      await durable
      pass(`${what}: durable, nothing told`)
      queueMicrotask(() => pass(`${what}: being told`))
      setImmediate(() => pass(`${what}: told`))
    },
    stats: () => engine.stats(),
    ...(engine.copy !== undefined && {
      copy: async (file: string) => {
        pass('copy: before')
        const copied = engine.copy!(file)
        setImmediate(() => pass('copy: under way'))
        await copied
        pass('copy: written')
      },
    }),
    close: async () => {
      pass('close: files open')
      await engine.close()
      pass('close: files closed')
    },
  }
}

/** What a commit is about, in a few words. */
function contentOf({ tables, values }: WriteBatch): string {
  const has = (table: string, removed: boolean): boolean =>
    tables.some((name, index) => name === table && (values[index] === undefined) === removed)
  const parts = [
    has('pages', false) && 'enqueue',
    has('scheduled', false) && 'schedule',
    has('scheduled', true) && 'due',
    has('claims', false) && 'claim',
    has('claims', true) && 'return',
    has('finished', false) && 'finish',
    has('finished', true) && 'prune',
  ]
  return `commit of ${parts.filter((part) => part !== false).join(', ') || 'nothing much'}`
}

/** Places around what threads do, as the main thread sees it. */
export function watchThreads(): void {
  process.on('worker', (worker: Worker) => {
    pass('thread: made')
    worker.once('online', () => pass('thread: online'))
    worker.once('exit', () => pass('thread: gone'))
  })
}

/** Places at which something is told. */
export function watchEvents(executor: Executor): void {
  for (const name of ['started', 'completed', 'failed', 'retried', 'discarded', 'cancelled', 'interrupted', 'idle'] as const)
    executor.on(name, () => pass(`event: ${name}`))
}
