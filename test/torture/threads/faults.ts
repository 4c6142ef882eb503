/** Faults planted into the dispatcher from outside, by methods put in the place of its own for as long as a run lasts. */
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { BatchControl } from '../../../src/codec/batch-control.js'
import { Dispatcher } from '../../../src/dispatcher/dispatcher.js'
import { PoolThread } from '../../../src/dispatcher/pool-thread.js'
import { Turns } from '../../../src/executor/turns.js'
import { ReadyQueue } from '../../../src/scheduler/ready-queue.js'
import { planted } from '../../support/planted.js'
import { good, loop, native } from '../../fixtures/torture/victims.js'
import type { PlantedFault } from '../rung.js'
import { Arena, completes } from './arena.js'
import { leases } from './leases.js'
import { memoryStorm } from './memory-storm.js'
import { leaks, remains } from './remains.js'
import { STORMS, runStorm } from './storms.js'
import { terminations } from './terminations.js'

const WANTED = 12
const CHARGE_ROUNDS = 20

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
  seenBy: /attempts are/,
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
            Object.defineProperty(control, 'taken', { value: control.taken + 1 })
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
  seenBy: /interrupted/,
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
  seenBy: /leak: \d+ threads/,
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
  seenBy: /threads ended/,
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

/** Does `each` for every thread that ends while `run` goes on. */
async function withEach(each: () => void, run: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const listener = (worker: Worker): void => void worker.once('exit', each)
  process.on('worker', listener)
  try {
    return await run()
  } finally {
    process.off('worker', listener)
  }
}

async function leftBy(seed: number): Promise<readonly string[]> {
  const before = await remains()
  const violations = await load(seed)
  return [...violations, ...leaks(before, await remains(), Infinity)]
}

const KEPT_BYTES = 8 * 1024 * 1024

const keepsMemory: PlantedFault = {
  name: 'keeps some memory of every thread that ended',
  seenBy: /leak: \d+ MiB/,
  run: async ({ seed }) => {
    const kept: Buffer[] = []
    const seen = await withEach(
      () => kept.push(Buffer.alloc(KEPT_BYTES, 1)),
      () => leftBy(seed),
    )
    return kept.length > 0 ? seen : []
  },
}

const keepsFiles: PlantedFault = {
  name: 'keeps a file of every thread that ended',
  seenBy: /leak: \d+ open files/,
  run: async ({ seed }) => {
    const kept: number[] = []
    try {
      return await withEach(
        () => kept.push(openSync(devNull, 'r')),
        () => leftBy(seed),
      )
    } finally {
      for (const file of kept) closeSync(file)
    }
  },
}

const spins: PlantedFault = {
  name: 'turns on and on with nothing to do',
  seenBy: /spins/,
  run: async () => {
    const [storm] = STORMS
    let isOn = true
    return await planted(
      Turns.prototype,
      'poke',
      (own) =>
        function poke(this: Turns) {
          own.call(this)
          if (isOn) setImmediate(() => this.poke())
        },
      async () => {
        try {
          return storm === undefined ? [] : (await runStorm(storm, 1)).violations
        } finally {
          isOn = false
        }
      },
    )
  },
}

const starves: PlantedFault = {
  name: 'lets a queue of bad jobs go before another one',
  seenBy: /starved/,
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

/** The job that came back runs in another thread, and in this one too. */
const keepsOn: PlantedFault = {
  name: 'lets a thread go on with jobs that were taken back',
  seenBy: /ran \d+ times/,
  run: () =>
    planted(
      BatchControl.prototype,
      'steal',
      () =>
        function steal(this: BatchControl) {
          return this.taken
        },
      async () => (await leases(1)).violations,
    ),
}

const impatient: PlantedFault = {
  name: 'retries a job before the thread of its last run is gone',
  seenBy: /ran twice at the same time/,
  run: () =>
    endingThreads(() =>
      planted(
        PoolThread.prototype,
        'destroy',
        (own) =>
          function destroy(this: PoolThread) {
            void own.call(this)
            return Promise.resolve()
          },
        async () => (await leases(1)).violations,
      ),
    ),
}

const powerless: PlantedFault = {
  name: 'does not stop what it told to stop',
  seenBy: /JavaScript was not stopped/,
  run: ({ seed }) =>
    endingThreads(() =>
      planted(
        PoolThread.prototype,
        'terminate',
        () => () => undefined,
        () => load(seed),
      ),
    ),
}

const generous: PlantedFault = {
  name: 'replaces more stuck threads than it may',
  seenBy: /threads at once/,
  run: async () => {
    const storm = STORMS.find(({ job }) => job.name === native.name)
    if (storm === undefined) return []
    // Held for so long that each is still there when the next one is stuck.
    const input = (): number => 3 * (storm.input?.() ?? 0)
    return (await runStorm({ ...storm, input, options: { maxStuckThreads: storm.jobs } }, 1)).violations
  },
}

const unwatched: PlantedFault = {
  name: 'does not look at its memory',
  seenBy: /memory: /,
  run: async () => (await memoryStorm(1, false)).violations,
}

export const FAULTS: readonly PlantedFault[] = [
  keepsMemory,
  keepsFiles,
  spins,
  charges,
  forgets,
  leaksThread,
  wasteful,
  starves,
  keepsOn,
  impatient,
  powerless,
  generous,
  unwatched,
]
