import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseDuration } from '../../src/base/duration.js'

test('parseDuration reads numbers of ms and strings with a unit', () => {
  const cases: [unknown, number][] = [
    [0, 0],
    [1.5, 1.5],
    [Infinity, Infinity],
    ['0s', 0],
    ['250ms', 250],
    ['15s', 15_000],
    ['15 s', 15_000],
    ['1.1m', 66_000],
    ['.5h', 1_800_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
  ]
  for (const [value, ms] of cases) assert.equal(parseDuration(value), ms, String(value))
  assert.ok(Object.is(parseDuration(-0), 0))
})

test('parseDuration refuses everything else', () => {
  const refused: unknown[] = [
    '',
    ' ',
    '5',
    '5 parsecs',
    '-5s',
    's',
    '5  s',
    ' 5s',
    '5s ',
    '5S',
    '1e3s',
    '0x5s',
    'Infinitys',
    '1,5s',
    '1h30m',
    '.s',
    `${'9'.repeat(400)}s`,
    NaN,
    -1,
    -Infinity,
    5n,
    null,
    undefined,
    true,
    {},
    [],
    [5],
    new Date(0),
    () => 5,
    Symbol('5s'),
    { valueOf: () => 5 },
  ]
  for (const value of refused) assert.equal(parseDuration(value), undefined, typeof value === 'string' ? value : typeof value)
})

test('formatDuration picks the unit a reader would', () => {
  const cases: [number, string][] = [
    [0, '0 ms'],
    [0.5, '0.5 ms'],
    [250, '250 ms'],
    [1001, '1001 ms'],
    [15_000, '15 s'],
    [66_000, '1.1 m'],
    [100_000, '100 s'],
    [5_400_000, '1.5 h'],
    [86_400_000, '1 d'],
    [604_800_000, '1 w'],
    [Infinity, 'no limit'],
  ]
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text)
})
