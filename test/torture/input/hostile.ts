/** Values that no caller should give and somebody does: the table that every argument of every call is tried with. */

const HUGE = 'huge '.repeat(200_000)

/** A value with a name for messages; made anew for each call, because some can be used up. */
export interface Hostile {
  readonly name: string
  readonly make: () => unknown
}

function thrower(): never {
  throw new RangeError('a trap of the caller')
}

const TRAPS: readonly (keyof ProxyHandler<object>)[] = ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf']

function throwingProxy(target: object): object {
  return new Proxy(target, Object.fromEntries(TRAPS.map((trap) => [trap, thrower])))
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

function cyclic(): object {
  const value: { self?: unknown; list: unknown[] } = { list: [] }
  value.self = value
  value.list.push(value.list)
  return value
}

export function nested(depth: number): unknown {
  let value: unknown = 'bottom'
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { value }
  return value
}

/** Says that it is a built-in, and throws when it is used as one. */
function impostor(tag: string): object {
  return { [Symbol.toStringTag]: tag, toString: thrower, valueOf: thrower, [Symbol.toPrimitive]: thrower }
}

const EMPTY_PROTOTYPE: unknown = null

export const HOSTILE: readonly Hostile[] = [
  ...[null, true, false, 0, -0, 1, -1, 1.5, 127, 128, 2 ** 31, 2 ** 53, 8.7e15, 1e300, NaN, Infinity, -Infinity, 5n].map(
    (value) => ({ name: Object.is(value, -0) ? '-0' : `${String(value)} (${typeof value})`, make: () => value }),
  ),
  ...[
    '',
    ' ',
    'x',
    '15s',
    '-1s',
    '1e3s',
    'default',
    'a\0b',
    'two\nlines',
    '\u001b[31m',
    '\ud800',
    '__proto__',
    'constructor',
  ].map((text) => ({ name: `the string ${JSON.stringify(text)}`, make: () => text })),
  { name: 'a string of a million characters', make: () => HUGE },
  { name: 'a bigint of 30,000 digits', make: () => 10n ** 30_000n },
  { name: 'a symbol', make: () => Symbol('of the caller') },
  { name: 'a symbol with a huge description', make: () => Symbol(HUGE) },
  { name: 'a function', make: () => () => HUGE.length },
  { name: 'a class', make: () => class Caller {} },
  { name: 'an empty array', make: () => [] },
  { name: 'an array of 20,000 bad entries', make: () => Array.from({ length: 20_000 }, (_, index) => ({ index })) },
  { name: 'a sparse array', make: () => Object.assign([], { length: 50 }) },
  {
    name: 'an object of 2,000 unknown keys',
    make: () => Object.fromEntries(Array.from({ length: 2000 }, (_, key) => [`k${key}`, 1])),
  },
  { name: 'an object with a huge key', make: () => ({ [HUGE]: 1 }) },
  {
    name: 'an object without prototype',
    make: () => Object.assign(Object.create(EMPTY_PROTOTYPE as null) as object, { unknown: 1 }),
  },
  ...['__proto__', 'constructor', 'prototype'].map((key) => ({
    name: `an object with its own ${key}`,
    make: (): unknown => JSON.parse(`{"${key}":{"polluted":true,"toString":1}}`),
  })),
  { name: 'a Date', make: () => new Date(1_700_000_000_000) },
  { name: 'an invalid Date', make: () => new Date(NaN) },
  { name: 'a regular expression', make: () => /x/ },
  { name: 'a Map', make: () => new Map([['unknown', 1]]) },
  { name: 'a promise', make: () => Promise.resolve(1) },
  { name: 'a WeakMap', make: () => new WeakMap() },
  { name: 'a proxy whose traps throw', make: () => throwingProxy({}) },
  { name: 'a proxy of an array whose traps throw', make: () => throwingProxy([]) },
  { name: 'a revoked proxy', make: () => revoked({}) },
  { name: 'a revoked proxy of an array', make: () => revoked([]) },
  { name: 'a revoked proxy of a function', make: () => revoked(() => undefined) },
  { name: 'an object whose toString throws', make: () => ({ toString: thrower }) },
  { name: 'an object whose toPrimitive throws', make: () => ({ [Symbol.toPrimitive]: thrower }) },
  ...['Date', 'URL', 'Module', 'Promise'].map((tag) => ({ name: `an impostor of ${tag}`, make: () => impostor(tag) })),
  { name: 'an object whose tag throws', make: () => Object.defineProperty({}, Symbol.toStringTag, { get: thrower }) },
  { name: 'an object whose constructor throws', make: () => Object.defineProperty({}, 'constructor', { get: thrower }) },
  { name: 'an error whose message throws', make: () => Object.defineProperty(new Error('x'), 'message', { get: thrower }) },
  { name: 'an iterable that throws', make: () => ({ [Symbol.iterator]: thrower }) },
  { name: 'an iterable of nothing', make: () => ({ [Symbol.iterator]: () => ({ next: () => 5 }) }) },
  { name: 'a cyclic object', make: cyclic },
  { name: 'a value nested 20,000 deep', make: () => nested(20_000) },
  { name: 'a Uint8Array', make: () => new Uint8Array(3) },
  { name: 'a view of shared memory', make: () => new Uint8Array(new SharedArrayBuffer(8)) },
  { name: 'a view of a buffer detached later', make: detachedView },
]

/** All of them, and what is left out. */
export const VALUES: readonly Hostile[] = [{ name: 'undefined', make: () => undefined }, ...HOSTILE]

export function detachedView(): Uint8Array {
  const buffer = new ArrayBuffer(16)
  const view = new Uint8Array(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return view
}
