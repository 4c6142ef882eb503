import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { ByteWriter } from '../../../src/codec/byte-writer.js'
import { isSamePlain, readPayload, writePayload } from '../../../src/codec/payload.js'
import { withCode } from '../../support/executor.js'
import { createPrng, seedOfRun, type Prng } from '../../support/prng.js'

const NO_LIMIT = 2 ** 30

function encode(value: unknown, maxBytes = NO_LIMIT): Buffer {
  const writer = new ByteWriter(16)
  writePayload(writer, value, maxBytes, 'input')
  return writer.finish()
}

/** As a payload lies in a page: behind other bytes, before others, at any alignment. */
function embedded(bytes: Buffer, before: number): unknown {
  const page = Buffer.alloc(before + bytes.length + 5, 0xee)
  bytes.copy(page, before)
  const value = readPayload(page, before, before + bytes.length)
  // What was read does not live in the page: the page may go, or be another's.
  page.fill(0x11)
  return value
}

function assertRoundTrip(value: unknown, label?: string): void {
  const bytes = encode(value)
  for (const before of [0, 1, 3, 8]) assert.deepStrictEqual(embedded(bytes, before), value, label)
  const alone = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
  assert.deepStrictEqual(readPayload(Buffer.from(alone), 0, bytes.length, true), value, label)
}

const cycle: { self?: unknown; list: unknown[] } = { list: [] }
cycle.self = cycle
cycle.list.push(cycle)

function deep(levels: number): unknown {
  let value: unknown = 'bottom'
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { value }
  return value
}

const shared = { x: 1 }

const VALUES: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  true: true,
  'the empty string': '',
  zero: 0,
  'minus zero': -0,
  NaN,
  Infinity,
  '-Infinity': -Infinity,
  'the least number': Number.MIN_VALUE,
  'the greatest safe number': Number.MAX_SAFE_INTEGER,
  fractions: [0.1, 1e-7, 1e21, 1.7976931348623157e308],
  'a big number': 2n ** 200n,
  'a negative big number': -5n,
  'minus zero deep inside': { a: [{ b: -0 }] },
  'NaN deep inside': [{ a: NaN }],
  'undefined fields': { a: undefined, b: 1 },
  'an array of undefined': [undefined],
  'a sparse array': [, 1, , 2, ,],
  'an array of holes': Array.from({ length: 0 }, String).concat(Array(3) as string[]),
  'an empty object': {},
  'an empty array': [],
  'a __proto__ key': JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":2}'),
  'a __proto__ key beside a date': Object.defineProperty({ at: new Date(0) }, '__proto__', {
    value: 1,
    enumerable: true,
    configurable: true,
    writable: true,
  }),
  'an own key named then': { then: 1, length: -1, toJSON: 'no function' },
  'integer-like keys': { 2: 'b', 1: 'a', z: 1, '-1': 0 },
  latin1: 'Grüße, ÿ',
  'beyond latin1': '日本語 – €',
  'beyond the basic plane': '👩‍🚀 𝒳',
  'line separators': '\u2028\u2029\u0000\u001f\u007f\u0080',
  'half a surrogate pair': '\ud800',
  'half surrogate pairs in keys and values': { '\udfff': ['a\ud83d', '\ude00b'] },
  'half a surrogate pair beside a map': [new Map([['\ud800', '\udc00']])],
  'a date': new Date(1e12 + 0.4),
  'a date before the epoch': [new Date(-1)],
  'a regular expression': /a(b)?/giu,
  'a map with keys of every kind': new Map<unknown, unknown>([
    [{ a: 1 }, 1],
    [NaN, 2],
    [null, new Set([1, '1', [1]])],
  ]),
  'an empty map and set': [new Map(), new Set()],
  'boxed primitives': [new Number(1), new String('a'), new Boolean(false), Object(1n)],
  'an array buffer': new Uint8Array([1, 2, 3]).buffer,
  'bytes at the top': new Uint8Array([0, 255, 1]),
  'no bytes at the top': new Uint8Array(0),
  'a buffer at the top': Buffer.from('0001ff', 'hex'),
  'an empty buffer': Buffer.alloc(0),
  'a buffer inside': { body: Buffer.from('abc'), more: [Buffer.alloc(0), Buffer.from('x')] },
  'a view of a part': { part: new Uint8Array(new ArrayBuffer(64), 3, 5).fill(9) },
  'clamped bytes': new Uint8ClampedArray([1, 300]),
  'typed arrays': {
    a: 'x',
    i8: new Int8Array([-1]),
    i16: new Int16Array([-2, 3]),
    u16: new Uint16Array([65_535]),
    i32: new Int32Array([-4]),
    u32: new Uint32Array([2 ** 32 - 1]),
    f32: new Float32Array([1.5, NaN]),
    f64: new Float64Array([Math.PI, -0]),
    i64: new BigInt64Array([-5n]),
    u64: new BigUint64Array([2n ** 64n - 1n]),
    view: new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
  },
  'one object in two places': { left: shared, right: shared },
  'deeper than the plain walk goes': deep(200),
  'as deep as the plain walk goes': deep(64),
  'one level deeper': deep(66),
}

describe('a payload', () => {
  for (const [name, value] of Object.entries(VALUES)) it(`keeps ${name}`, () => assertRoundTrip(value, name))

  it('keeps cycles', () => {
    const read = embedded(encode(cycle), 3) as typeof cycle
    assert.equal(read.self, read)
    assert.equal(read.list[0], read)
  })

  it('keeps that one object is in two places when the value is not plain', () => {
    const read = embedded(encode({ left: shared, right: shared, at: new Date(0) }), 1) as { left: unknown; right: unknown }
    assert.equal(read.left, read.right)
  })

  it('keeps an error with its message and stack', () => {
    const error = new RangeError('far')
    const read = embedded(encode({ error }), 0) as { error: Error }
    assert.ok(read.error instanceof RangeError)
    assert.equal(read.error.message, 'far')
    assert.equal(read.error.stack, error.stack)
  })

  it('makes plain objects of class instances and of objects without a prototype', () => {
    class Point {
      x = 1
      #secret = 2
      get sum(): number {
        return this.x + this.#secret
      }
    }
    assert.deepStrictEqual(embedded(encode(new Point()), 2), { x: 1 })
    assert.deepStrictEqual(embedded(encode({ at: [new Point()] }), 2), { at: [{ x: 1 }] })
    assert.deepStrictEqual(embedded(encode(Object.assign(Object.create(null) as object, { a: 1 })), 2), { a: 1 })
  })

  it('keeps an invalid date', () => {
    const read = embedded(encode([new Date(NaN)]), 0) as Date[]
    assert.ok(read[0] instanceof Date && Number.isNaN(read[0].getTime()))
  })

  it('keeps the result of a match with its fields', () => {
    assertRoundTrip({ match: 'abc'.match(/b(c)/) })
  })

  it('takes a copy of what lies in shared memory', () => {
    const view = new Int32Array(new SharedArrayBuffer(8))
    view[1] = 5
    const bytes = encode({ view })
    view[1] = 6
    assert.deepEqual([...(embedded(bytes, 0) as { view: Int32Array }).view], [0, 5])
  })

  it('reads getters as their values', () => {
    assert.deepStrictEqual(
      embedded(
        encode({
          get a() {
            return 1
          },
        }),
        0,
      ),
      { a: 1 },
    )
  })

  it('keeps named fields of an array as structuredClone does', () => {
    const list = Object.assign([1, 2], { total: 3 })
    assert.deepStrictEqual(embedded(encode(list), 0), structuredClone(list))
    assert.deepStrictEqual(embedded(encode({ list }), 0), structuredClone({ list }))
  })

  it('pollutes no prototype', () => {
    embedded(encode(JSON.parse('{"__proto__":{"polluted":true}}')), 0)
    assert.equal((Object.prototype as { polluted?: boolean }).polluted, undefined)
  })

  it('gives views that can be written to and are aligned, whatever lay around them', () => {
    const value = { text: 'abc', floats: new Float64Array([1, 2, 3]) }
    for (let before = 0; before < 9; before++) {
      const { floats } = embedded(encode(value), before) as typeof value
      assert.equal(floats.byteOffset % 8, 0)
      floats[1] = 7
      assert.deepEqual([...floats], [1, 7, 3])
    }
  })

  it('keeps twenty megabytes of each kind', () => {
    const size = 20 * 2 ** 20
    const bytes = Buffer.alloc(size, 'pattern')
    assert.ok((embedded(encode(bytes), 1) as Buffer).equals(bytes))
    assert.ok((embedded(encode({ at: new Date(0), bytes }), 1) as { bytes: Buffer }).bytes.equals(bytes))
    const ascii = 'x'.repeat(size)
    assert.ok(embedded(encode(ascii), 1) === ascii)
    const wide = '日'.repeat(size / 4)
    assert.ok(embedded(encode([wide]), 1) instanceof Array)
    assert.ok((embedded(encode([wide]), 1) as string[])[0] === wide)
  })
})

/** A random structured-cloneable value. */
function randomValue(prng: Prng, depth: number): unknown {
  const leaves: (() => unknown)[] = [
    () => prng.below(100),
    () => (prng.next() - 0.5) * 10 ** prng.below(300),
    () => prng.pick([-0, NaN, Infinity, -Infinity, 0]),
    () => prng.pick([null, undefined, true, false]),
    () => BigInt(prng.below(1000)) ** BigInt(prng.below(20)),
    () => String.fromCharCode(...Array.from({ length: prng.below(8) }, () => prng.below(65_536))),
    () => new Date(prng.below(2 ** 31)),
    () => prng.bytes(prng.below(40)),
    () => new Uint8Array(prng.bytes(prng.below(40))),
    () => new Float64Array(Array.from({ length: prng.below(5) }, () => prng.next())),
    () => new Uint16Array(Array.from({ length: prng.below(5) }, () => prng.below(65_536))),
  ]
  if (depth === 0 || prng.below(3) === 0) return prng.pick(leaves)()
  const length = prng.below(6)
  const items = Array.from({ length }, () => randomValue(prng, depth - 1))
  switch (prng.below(4)) {
    case 0:
      return items
    case 1:
      return new Map(items.map((item) => [randomValue(prng, 0), item]))
    case 2:
      return new Set(items)
    default:
      return Object.fromEntries(
        items.map((item, index) => [prng.pick(['a', 'b', 'ключ', '0', 'x y', `k${index}`, '__proto__']), item]),
      )
  }
}

it('a payload keeps random values', (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const prng = createPrng(seed)
  for (let round = 0; round < 2000; round++) assertRoundTrip(randomValue(prng, 4), `seed ${seed}, round ${round}`)
})

describe('a payload that cannot be stored', () => {
  const port = new MessageChannel().port1
  port.close()
  const refused: readonly (readonly [string, unknown, RegExp])[] = [
    ['a function', () => 1, /input is a function/],
    ['a symbol', Symbol('s'), /input is a symbol/],
    ['a method', { a: { b: [1, { run() {} }] } }, /input\.a\.b\[1\]\.run is a function/],
    ['a symbol in an array', { list: [1, Symbol('s')] }, /input\.list\[1\] is a symbol/],
    ['a function under an odd key', { 'not a name': () => 1 }, /input\[not a name\] is a function/],
    ['a function in a map', { map: new Map([['key', () => 1]]) }, /input\.map\.key is a function/],
    ['a function in a set', [new Set([() => 1])], /input\[0\]\[0\] is a function/],
    ['a toJSON method', { toJSON: () => 1 }, /input\.toJSON is a function/],
    ['a promise', { p: Promise.resolve() }, /cannot be stored/],
    ['a weak map', new WeakMap(), /cannot be stored/],
    ['a message port', [port], /cannot be stored/],
    ['shared memory', new SharedArrayBuffer(8), /cannot be stored/],
    ['a class', { of: class {} }, /input\.of is a function/],
  ]
  for (const [name, value, message] of refused) {
    it(`names ${name}, and the writer is as before`, () => {
      const writer = new ByteWriter(16)
      writer.u32(7)
      assert.throws(() => writePayload(writer, value, NO_LIMIT, 'input'), withCode('MILLRACE_PAYLOAD_UNENCODABLE', message))
      assert.equal(writer.position, 4)
      assert.equal(writer.buffer.readUInt32LE(0), 7)
    })
  }

  it('tells what a getter threw', () => {
    const value = {
      get a(): never {
        throw new Error('no entry')
      },
      b: new Date(0),
    }
    assert.throws(() => encode(value), /no entry/)
  })

  it('calls an output an output', () => {
    assert.throws(
      () => writePayload(new ByteWriter(16), () => 1, NO_LIMIT, 'output'),
      /The job's output cannot be stored: output is/,
    )
  })
})

describe('the size limit', () => {
  const kinds: readonly (readonly [string, (bytes: number) => unknown])[] = [
    ['bytes', (bytes) => new Uint8Array(bytes)],
    ['a buffer', (bytes) => Buffer.alloc(bytes)],
    ['ascii', (bytes) => 'x'.repeat(bytes - 2)],
    ['two-byte characters', (bytes) => 'é'.repeat((bytes - 2) / 2)],
  ]
  for (const [name, make] of kinds) {
    it(`lets ${name} of exactly the limit through, and no byte more`, () => {
      assert.ok(encode(make(1000), 1000).length > 1000)
      const writer = new ByteWriter(16)
      writer.u8(1)
      assert.throws(
        () => writePayload(writer, make(1002), 1000, 'input'),
        withCode('MILLRACE_PAYLOAD_TOO_LARGE', /1002 bytes encoded, and limits\.payloadBytes is 1000/),
      )
      assert.equal(writer.position, 1)
    })
  }

  it('holds for structured clones too', () => {
    assert.throws(() => encode(new Map([['a', Buffer.alloc(2000)]]), 1000), withCode('MILLRACE_PAYLOAD_TOO_LARGE'))
  })
})

it('an unknown kind is a corrupt store', () => {
  assert.throws(() => readPayload(Buffer.of(99, 1, 2)), withCode('MILLRACE_STORE_CORRUPT', /unknown kind 99/))
  assert.equal(readPayload(Buffer.alloc(0)), undefined)
})

describe('whether a schema changed anything', () => {
  it('is never denied when something differs', (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    for (let round = 0; round < 5000; round++) {
      const [left, right] = [randomValue(prng, 2), randomValue(prng, 2)]
      if (!isSamePlain(left, right)) continue
      assert.deepStrictEqual(left, right, `seed ${seed}, round ${round}`)
    }
  })

  it('is seen in the small', () => {
    const same: [unknown, unknown][] = [
      [{ a: [1, 'x', null] }, { a: [1, 'x', null] }],
      [{}, {}],
      [[], []],
    ]
    for (const [left, right] of same) assert.equal(isSamePlain(left, right), true)
    const different: [unknown, unknown][] = [
      [{ a: 1 }, { a: 1, b: undefined }],
      [{ a: undefined }, {}],
      [{ a: undefined }, { b: undefined }],
      [{ a: 0 }, { a: -0 }],
      [[], {}],
      [{ a: new Date(0) }, { a: new Date(0) }],
      [{ a: 1 }, Object.create({ a: 1 })],
      [{ a: 1 }, { a: '1' }],
      [[1], [1, 2]],
      [null, {}],
    ]
    for (const [left, right] of different) assert.equal(isSamePlain(left, right), false, JSON.stringify([left, right]))
  })

  it('is never denied for an object that a schema may change in place', () => {
    // The very same object: only if nothing in it could have lost its class on the way to the store.
    class Money {
      amount = 1
    }
    const money = { price: new Money() }
    assert.equal(isSamePlain(money, money), false)
    const date = { at: new Date(0) }
    assert.equal(isSamePlain(date, date), false)
  })
})
