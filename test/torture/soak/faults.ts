/** Hosts with a fault that the soak must see. */
import { cp, rm } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../../src/base/clock.js'
import { Executor } from '../../../src/executor/executor.js'
import { type LmdbEngine, openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import type { SoakInput } from '../../fixtures/torture/soak-job.js'

interface Planted {
  readonly onJob?: (input: SoakInput) => void
  readonly retain?: number
  readonly onOpen?: (directory: string) => Promise<void>
  /** Takes the fault away again. */
  readonly stop: () => Promise<void> | void
}

interface Fault {
  readonly name: string
  readonly plant: () => Planted
}

/** Jobs between two threads that are left behind. */
const JOBS_A_THREAD = 150

export const FAULTS: readonly Fault[] = [
  {
    name: 'keeps every payload',
    plant: () => {
      const kept: Buffer[] = []
      return {
        onJob: ({ bytes }) => void kept.push(Buffer.from(bytes), Buffer.alloc(50_000, 1)),
        stop: () => void kept.splice(0),
      }
    },
  },
  {
    name: 'never removes what is over, so that its file grows',
    plant: () => ({ retain: Infinity, stop: () => undefined }),
  },
  {
    name: 'leaves threads behind',
    plant: () => {
      const threads: Worker[] = []
      return {
        onJob: ({ key }) => {
          if (key % JOBS_A_THREAD === 0) threads.push(new Worker('setInterval(() => undefined, 1000)', { eval: true }))
        },
        stop: async () => void (await Promise.all(threads.map((thread) => thread.terminate()))),
      }
    },
  },
  {
    name: 'holds on to old states of its store',
    plant: () => {
      const held: LmdbEngine[] = []
      return {
        onOpen: async (directory) =>
          void held.push(await openLmdbEngine(directory, { durability: 'disk', clock: systemClock, readOnly: true })),
        stop: async () => void (await Promise.all(held.map((engine) => engine.close()))),
      }
    },
  },
  {
    name: 'gives an older backup for a new one',
    plant: () => {
      const { backup } = Executor.prototype
      let first: string | undefined
      Executor.prototype.backup = async function stale(this: Executor, path: string) {
        const report = await backup.call(this, path)
        if (first === undefined) await cp(path, (first = `${path}-kept`), { recursive: true })
        else {
          await rm(path, { recursive: true })
          await cp(first, path, { recursive: true })
        }
        return report
      }
      return { stop: () => void (Executor.prototype.backup = backup) }
    },
  },
]
