/** Spans, rates and tables as the commands print them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDistance, formatInstant, formatRate, formatSpan } from '../../../src/cli/shell/format.js'
import { cutText, tableLines, textWidth } from '../../../src/cli/shell/table.js'

const plain = (_style: string, text: string): string => text

test('spans of any length', () => {
  const spans: readonly (readonly [number | null | undefined, string])[] = [
    [undefined, '–'],
    [null, '–'],
    [Infinity, '∞'],
    [0, '0ms'],
    [12.4, '12ms'],
    [999.4, '999ms'],
    [999.6, '1.0s'],
    [3449, '3.4s'],
    [9960, '10s'],
    [59_940, '60s'],
    [59_960, '1m 00s'],
    [303_000, '5m 03s'],
    [3_600_000, '1h 00m'],
    [8_040_000, '2h 14m'],
    [273_600_000, '3d 04h'],
  ]
  for (const [ms, text] of spans) assert.equal(formatSpan(ms), text, String(ms))
})

test('distances, instants, rates', () => {
  assert.equal(formatDistance(1000, 4400), '3.4s ago')
  assert.equal(formatDistance(4400, 1000), 'in 3.4s')
  assert.equal(formatDistance(undefined, 0), '–')
  assert.equal(formatInstant(Date.UTC(2026, 4, 1, 12, 34, 56, 789)), '2026-05-01 12:34:56Z')
  assert.deepEqual([0, 0.44, 9.94, 9.96, 1234.4].map(formatRate), ['0', '0.4', '9.9', '10', '1,234'])
})

test('the width of text: wide characters, marks that have none', () => {
  assert.deepEqual(['abc', '日本', 'e\u0301', '🙂'].map(textWidth), [3, 4, 1, 2])
  assert.equal(cutText('abcdef', 4), 'abc…')
  assert.equal(cutText('日本語', 4), '日…')
  assert.equal(cutText('abc', 3), 'abc')
  assert.equal(cutText('abc', 0), '')
})

test('a table: columns as wide as what is in them, numbers to the right, no steering of the terminal', () => {
  const columns = [{ title: 'NAME' }, { title: 'JOBS', align: 'right' as const }, { title: 'SAYS' }]
  const rows = [
    ['a', '1', 'x\u001B[2Jy'],
    ['日本', '12,345', 'long enough to be cut'],
  ]
  assert.deepEqual(tableLines(columns, rows, plain), [
    'NAME    JOBS  SAYS',
    'a          1  x\uFFFD[2Jy',
    '日本  12,345  long enough to be cut',
  ])
  for (const line of tableLines(columns, rows, plain, 17)) assert.ok(textWidth(line) <= 17, line)
  for (const line of tableLines(columns, rows, plain, 3)) assert.ok(textWidth(line) <= 3, line)
})

test('colours are put around what was measured', () => {
  const paint = (style: string, text: string): string => `<${style}>${text}</>`
  const lines = tableLines([{ title: 'A' }, { title: 'B' }], [[{ text: 'x', style: 'red' }, 'y']], paint)
  assert.deepEqual(lines, ['<dim>A</>  <dim>B</>', '<red>x</>  y'])
})
