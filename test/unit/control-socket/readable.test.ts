/** Payloads as JSON for people, and lines of a bounded length. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineReader } from '../../../src/control-socket/line-reader.js'
import { readable } from '../../../src/control-socket/readable.js'

test('what JSON cannot hold is written as it can', () => {
  const cyclic: Record<string, unknown> = { a: 1 }
  cyclic['self'] = cyclic
  const value = {
    date: new Date(0),
    bytes: Buffer.alloc(5),
    map: new Map([['k', 1n]]),
    set: new Set(['x']),
    nan: Number.NaN,
    nothing: undefined,
    cyclic,
  }
  assert.deepEqual(readable(value), {
    value: {
      date: '1970-01-01T00:00:00.000Z',
      bytes: '(5 bytes)',
      map: [['k', '1n']],
      set: ['x'],
      nan: 'NaN',
      nothing: null,
      cyclic: { a: 1, self: '(itself, further up)' },
    },
    isCut: false,
  })
})

test('what is long or deep is cut, whatever it is', () => {
  let deep: unknown = 1
  for (let level = 0; level < 10_000; level++) deep = [deep]
  const long: readonly unknown[] = [
    'x'.repeat(100_000),
    Array.from({ length: 100_000 }, () => 1),
    Array.from({ length: 100_000 }, () => []),
    Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`key-${index}`, index])),
    new Map(Array.from({ length: 50_000 }, (_, index) => [index, index])),
    deep,
  ]
  for (const value of long) {
    const shown = readable(value, 1000)
    assert.equal(shown.isCut, true)
    assert.ok(JSON.stringify(shown.value).length < 4000)
  }
  assert.equal(readable('x'.repeat(1000), 1000).isCut, false)
})

test('lines, however they are cut into pieces', () => {
  const text = Buffer.from('{"a":"ä"}\n\nthird\nrest')
  for (let size = 1; size <= text.length; size++) {
    const reader = new LineReader(100)
    const lines: string[] = []
    for (let from = 0; from < text.length; from += size) {
      reader.push(text.subarray(from, from + size))
      for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line)
    }
    assert.deepEqual(lines, ['{"a":"ä"}', '', 'third'])
    assert.equal(reader.isOverlong, false)
  }
})

test('a line that does not end is overlong, also when it comes in single bytes', () => {
  const reader = new LineReader(5000)
  for (let bytes = 0; bytes < 5000; bytes++) reader.push(Buffer.of(120))
  assert.equal(reader.isOverlong, false)
  reader.push(Buffer.of(120))
  assert.equal(reader.isOverlong, true)
})
