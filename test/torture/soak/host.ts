/**
 * The process that works: the load round by round, and a sample between two of them. A process of its own, so that every run begins
 * with the same memory and files, whatever ran before, and so that one that hangs can be ended.
 *
 * Argument: a `HostConfig` as JSON. Tells its parent by `lines`.
 */
import { FAULTS, type Planted } from './faults.js'
import { tell } from './lines.js'
import { Load } from './load.js'
import { takeSample } from './samples.js'

/** It goes on until both are over. */
export interface Extent {
  readonly rounds: number
  readonly seconds: number
}

export interface HostConfig extends Extent {
  readonly seed: number
  readonly directory: string
  /** By name. */
  readonly fault?: string | undefined
}

/** Samples of a whole run, and the longest time between two. */
const SAMPLES = 120
const LONGEST_STEP_MS = 5000
/** Rounds after which the store is closed and opened again. */
const ROUNDS_OPEN = 25
/** Between two lines that say that jobs ended. */
const ENDED_EVERY_MS = 500

const config = JSON.parse(process.argv[2] ?? '') as HostConfig
const fault = FAULTS.find(({ name }) => name === config.fault)
if (config.fault !== undefined && fault === undefined) throw new RangeError(`there is no fault '${config.fault}'`)
// While nothing else keeps the process alive a promise that never settles would end it, and is to be seen as what it is.
const alive = setInterval(() => undefined, 60_000)
await work(config, fault?.plant() ?? {})
clearInterval(alive)
// What a fault leaves behind keeps the process alive. Anything else that does hangs, and is seen.
if (fault !== undefined) process.exit(0)

async function work({ seed, directory, rounds, seconds }: HostConfig, { onRound, ...planted }: Planted): Promise<void> {
  const onViolation = (text: string): void => tell({ is: 'violation', text })
  const load = new Load({ seed, directory, onStep: steps(), onViolation, ...planted })
  const began = performance.now()
  const elapsedMs = (): number => performance.now() - began
  const stepMs = Math.min((seconds * 1000) / SAMPLES, LONGEST_STEP_MS)
  let samples = 0
  let openings = 1
  let round = 1
  await load.open()
  for (; round <= rounds || elapsedMs() < seconds * 1000; round++) {
    await load.round()
    await onRound?.(round, load)
    // Between rounds, so that every sample sees the same: nothing in flight.
    if (elapsedMs() >= samples * stepMs) {
      tell({ is: 'sample', sample: takeSample(load, elapsedMs() / 1000) })
      samples++
    }
    if (round % ROUNDS_OPEN === 0) {
      await load.close()
      await load.open()
      openings++
    }
  }
  await load.close()
  tell({ is: 'at', stage: 'its end, with everything closed' })
  tell({ is: 'done', figures: { rounds: round - 1, openings, jobs: load.jobs, ...load.ended, copies: load.copies } })
}

/** Tells each stage, and now and then that jobs end. */
function steps(): (stage?: string) => void {
  let toldAt = -Infinity
  return (stage) => {
    if (stage !== undefined) return tell({ is: 'at', stage })
    const now = performance.now()
    if (now - toldAt < ENDED_EVERY_MS) return
    toldAt = now
    tell({ is: 'ended' })
  }
}
