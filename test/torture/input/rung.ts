/**
 * The input rung: every argument of every public call with values nobody should give; payloads that are hard to store;
 * bad paths; the command line.
 */
import type { Rung, RungOptions, RungReport } from '../rung.js'
import { CALLS, CLOSE_CALLS, openCalls } from './calls.js'
import { tryCommandLine } from './command-line.js'
import { FAULTS, unpollute } from './faults.js'
import { tryGenerated } from './generated.js'
import { HOSTILE, type Hostile } from './hostile.js'
import { tryPaths } from './paths.js'
import { tryPayloads } from './payloads.js'
import { tryModes, trySecrets } from './privacy.js'
import { tryReadOnly } from './read-only.js'
import { tryCall } from './try-call.js'
import { echo, inWorld, REAL, type Library, type World } from './world.js'

const VALUES: readonly Hostile[] = [{ name: 'undefined', make: () => undefined }, ...HOSTILE]
const GENERATED_AT_ONCE = 500
const RANDOM_LINES = 100

interface Extent {
  readonly seed: number
  /** Each call is tried with one value in so many; 1: with every one. */
  readonly stride: number
  /** Bags of options made at random. */
  readonly generated: number
}

/** Every call with its share of the values, and how many there were. */
async function tryCalls(world: World, { seed, stride }: Extent): Promise<{ wrong: string[]; calls: number }> {
  const wrong: string[] = []
  let calls = 0
  const share = (): Hostile[] => VALUES.filter((_, index) => (index + seed + calls) % stride === 0)
  for (const call of [...CALLS, ...openCalls()]) {
    for (const value of share()) wrong.push(...(await tryCall(call, value, world)))
    calls++
  }
  for (const call of CLOSE_CALLS) {
    for (const value of share()) {
      const executor = await world.library.openExecutor({ path: ':memory:', jobs: [], threads: 1 })
      const own = { ...world.library.loosen(executor), counts: world.executor.counts }
      wrong.push(...(await tryCall(call, value, { ...world, executor: own })))
      await executor.close({ grace: 0 })
    }
    calls++
  }
  return { wrong, calls: Math.floor((calls * VALUES.length) / stride) }
}

/** After all that the executor must still do its work. */
async function stillWorks({ executor }: World): Promise<string[]> {
  const job = await executor.enqueue(echo, 'still there')
  return (await job.result()) === 'still there' ? [] : ['the executor does not work any more']
}

/** One round of everything over a library, which may be a spoilt one. */
export async function attack(library: Library, extent: Extent): Promise<{ wrong: string[]; calls: number }> {
  let calls = 0
  const wrong: string[] = []
  const left = await inWorld(library, async (world) => {
    const tried = await tryCalls(world, extent)
    calls = tried.calls
    wrong.push(...tried.wrong, ...(await tryPayloads(world)), ...(await tryGenerated(world, extent.seed, extent.generated)))
    wrong.push(...(await stillWorks(world)))
  })
  return { wrong: [...wrong, ...left], calls }
}

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const end = performance.now() + minutes * 60_000
  const first = await attack(REAL, { seed, stride: 1, generated: GENERATED_AT_ONCE })
  progress(`${first.calls} calls, ${first.wrong.length} violations`)
  const commands = await tryCommandLine({ seed, stride: 1, random: RANDOM_LINES })
  progress(`${commands.lines} command lines, ${commands.wrong.length} violations`)
  const readOnly = await tryReadOnly()
  if (readOnly.leftOut !== undefined) progress(readOnly.leftOut)
  const violations = [first, commands, readOnly].flatMap(({ wrong }) => wrong)
  for (const attempt of [tryPaths, tryModes, trySecrets]) violations.push(...(await attempt()))
  let generated = GENERATED_AT_ONCE
  await inWorld(REAL, async (world) => {
    while (performance.now() < end) {
      violations.push(...(await tryGenerated(world, seed + generated, GENERATED_AT_ONCE)))
      generated += GENERATED_AT_ONCE
      if (generated % 5000 === 0) progress(`${generated} bags of options, ${violations.length} violations`)
    }
    violations.push(...(await stillWorks(world)))
  })
  const figures = { 'calls with hostile values': first.calls, 'bags of options': generated, 'command lines': commands.lines }
  return { figures, violations }
}

export const rung: Rung = {
  name: 'input',
  summary: 'bad arguments, payloads and paths get a clear error of ours and leave nothing half done; every call with every value',
  defaultMinutes: 2,
  run,
  faults: FAULTS.map(({ name, library }) => ({
    name,
    run: async ({ seed }) => (await attack(library, { seed, stride: 20, generated: 0 }).finally(unpollute)).wrong,
  })),
}
