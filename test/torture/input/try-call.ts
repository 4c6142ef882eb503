/** Tries one call with one value, and says what was wrong with how it ended. */
import type { Call } from './call.js'
import type { Hostile } from './hostile.js'
import { faultOf } from './judge.js'
import { pollution, stored, type World } from './world.js'

interface Ending {
  readonly how: 'took' | 'threw' | 'rejected'
  readonly error?: unknown
}

async function end({ call }: Call, world: World, value: unknown): Promise<Ending> {
  let returned: unknown
  try {
    returned = call(world, value)
  } catch (error) {
    return { how: 'threw', error }
  }
  try {
    await returned
    return { how: 'took' }
  } catch (error) {
    return { how: 'rejected', error }
  }
}

/** One line for each thing that was wrong; they begin with the call and the value. */
export async function tryCall(call: Call, { name, make }: Hostile, world: World): Promise<string[]> {
  const wrong: string[] = []
  const tell = (what: string): void => void wrong.push(`${call.name} with ${name}: ${what}`)
  const value = make()
  // Asked with a value of its own: an iterator may be used up by it.
  const takes = call.takes(make())
  const before = pollution()
  const jobs = takes ? 0 : await stored(world.executor)
  const { how, error } = await end(call, world, value)
  if (how === 'took' && !takes) tell('was taken in silence')
  if (how !== 'took' && takes) tell(`was refused: ${faultOf(error) ?? (error as Error).message}`)
  if (how !== 'took' && !takes) {
    const fault = faultOf(error)
    if (fault !== undefined && !(call.passes === true && error instanceof Error)) tell(fault)
    if ((how === 'threw') !== (call.refuses === 'throws')) tell(`${how}, and ${call.refuses} is what it says`)
    const now = await stored(world.executor)
    if (now !== jobs) tell(`was refused, and the store went from ${jobs} jobs to ${now}`)
  }
  const polluted = pollution().filter((key) => !before.includes(key))
  if (polluted.length > 0) tell(`left ${polluted.join(', ')}`)
  return wrong
}
