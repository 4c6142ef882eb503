/** Inputs that are hard to store: each comes back as it was, or is refused in words that do not tell what it was. */
import { isDeepStrictEqual } from 'node:util'
import { detachedView, nested, type Hostile } from './hostile.js'
import { faultOf, shown } from './judge.js'
import { checked, echo, PAYLOAD_BYTES, pollution, stored, type World } from './world.js'

/** Is in every payload, and in no error. */
const SECRET = 'sesame-4711'

interface Payload extends Hostile {
  readonly ends: 'back' | 'refused'
}

function back(name: string, make: () => unknown): Payload {
  return { name, make, ends: 'back' }
}

function refused(name: string, make: () => unknown): Payload {
  return { name, make, ends: 'refused' }
}

function thrower(): never {
  throw new Error('a getter of the caller')
}

function ring(): object {
  const value: { secret: string; self?: unknown } = { secret: SECRET }
  value.self = value
  return value
}

const PAYLOADS: readonly Payload[] = [
  ...['__proto__', 'constructor', 'prototype', 'toJSON', 'then', 'hasOwnProperty'].map((key) =>
    back(`own ${key}`, () => JSON.parse(`{"${key}":{"polluted":"${SECRET}"},"list":[{"${key}":1}]}`) as unknown),
  ),
  back('own __proto__ beside a Date', () =>
    Object.assign(JSON.parse(`{"__proto__":{"polluted":1}}`) as object, { at: new Date(5) }),
  ),
  ...[-0, NaN, Infinity, 10n ** 200n, '', '\ud800 alone', 'a\0b', null, undefined, true].map((value) =>
    back(`the value ${Object.is(value, -0) ? '-0' : shown(value)}`, () => ({ value, SECRET })),
  ),
  back('a cycle', ring),
  back('a sparse array', () => Object.assign([], { length: 9, 4: SECRET })),
  back('a Map and a Set', () => new Map<unknown, unknown>([[{ SECRET }, new Set([1, [2]])]])),
  back('a resizable buffer', () =>
    new Uint8Array(Reflect.construct(ArrayBuffer, [8, { maxByteLength: 64 }]) as ArrayBuffer).slice(),
  ),
  back('shared memory, viewed', () => new Uint8Array(new SharedArrayBuffer(8))),
  back('nested 500 deep', () => nested(500)),
  back('as large as may be', () => 'x'.repeat(PAYLOAD_BYTES - 2)),
  refused('larger than may be', () => SECRET.repeat(PAYLOAD_BYTES)),
  refused('a large Map', () => new Map([[SECRET, SECRET.repeat(PAYLOAD_BYTES)]])),
  refused('large bytes', () => Buffer.alloc(PAYLOAD_BYTES + 1)),
  refused('nested 200,000 deep', () => nested(200_000)),
  refused('a function', () => ({ run: () => 'sesame-4711' })),
  refused('a symbol', () => [Symbol(SECRET)]),
  refused('a promise', () => ({ SECRET, value: Promise.resolve(SECRET) })),
  refused('a WeakMap', () => [SECRET, new WeakMap()]),
  refused('shared memory', () => ({ SECRET, value: new SharedArrayBuffer(8) })),
  refused('a detached view', detachedView),
  refused('a detached view in an object', () => ({ SECRET, view: detachedView(), at: new Date() })),
  refused('a getter that throws', () => Object.defineProperty({ SECRET }, 'x', { get: thrower, enumerable: true })),
  refused('a getter beside a Date', () =>
    Object.defineProperty({ SECRET, at: new Date() }, 'x', { get: thrower, enumerable: true }),
  ),
  refused('a proxy', () => ({ SECRET, value: new Proxy({ at: new Date() }, {}) })),
  refused('a proxy that throws', () => ({ SECRET, value: new Proxy({}, { ownKeys: thrower, getPrototypeOf: thrower }) })),
]

/** What went wrong with inputs of `echo`, and with those that a schema refuses; each alone and as the third of three. */
export async function tryPayloads(world: World): Promise<string[]> {
  const wrong: string[] = []
  const clean = pollution()
  for (const payload of PAYLOADS) {
    for (const many of [false, true]) {
      const fault = await tryPayload(world, payload, many)
      if (fault !== undefined) wrong.push(`a payload (${payload.name}${many ? ', of many' : ''}): ${fault}`)
    }
  }
  for (const say of ['refuse', 'throw', 'many', 'nothing', 'later']) {
    const before = await stored(world.executor)
    const error = await outcomeOf(world.executor.enqueueMany(checked, [{ text: 'fine' }, { text: SECRET, say }]))
    const fault = 'output' in error ? 'was taken' : faultOf(error.thrown, SECRET)
    if (fault !== undefined) wrong.push(`a schema that says ${say}: ${fault}`)
    if ((await stored(world.executor)) !== before) wrong.push(`a schema that says ${say}: something was stored`)
  }
  const polluted = pollution().filter((key) => !clean.includes(key))
  if (polluted.length > 0) wrong.push(`payloads left ${polluted.join(', ')}`)
  return wrong
}

async function outcomeOf(call: Promise<unknown>): Promise<{ output: unknown } | { thrown: unknown }> {
  try {
    return { output: await call }
  } catch (thrown) {
    return { thrown }
  }
}

async function tryPayload({ executor }: World, { make, ends }: Payload, many: boolean): Promise<string | undefined> {
  const value = make()
  const before = await stored(executor)
  const call = many ? executor.enqueueMany(echo, [1, 2, value]).then(([, , job]) => job) : executor.enqueue(echo, value)
  const outcome = await outcomeOf(call.then((job) => job?.result()))
  if ('output' in outcome) {
    if (ends === 'refused') return 'was taken in silence'
    return isDeepStrictEqual(outcome.output, make()) ? undefined : `came back as ${shown(outcome.output)}`
  }
  if (ends === 'back') return `was refused: ${shown(outcome.thrown)}`
  if ((await stored(executor)) !== before) return 'was refused, and something was stored'
  const { message } = outcome.thrown as Error
  if (many && !message.includes('input 2')) return `does not say which input it was: ${message}`
  return faultOf(outcome.thrown, SECRET)
}
