/** Bags of options made at random: known and unknown keys, hostile values, bags in bags. Whatever they are, what is thrown is ours. */
import { createPrng, type Prng } from '../../support/prng.js'
import { HOSTILE } from './hostile.js'
import { faultOf } from './judge.js'
import { echo, type World } from './world.js'

const KEYS = [
  'queue',
  'priority',
  'maxRetries',
  'backoff',
  'timeout',
  'softTimeout',
  'weight',
  'limit',
  'rate',
  'per',
  'delay',
  'runAt',
  'unique',
  'key',
  'while',
  'within',
  'onConflict',
  'type',
  'base',
  'max',
  'jitter',
]
const MORE_KEYS = [
  'path',
  'jobs',
  'queues',
  'retain',
  'limits',
  'recycle',
  'env',
  'age',
  'completed',
  'state',
  'limit',
  'grace',
  'name',
  'payloads',
  'reason',
]
const ODD_KEYS = ['__proto__', 'constructor', 'maxRetry', 'Queue', '', 'toString']

function bag(prng: Prng, depth: number, told: string[]): object {
  const made: object = {}
  for (let left = prng.below(4) + 1; left > 0; left--) {
    const key = prng.pick(prng.pick([KEYS, MORE_KEYS, ODD_KEYS]))
    const isNested = depth < 3 && prng.below(3) === 0
    const { name, make } = prng.pick(HOSTILE)
    told.push(`${'.'.repeat(depth)}${key}: ${isNested ? 'a bag' : name}`)
    const value = isNested ? bag(prng, depth + 1, told) : make()
    Object.defineProperty(made, key, { value, enumerable: true, configurable: true, writable: true })
  }
  return made
}

/** Where a bag is given. None of them can be taken as it is but by chance, so only how they refuse is judged. */
const CALLS: Readonly<Record<string, (world: World, bag: object) => unknown>> = {
  enqueue: ({ executor }, given) => executor.enqueue(echo, 1, given),
  enqueueMany: ({ executor }, given) => executor.enqueueMany(echo, [1], given),
  list: ({ executor }, given) => executor.list(given).next(),
  defineJob: ({ library }, given) => library.defineJob(given),
  RetryError: ({ library }, given) => new library.RetryError('why', given),
  openExecutor: ({ library }, given) => library.openExecutor({ ...given, jobs: 5 }),
}

export async function tryGenerated(world: World, seed: number, rounds: number): Promise<string[]> {
  const wrong: string[] = []
  for (let round = 0; round < rounds; round++) {
    const prng = createPrng(seed + round)
    const name = prng.pick(Object.keys(CALLS))
    const told: string[] = []
    const given = bag(prng, 0, told)
    try {
      await CALLS[name]?.(world, given)
    } catch (thrown) {
      const fault = faultOf(thrown)
      if (fault !== undefined) wrong.push(`seed ${seed + round}, ${name}({ ${told.join(', ').slice(0, 300)} }): ${fault}`)
    }
  }
  return wrong
}
