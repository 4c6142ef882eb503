/** One round of calls, payloads and bags of options over a library, which may be a spoilt one. */
import { CALLS } from './calls.js'
import { CLOSE_CALLS } from './calls-open.js'
import { tryContext } from './context-calls.js'
import { shareOf } from './context-job.js'
import { tryGenerated } from './generated.js'
import { VALUES } from './hostile.js'
import { tryPayloads } from './payloads.js'
import { tryCall } from './try-call.js'
import { untried } from './untried.js'
import { echo, inWorld, type Library, type World } from './world.js'

export interface Extent {
  readonly seed: number
  /** Each call is tried with one value in so many; 1: with every one. */
  readonly stride: number
  /** Bags of options made at random. */
  readonly generated: number
}

interface Attacked {
  readonly wrong: readonly string[]
  /** How many calls there were, those of the handler included. */
  readonly calls: number
}

/** Every call with its share of the values, another one for each call; and how many there were. */
async function tryCalls(world: World, { seed, stride }: Extent): Promise<Attacked> {
  const wrong: string[] = []
  let calls = 0
  for (const [index, call] of CALLS.entries()) {
    for (const value of shareOf(VALUES, seed + index, stride)) {
      wrong.push(...(await tryCall(call, value, world)))
      calls++
    }
  }
  for (const [index, call] of CLOSE_CALLS.entries()) {
    for (const value of shareOf(VALUES, seed + index, stride)) {
      const executor = await world.library.openExecutor({ path: ':memory:', jobs: [], threads: 1 })
      const own = { ...world.library.loosen(executor), counts: world.executor.counts }
      wrong.push(...(await tryCall(call, value, { ...world, executor: own, opened: executor })))
      await executor.close({ grace: 0 })
      calls++
    }
  }
  const inHandler = await tryContext(world, { seed, stride })
  wrong.push(...inHandler.wrong, ...(await untried(world, inHandler.callable)))
  return { wrong, calls: calls + inHandler.calls }
}

/** After all that the executor must still do its work. */
export async function stillWorks({ executor }: World): Promise<string[]> {
  const job = await executor.enqueue(echo, 'still there')
  return (await job.result()) === 'still there' ? [] : ['the executor does not work any more']
}

/** One round of everything over a library, which may be a spoilt one. */
export async function attack(library: Library, extent: Extent): Promise<Attacked> {
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
