import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_INSTANT } from '../../src/base/limits.js'
import { Problems } from '../../src/base/problems.js'
import { backoffDelayMs, checkBackoff, DEFAULT_BACKOFF, type BackoffFailure, type BackoffSource } from '../../src/job/backoff.js'

const error = { name: 'Error', message: 'no' }
const failure = (retry: number): BackoffFailure => ({ retry, error, input: { wait: 7 } })
const random = (value = 0) => ({ next: () => value })
const delays = (backoff: BackoffSource, retries = 5) =>
  Array.from({ length: retries }, (_, index) => backoffDelayMs(backoff, failure(index + 1), random()).delayMs)

function check(value: unknown): { backoff: unknown; message: string } {
  const problems = new Problems()
  const backoff = checkBackoff(value, 'backoff', problems)
  let message = ''
  try {
    problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'no')
  } catch (thrown) {
    message = (thrown as Error).message
  }
  return { backoff, message }
}

test('the formulas', () => {
  assert.deepEqual(delays(DEFAULT_BACKOFF), [2000, 4000, 8000, 16_000, 32_000])
  assert.deepEqual(delays({ type: 'exponential' }), delays(DEFAULT_BACKOFF))
  assert.deepEqual(delays({ type: 'exponential', base: 3 }, 3), [3000, 9000, 27_000])
  assert.deepEqual(delays({ type: 'fixed', delay: '1.5s' }, 2), [1500, 1500])
  assert.deepEqual(delays({ type: 'linear', step: '10s' }, 3), [10_000, 20_000, 30_000])
  assert.deepEqual(
    delays({ type: 'custom', delay: ({ retry, input }) => retry * (input as { wait: number }).wait }, 3),
    [7, 14, 21],
  )
})

test('the cap comes before the jitter', () => {
  const backoff = { type: 'exponential', max: '5s', jitter: 0.5 } as const
  assert.equal(backoffDelayMs(backoff, failure(9), random(0)).delayMs, 5000)
  assert.equal(backoffDelayMs(backoff, failure(9), random(0.5)).delayMs, 3750)
  assert.equal(backoffDelayMs({ ...backoff, jitter: 1 }, failure(9), random(0.999)).delayMs, 5)
  assert.deepEqual(delays({ type: 'fixed', delay: '1s', max: Infinity }, 1), [1000])
})

test('nothing overflows', () => {
  for (const retry of [60, 1024, 1e9, Number.MAX_SAFE_INTEGER]) {
    for (const backoff of [
      { type: 'exponential', jitter: 1 },
      { type: 'exponential', base: Number.MAX_VALUE },
      { type: 'linear', step: Number.MAX_VALUE },
      { type: 'custom', delay: () => Infinity },
    ] as const) {
      const { delayMs, problem } = backoffDelayMs(backoff, failure(retry), random(0))
      assert.equal(delayMs, MAX_INSTANT)
      assert.equal(problem, undefined)
    }
  }
  assert.equal(backoffDelayMs({ type: 'exponential', jitter: 1 }, failure(5000), random(1)).delayMs, 0)
  assert.equal(backoffDelayMs({ type: 'exponential', base: 0.5 }, failure(5000), random()).delayMs, 0)
})

test('a custom function that fails falls back to the default and says so', () => {
  const bad: [() => unknown, RegExp][] = [
    [
      () => {
        throw new TypeError('oh')
      },
      /threw TypeError: oh/,
    ],
    [
      () => {
        throw undefined
      },
      /threw undefined/,
    ],
    [() => NaN, /returned NaN \(number\)/],
    [() => -1, /returned -1/],
    [() => '5 parsecs', /'5 parsecs' \(string\)/],
    [async () => 5, /an object \(Promise\)/],
    [() => undefined, /returned undefined/],
  ]
  for (const [delay, message] of bad) {
    const answer = backoffDelayMs({ type: 'custom', delay: delay as () => number, jitter: 1 }, failure(3), random(0.9))
    assert.equal(answer.delayMs, 8000)
    assert.match(answer.problem ?? '', message)
  }
})

test('a source that is a function of the input is asked, and may fail too', () => {
  assert.deepEqual(
    delays((input) => ({ type: 'fixed', delay: (input as { wait: number }).wait }), 2),
    [7, 7],
  )
  assert.deepEqual(
    delays(() => ({ type: 'custom', delay: () => '3s' }), 1),
    [3000],
  )
  const thrown = backoffDelayMs(
    () => {
      throw new Error('oh')
    },
    failure(1),
    random(),
  )
  assert.deepEqual([thrown.delayMs, /threw Error: oh/.test(thrown.problem ?? '')], [2000, true])
  const nonsense = backoffDelayMs(() => 5, failure(1), random())
  assert.deepEqual([nonsense.delayMs, /no usable backoff/.test(nonsense.problem ?? '')], [2000, true])
})

test('checkBackoff normalises to ms and freezes', () => {
  const { backoff } = check({ type: 'fixed', delay: '5s', max: '1m', jitter: 0.1 })
  assert.deepEqual(backoff, { type: 'fixed', delay: 5000, max: 60_000, jitter: 0.1 })
  assert.ok(Object.isFrozen(backoff))
  assert.deepEqual(check({ type: 'exponential', max: Infinity, jitter: 0 }).backoff, { type: 'exponential', base: 2 })
})

test('checkBackoff names what is wrong', () => {
  const bad: [unknown, RegExp][] = [
    [5, /backoff: 5 \(number\) is not a backoff/],
    [null, /null is not a backoff/],
    [{}, /backoff\.type: undefined/],
    [{ type: 'expo' }, /backoff\.type: 'expo'/],
    [{ type: 'fixed' }, /backoff\.delay: undefined is not a duration/],
    [{ type: 'fixed', delay: Infinity }, /backoff\.delay: Infinity/],
    [{ type: 'linear', step: '5 parsecs' }, /backoff\.step: '5 parsecs' \(string\)/],
    [{ type: 'exponential', base: 0 }, /backoff\.base: 0 \(number\) is not a finite number above 0/],
    [{ type: 'exponential', base: NaN }, /backoff\.base: NaN/],
    [{ type: 'custom', delay: '5s' }, /backoff\.delay: '5s' \(string\) is not a function/],
    [{ type: 'fixed', delay: 1, jitter: 1.1 }, /backoff\.jitter: 1\.1/],
    [{ type: 'fixed', delay: 1, max: -1 }, /backoff\.max: -1/],
    [{ type: 'fixed', delay: 1, jiter: 1 }, /backoff\.jiter: is not a known field; did you mean 'jitter'\?/],
    [{ type: 'linear', step: 1, base: 2 }, /backoff\.base: is not a known field/],
    [
      {
        get type() {
          throw new Error('boo')
        },
      },
      /backoff\.type: reading it threw Error: boo/,
    ],
  ]
  for (const [value, message] of bad) {
    const checked = check(value)
    assert.equal(checked.backoff, undefined)
    assert.match(checked.message, message)
  }
})
