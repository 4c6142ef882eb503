/** Hosts with a fault that the soak must see. */
import { Worker } from 'node:worker_threads'
import type { SoakInput } from '../../fixtures/torture/soak-job.js'

interface Planted {
  readonly onJob?: (input: SoakInput) => void
  readonly retain?: number
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
]
