/**
 * Quarantine: jobs that take the whole process down, among innocents in flight. The process is started again each time, as a supervisor
 * does; in the end exactly the guilty are quarantined, and no innocent is charged an attempt or a crash.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../src/base/clock.js'
import { openExecutor, type JobInfo } from '../../../src/index.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { poison, POISONS, type Poison } from '../../fixtures/torture/poison.js'
import { createPrng } from '../../support/prng.js'
import { checkStore } from '../../support/store-check.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/torture/poisoned-program.js', import.meta.url))
const INNOCENTS = 24
const MAX_CRASHES = 3
/** Faults planted into the program that is started again: see `fixtures/torture/poisoned-program`. */
type Fault = 'none' | 'charges-innocents' | 'not-alone' | 'not-counted'

export interface Ordeal {
  readonly poisons: readonly Poison[]
  readonly seed: number
  readonly fault?: Fault
}

/** One store, from the enqueue to the first process that ends by itself. */
export async function ordeal({ poisons, seed, fault = 'none' }: Ordeal): Promise<RungReport> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-torture-'))
  const violations: string[] = []
  const random = createPrng(seed)
  const places = Array.from({ length: INNOCENTS }, (_, n) => n)
  const inputs: (Poison | number)[] = [...places]
  for (const guilty of poisons) inputs.splice(random.below(inputs.length), 0, guilty)
  // Once in company, then alone each; and one more, that a death between two claims cannot make it too many.
  const most = poisons.length * (MAX_CRASHES + 1) + 1
  let deaths = 0
  let isOver = false
  while (!isOver && deaths <= most) {
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=128', PROGRAM, path, JSON.stringify(deaths === 0 ? inputs : []), fault],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2000)))
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (code === 0) isOver = true
    else if (signal === null && code !== 134) {
      violations.push(`the process ended with exit code ${code}: ${stderr}`)
      break
    } else deaths++
  }
  if (!isOver && violations.length === 0)
    violations.push(`the process died ${deaths} times, and ${most} are enough for any blame`)
  violations.push(...(await judge(path, poisons.length)))
  await rm(path, { recursive: true, force: true })
  return { figures: { deaths, guilty: poisons.length, innocents: INNOCENTS }, violations }
}

async function judge(path: string, guilty: number): Promise<string[]> {
  const found: string[] = []
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  found.push(...checkStore(engine, { keepsAll: true, crashed: true }).map((problem) => `store: ${problem}`))
  await engine.close()
  // No definition is here: nothing runs while it is looked at, and nothing is blamed at open any more.
  const executor = await openExecutor({
    path,
    jobs: [],
    threads: 1,
    maxCrashes: Infinity,
    retain: { jobs: Infinity, age: Infinity },
  })
  let jobs = 0
  for await (const info of executor.list()) {
    jobs++
    found.push(...(info.name === poison.name ? guiltyOne(info) : innocentOne(info)))
  }
  if (jobs !== INNOCENTS + guilty) found.push(`${jobs} jobs are stored, ${INNOCENTS + guilty} were enqueued`)
  await executor.close({ grace: 0 })
  return found
}

function guiltyOne({ id, state, crashes, error }: JobInfo): string[] {
  const is = `${state}, ${crashes} crashes, ${error?.code ?? 'no error'}`
  return is === `discarded, ${MAX_CRASHES} crashes, MILLRACE_QUARANTINED` ? [] : [`guilty ${id} is ${is}`]
}

function innocentOne({ id, state, crashes, attempt, attempts }: JobInfo): string[] {
  const outcomes = attempts.map(({ outcome }) => outcome)
  const isUncharged =
    attempt === 1 && crashes === 0 && outcomes.every((outcome) => outcome === 'interrupted' || outcome === 'completed')
  return state === 'completed' && isUncharged
    ? []
    : [`innocent ${id} is ${state}, attempt ${attempt}, ${crashes} crashes, ${outcomes.join()}`]
}

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const until = performance.now() + minutes * 60_000
  const random = createPrng(seed)
  const violations: string[] = []
  let ordeals = 0
  let deaths = 0
  do {
    const poisons = Array.from({ length: 1 + random.below(4) }, () => random.pick(POISONS))
    const report = await ordeal({ poisons, seed: seed + ordeals })
    ordeals++
    deaths += Number(report.figures['deaths'])
    violations.push(...report.violations.map((violation) => `${poisons.join()}: ${violation}`))
    progress(`${ordeals} ordeals, ${deaths} deaths`)
  } while (violations.length === 0 && performance.now() < until)
  return { figures: { ordeals, deaths }, violations }
}

function planted(name: string, fault: Fault): PlantedFault {
  return { name, run: async ({ seed }) => (await ordeal({ poisons: ['abort', 'kill'], seed, fault })).violations }
}

export const rung: Rung = {
  name: 'poison',
  summary: 'jobs that take the process down: exactly they are quarantined, and no innocent is charged',
  defaultMinutes: 5,
  run,
  faults: [
    planted('charges innocents for a crash', 'charges-innocents'),
    planted('does not run suspects alone', 'not-alone'),
    planted('does not count crashes', 'not-counted'),
  ],
}
