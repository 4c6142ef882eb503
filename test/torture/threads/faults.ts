/** Faults planted into the dispatcher from outside, by methods put in the place of its own for as long as a run lasts. */
import type { Worker } from 'node:worker_threads'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import { PoolThread } from '../../../src/dispatcher/pool-thread.js'
import { ReadyQueue } from '../../../src/scheduler/ready-queue.js'
import { good, loop } from '../../fixtures/torture/victims.js'
import type { PlantedFault } from '../rung.js'
import { Arena, completes } from './arena.js'
import { memoryStorm } from './memory-storm.js'
import { leaks, remains } from './remains.js'
import { STORMS, runStorm } from './storms.js'
import { terminations } from './terminations.js'

const WANTED = 12
const CHARGE_ROUNDS = 20

/** Puts `method` in the place of a class's own while `run` goes on. */
async function planted<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  method: (own: Owner[Name]) => Owner[Name],
  run: () => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const own = owner[name]
  owner[name] = method(own)
  try {
    return await run()
  } finally {
    owner[name] = own
  }
}

async function load(seed: number): Promise<readonly string[]> {
  return (await terminations(WANTED, seed, () => undefined)).violations
}

/** Ends what a planted fault has left behind. */
async function endingThreads(run: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const workers: Worker[] = []
  const listener = (worker: Worker): void => void workers.push(worker)
  process.on('worker', listener)
  try {
    return await run()
  } finally {
    process.off('worker', listener)
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

const charges: PlantedFault = {
  name: 'charges an innocent batch-mate for a thread that ended',
  run: async ({ seed }) => {
    let charged = 0
    return await planted(
      Dispatcher.prototype,
      'collect',
      (own) =>
        function collect(this: Dispatcher) {
          for (const { batch } of this.batches) {
            const { control, end, limit } = batch
            if (end?.kind !== 'died' || control.taken !== control.finished || limit <= control.taken) continue
            // As if the thread had been at a job that it had not begun.
            control.take(0)
            if (end.cause === undefined) charged++
          }
          return own.call(this)
        },
      async () => {
        const seen: string[] = []
        // Whether a batch-mate still waits in a thread that ends by itself is a matter of the moment.
        for (let round = 0; charged === 0 && round < CHARGE_ROUNDS; round++) seen.push(...(await load(seed + round)))
        return seen
      },
    )
  },
}

const forgets: PlantedFault = {
  name: 'does not count a termination',
  run: ({ seed }) =>
    planted(
      Dispatcher.prototype,
      'collect',
      (own) =>
        function collect(this: Dispatcher) {
          return own.call(this).map((collected) => {
            const { end } = collected.batch
            if (end?.kind === 'died' && end.cause === undefined) collected.batch.end = { ...end, cause: 'recycle' }
            return collected
          })
        },
      () => load(seed),
    ),
}

const leaksThread: PlantedFault = {
  name: 'leaves a thread behind when it closes',
  run: () =>
    endingThreads(() =>
      planted(
        PoolThread.prototype,
        'destroy',
        () => async () => undefined,
        async () => {
          const before = await remains()
          const arena = await Arena.open({ jobs: [good] })
          const job = await arena.executor.enqueue(good, { n: 1 })
          arena.expect(job.id, completes(1))
          await arena.drained()
          await arena.judge()
          await arena.close()
          return [...arena.violations, ...leaks(before, await remains())]
        },
      ),
    ),
}

const wasteful: PlantedFault = {
  name: 'ends a second thread for each one that a job ended',
  run: ({ seed }) =>
    planted(
      Dispatcher.prototype,
      'collect',
      (own) =>
        function collect(this: Dispatcher) {
          const all = own.call(this)
          if (all.some(({ batch }) => batch.end?.kind === 'died')) this.slots.find(({ isIdle }) => isIdle)?.recycle()
          return all
        },
      () => load(seed),
    ),
}

const starves: PlantedFault = {
  name: 'lets a queue of bad jobs go before another one',
  run: async () => {
    const storm = STORMS.find(({ job }) => job.name === loop.name)
    const bad = new Set<ReadyQueue>()
    return await planted(
      ReadyQueue.prototype,
      'admits',
      (own) =>
        function admits(this: ReadyQueue, slot: number) {
          if (this.name === 'bad') bad.add(this)
          if (this.name === 'good' && [...bad].some(({ hasWork, held }) => hasWork || held.size > 0)) return false
          return own.call(this, slot)
        },
      async () => (storm === undefined ? [] : (await runStorm(storm, 5)).violations),
    )
  },
}

const unwatched: PlantedFault = {
  name: 'does not look at its memory',
  run: async () => (await memoryStorm(1, false)).violations,
}

export const FAULTS: readonly PlantedFault[] = [charges, forgets, leaksThread, wasteful, starves, unwatched]
