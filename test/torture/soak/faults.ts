/** Hosts with a fault that the soak must see, each by what it lets grow or break. Planted in a process that ends with the run. */
import { openSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { devNull } from 'node:os'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../../src/base/clock.js'
import { Executor } from '../../../src/executor/executor.js'
import type { EnqueueOptions, JobDefinition, JobHandle } from '../../../src/index.js'
import { type LmdbEngine, openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import type { LoadOptions, Load } from './load.js'
import type { Measure } from './samples.js'
import type { Silence } from './silence.js'

export interface Planted extends Pick<LoadOptions, 'onJob' | 'retain'> {
  /** After each round, while nothing is in flight. */
  readonly onRound?: (round: number, load: Load) => Promise<void> | void
}

export interface SoakFault {
  /** Completes the sentence "a host that …". */
  readonly name: string
  /** What it must be seen by: all of these measures grow, or a violation says this. */
  readonly grows?: readonly Measure[]
  readonly says?: RegExp
  readonly plant: () => Planted
  /** Other than those of every proof. */
  readonly rounds?: number
  readonly silence?: Silence
}

/** Rounds between two readers that are left behind. */
const ROUNDS_A_READER = 3
/** From this round on a priority waits, and how much more with each. */
const ROUND_LATE = 28
const LATER_MS = 500
/** Long enough for every other step, with as many processes as have to come and go. */
const SHORT_SILENCE: Silence = { ms: 10_000, processes: 5 }

type Enqueue = (job: JobDefinition, input: unknown, options?: EnqueueOptions) => Promise<JobHandle<unknown>>

const never = (): Promise<never> => new Promise(() => undefined)

export const FAULTS: readonly SoakFault[] = [
  {
    name: 'keeps every payload',
    grows: ['externalMb', 'rssMb'],
    plant: () => {
      const kept: Buffer[] = []
      return { onJob: ({ bytes }) => void kept.push(Buffer.from(bytes), Buffer.alloc(200_000, 1)) }
    },
  },
  {
    name: 'keeps something of every job in its JavaScript heap',
    grows: ['heapMb'],
    plant: () => {
      const kept: number[][] = []
      return { onJob: ({ key }) => void kept.push(Array.from({ length: 2000 }, (_, index) => key + index / 2)) }
    },
  },
  {
    name: 'never removes what is over, so that its file grows',
    grows: ['fileMb', 'usedPages'],
    plant: () => ({ retain: Infinity }),
  },
  {
    name: 'leaves threads behind',
    grows: ['threads'],
    plant: () => ({ onRound: () => void new Worker('setInterval(() => undefined, 1000)', { eval: true }) }),
  },
  {
    name: 'leaves readers behind, which hold on to old states of its store',
    grows: ['readers', 'fileMb', 'freePages'],
    plant: () => {
      const held: LmdbEngine[] = []
      return {
        onRound: async (round, { path }) => {
          if (round % ROUNDS_A_READER > 0) return
          held.push(await openLmdbEngine(path, { durability: 'disk', clock: systemClock, readOnly: true }))
        },
      }
    },
  },
  {
    name: 'leaves a file open with each round',
    grows: ['files'],
    plant: () => ({ onRound: () => void openSync(devNull, 'r') }),
  },
  {
    name: 'leaves a timer running with each round',
    grows: ['handles'],
    plant: () => ({ onRound: () => void setInterval(() => undefined, 60_000) }),
  },
  {
    name: 'lets one priority of a queue wait longer and longer',
    grows: ['waitMs bulk -1'],
    plant: () => {
      let lateMs = 0
      const enqueue = Executor.prototype.enqueue as Enqueue
      Executor.prototype.enqueue = function late(this: Executor, job, input, options = {}) {
        const { queue, priority, delay = 0 } = options
        const isLate = queue === 'bulk' && priority === -1
        return enqueue.call(this, job, input, isLate ? { ...options, delay: Number(delay) + lateMs } : options)
      } as Enqueue as Executor['enqueue']
      return { onRound: (round) => void (lateMs = Math.max(0, round - ROUND_LATE) * LATER_MS) }
    },
  },
  {
    name: 'gives an older backup for a new one',
    says: /^the copy: job .* was acknowledged, and is not in it/,
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
      return {}
    },
    rounds: 12,
  },
  {
    name: 'never comes to the end of a drain',
    says: /^it hung in drain of round 2:/,
    plant: () => ({
      onRound: () => void (Executor.prototype.drain = never),
    }),
    rounds: 2,
    silence: SHORT_SILENCE,
  },
  {
    name: 'never comes to the end of a close',
    says: /^it hung in close after round 2:/,
    plant: () => ({
      onRound: () => void (Executor.prototype.close = never),
    }),
    rounds: 2,
    silence: SHORT_SILENCE,
  },
]
