/** Millrace, raw Piscina and bare LMDB over the same jobs, each able to run many rounds without starting anew. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { Piscina } from 'piscina'
import { openExecutor } from '../../src/index.js'
import { noop, noopInput } from '../jobs/noop.js'
import type { Contestant } from './measure.js'

export interface Closable extends Contestant {
  readonly close: () => Promise<void>
}

const RAW_NOOP = new URL('../jobs/raw-noop.js', import.meta.url).href

/** Jobs per second from the first enqueue to the last durable outcome. */
export async function millrace(name: string, threads: number, jobs: number, mode: 'bulk' | 'single'): Promise<Closable> {
  const path = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  const executor = await openExecutor({ path, jobs: [noop], threads })
  const inputs = Array.from({ length: jobs }, (_, id) => noopInput(id))
  return {
    name,
    async run() {
      const began = performance.now()
      if (mode === 'bulk') await enqueueInBulk(inputs)
      else await enqueueOneByOne(inputs)
      await executor.drain()
      return (jobs / (performance.now() - began)) * 1000
    },
    async close() {
      await executor.close()
      rmSync(path, { recursive: true, force: true })
    },
  }

  async function enqueueInBulk(all: readonly ReturnType<typeof noopInput>[]): Promise<void> {
    for (let from = 0; from < all.length; from += 5000) await executor.enqueueMany(noop, all.slice(from, from + 5000))
  }

  async function enqueueOneByOne(all: readonly ReturnType<typeof noopInput>[]): Promise<void> {
    for (let from = 0; from < all.length; from += 2000) {
      await Promise.all(all.slice(from, from + 2000).map((input) => executor.enqueue(noop, input)))
    }
  }
}

/** Tasks per second through `piscina.run()`, nothing durable. */
export function rawPiscina(
  name: string,
  threads: number,
  jobs: number,
  perThread: number,
  atomics: 'sync' | 'async' | 'disabled',
): Closable {
  const pool = new Piscina({
    filename: RAW_NOOP,
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker: perThread,
    idleTimeout: Infinity,
    atomics,
    recordTiming: false,
  })
  const inputs = Array.from({ length: jobs }, (_, id) => noopInput(id))
  return {
    name,
    async run() {
      const began = performance.now()
      for (let from = 0; from < inputs.length; from += 2000)
        await Promise.all(inputs.slice(from, from + 2000).map((input) => pool.run(input)))
      return (jobs / (performance.now() - began)) * 1000
    },
    close: () => pool.destroy(),
  }
}

/** Pairs per second of a durable put and a durable remove of the same bytes, one record a job, in turns of 1,000. */
export function bareLmdb(name: string, jobs: number): Closable {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-lmdb-'))
  const root = open({
    path: join(directory, 'bare.mdb'),
    overlappingSync: false,
    eventTurnBatching: false,
    mapSize: 2 ** 36,
    maxDbs: 4,
  })
  const records = root.openDB({ name: 'records', encoding: 'binary' })
  const value = Buffer.from(JSON.stringify(noopInput(12_345_678)))
  let next = 1
  return {
    name,
    async run() {
      const began = performance.now()
      for (let done = 0; done < jobs; done += 1000) {
        const first = next
        next += 1000
        await records.batch(() => {
          for (let key = first; key < first + 1000; key++) void records.put(key, value)
        })
        await records.batch(() => {
          for (let key = first; key < first + 1000; key++) void records.remove(key)
        })
      }
      return (jobs / (performance.now() - began)) * 1000
    },
    async close() {
      await root.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
