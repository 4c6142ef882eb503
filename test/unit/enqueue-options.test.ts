import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMillraceError } from '../../src/base/errors.js'
import { MAX_INSTANT } from '../../src/base/limits.js'
import { backoffDelayMs } from '../../src/job/backoff.js'
import { compiledDefinition, defineJob, type CompiledDefinition, type JobDefinition } from '../../src/job/define-job.js'
import { compileEnqueueOptions, type EnqueueOptions } from '../../src/options/enqueue-options.js'
import { effectiveSettings } from '../../src/job/effective-settings.js'
import { resolveEnqueue } from '../../src/options/resolve-enqueue.js'

const module = import.meta.url
const now = 1_700_000_000_000

function compiled(definition: JobDefinition): CompiledDefinition {
  return compiledDefinition(definition) ?? assert.fail()
}

const plain = compiled(defineJob({ name: 'plain', module, queue: 'images', priority: 3, run() {} }))
const varying = compiled(
  defineJob({
    name: 'varying',
    module,
    queue: (input) => input.q,
    priority: (input) => input.p,
    maxRetries: (input) => input.n,
    timeout: (input) => `${input.n}s`,
    run(input: { q: string; p: number; n: number }) {
      return input
    },
  }),
)

const resolve = (definition: CompiledDefinition, input: unknown, options?: EnqueueOptions) =>
  resolveEnqueue(definition, input, compileEnqueueOptions(options), now)

function refused(act: () => unknown): string {
  try {
    act()
  } catch (thrown) {
    assert.ok(isMillraceError(thrown, 'MILLRACE_INVALID_OPTIONS'), String(thrown))
    return thrown.message
  }
  assert.fail('was not refused')
}

test('without options and functions the answer is one shared frozen object', () => {
  const first = resolve(plain, 1)
  assert.deepEqual(first, { queue: 'images', priority: 3, runAt: undefined, overrides: undefined })
  assert.equal(resolve(plain, 2), first)
  assert.ok(Object.isFrozen(first))
})

test('options override the definition, and only they are stored', () => {
  const options = compileEnqueueOptions({
    queue: 'q',
    priority: -1,
    maxRetries: Infinity,
    timeout: '1m',
    backoff: { type: 'fixed', delay: '1s' },
  })
  const first = resolveEnqueue(plain, 1, options, now)
  assert.deepEqual(first, {
    queue: 'q',
    priority: -1,
    runAt: undefined,
    overrides: { maxRetries: Infinity, timeoutMs: 60_000, backoff: { type: 'fixed', delay: 1000 } },
  })
  assert.equal(resolveEnqueue(plain, 2, options, now).overrides, first.overrides)
  assert.equal(resolve(plain, 1, { priority: 5 }).overrides, undefined)
  assert.deepEqual(resolve(plain, 1, {}), resolve(plain, 1))
})

test('functions of the input: called with it, beaten by options, stored', () => {
  const input = { q: 'a', p: 2, n: 7 }
  assert.deepEqual(resolve(varying, input), {
    queue: 'a',
    priority: 2,
    runAt: undefined,
    overrides: { maxRetries: 7, timeoutMs: 7000 },
  })
  assert.deepEqual(resolve(varying, input, { queue: 'b', timeout: 5, softTimeout: 2 }), {
    queue: 'b',
    priority: 2,
    runAt: undefined,
    overrides: { maxRetries: 7, timeoutMs: 5, softTimeoutMs: 2 },
  })
  const uncalled = compiled(defineJob({ name: 'u', module, queue: () => assert.fail(), run() {} }))
  assert.equal(resolve(uncalled, 1, { queue: 'given' }).queue, 'given')
})

test('functions of the input that fail are named, all of them', () => {
  const message = refused(() => resolve(varying, { q: 5, p: NaN, n: -1 }))
  assert.match(message, /^A job of 'varying' cannot be enqueued:/)
  assert.match(message, /queue \(the definition's function of the input\): 5 \(number\)/)
  assert.match(message, /priority .*NaN/)
  assert.match(message, /maxRetries .*-1/)
  assert.match(message, /timeout .*'-1s'/)
  assert.match(
    refused(() => resolve(varying, undefined)),
    /queue .*threw TypeError/,
  )
  const undefinedQueue = compiled(defineJob({ name: 'u', module, queue: (() => undefined) as unknown as () => string, run() {} }))
  assert.match(
    refused(() => resolve(undefinedQueue, 1)),
    /undefined is not a name/,
  )
})

test('custom backoffs are not stored: refused in options, a mark from a function', () => {
  const custom = { type: 'custom', delay: () => '3s' as const } as const
  assert.match(
    refused(() => compileEnqueueOptions({ backoff: custom })),
    /backoff: a function cannot be stored.*put the custom backoff on the definition/,
  )
  const definition = compiled(defineJob({ name: 'c', module, backoff: () => custom, run() {} }))
  const { overrides } = resolve(definition, 1)
  assert.deepEqual(overrides, { backoff: { type: 'definition' } })
  const { backoff } = effectiveSettings(definition, overrides)
  assert.equal(
    backoffDelayMs(backoff, { retry: 1, error: { name: 'E', message: '' }, input: 1 }, { next: () => 0 }).delayMs,
    3000,
  )
  assert.deepEqual(effectiveSettings(undefined, overrides).backoff, { type: 'exponential', base: 2 })
})

test('delay and runAt', () => {
  const runAt = (options: EnqueueOptions) => resolve(plain, 1, options).runAt
  assert.equal(runAt({ delay: '5m' }), now + 300_000)
  assert.equal(runAt({ delay: 0.2 }), now + 1)
  assert.equal(runAt({ delay: 0 }), undefined)
  assert.equal(runAt({ delay: MAX_INSTANT * 2 }), MAX_INSTANT)
  assert.equal(runAt({ runAt: now + 5 }), now + 5)
  assert.equal(runAt({ runAt: new Date(now + 5) }), now + 5)
  for (const past of [now, now - 1, 0, -1, new Date(0)]) assert.equal(runAt({ runAt: past }), undefined)
  const options = compileEnqueueOptions({ delay: 10 })
  assert.deepEqual([resolveEnqueue(plain, 1, options, 0).runAt, resolveEnqueue(plain, 1, options, 5).runAt], [10, 15])
})

test('every problem of the options comes in one error', () => {
  const message = refused(() =>
    compileEnqueueOptions({
      dely: 1,
      queue: 'a\tb',
      priority: 128,
      maxRetries: 0.5,
      timeout: -1,
      delay: Infinity,
      runAt: new Date(NaN),
    }),
  )
  for (const line of [
    /^The enqueue options cannot be used:\n/,
    /dely: is not a known field; did you mean 'delay'\?/,
    /queue: .*control characters/,
    /priority: 128 \(number\)/,
    /maxRetries: 0\.5/,
    /timeout: -1/,
    /delay: Infinity/,
    /runAt: an invalid Date/,
    /runAt: is given together with delay/,
  ])
    assert.match(message, line)
  for (const runAt of ['2030-01-01', NaN, Infinity, 5n, {}]) {
    assert.match(
      refused(() => compileEnqueueOptions({ runAt })),
      /runAt: .* is not a valid Date or a number of epoch ms/,
    )
  }
  for (const options of [null, 5, [], 'x'])
    assert.match(
      refused(() => compileEnqueueOptions(options)),
      /is not an object/,
    )
  assert.equal(compileEnqueueOptions(undefined), undefined)
})

test('timeouts must fit together, wherever they come from', () => {
  const soft = compiled(defineJob({ name: 'soft', module, timeout: '10s', softTimeout: '5s', run() {} }))
  assert.match(
    refused(() => resolve(soft, 1, { timeout: '2s' })),
    /'soft'.*softTimeout: 5 s is not shorter than the timeout, 2 s/,
  )
  assert.match(
    refused(() => resolve(soft, 1, { softTimeout: '10s' })),
    /10 s is not shorter/,
  )
  assert.match(
    refused(() => compileEnqueueOptions({ timeout: 1, softTimeout: 2 })),
    /2 ms is not shorter/,
  )
  const { overrides } = resolve(soft, 1, { timeout: '2s', softTimeout: Infinity })
  assert.deepEqual(overrides, { timeoutMs: 2000, softTimeoutMs: Infinity })
  assert.equal(effectiveSettings(soft, overrides).softTimeoutMs, undefined)
})

test('effectiveSettings: stored over constant over default', () => {
  const defaults = {
    maxRetries: 5,
    timeoutMs: 15_000,
    softTimeoutMs: undefined,
    startBefore: undefined,
    backoff: { type: 'exponential', base: 2 },
    weight: 1,
  }
  assert.deepEqual(effectiveSettings(undefined, undefined), defaults)
  assert.deepEqual(effectiveSettings(varying, undefined), defaults)
  const constants = compiled(
    defineJob({ name: 'k', module, maxRetries: 1, timeout: 9, softTimeout: 3, backoff: { type: 'fixed', delay: 1 }, run() {} }),
  )
  assert.deepEqual(effectiveSettings(constants, undefined), {
    maxRetries: 1,
    timeoutMs: 9,
    softTimeoutMs: 3,
    startBefore: undefined,
    backoff: { type: 'fixed', delay: 1 },
    weight: 1,
  })
  assert.deepEqual(
    effectiveSettings(constants, { maxRetries: 0, timeoutMs: Infinity, softTimeoutMs: 4, backoff: { type: 'linear', step: 2 } }),
    {
      maxRetries: 0,
      timeoutMs: Infinity,
      softTimeoutMs: 4,
      startBefore: undefined,
      backoff: { type: 'linear', step: 2 },
      weight: 1,
    },
  )
})

const keyed = compiled(
  defineJob({
    name: 'keyed',
    module,
    unique: { key: (input) => input.key, within: '1m' },
    run(input: { key: string }) {
      return input
    },
  }),
)

test('a unique key comes from the option, else from the definition, and is stored with its span', () => {
  const defined = { key: 'a', while: 'incomplete', withinMs: 60_000, onConflict: 'return', tellsWhen: false }
  const first = resolve(keyed, { key: 'a' })
  assert.deepEqual([first.unique, first.overrides], [defined, { unique: { key: 'a', while: 'incomplete' } }])
  const second = resolve(keyed, { key: 'a' }, { unique: { key: 'b', while: 'kept', onConflict: 'reject' }, maxRetries: 1 })
  const given = { key: 'b', while: 'kept', withinMs: 0, onConflict: 'reject', tellsWhen: false }
  assert.deepEqual([second.unique, second.overrides], [given, { maxRetries: 1, unique: { key: 'b', while: 'kept' } }])
  const third = resolve(plain, 1, { unique: { key: 'ä'.repeat(256), onConflict: 'debounce' }, delay: 5 })
  assert.deepEqual([third.unique?.onConflict, third.unique?.tellsWhen, third.runAt], ['debounce', true, now + 5])
  for (const options of [{ delay: 0 }, { runAt: 0 }])
    assert.equal(resolve(keyed, { key: 'a' }, options).unique?.tellsWhen, true, 'at once is a time too')
  assert.equal(resolve(plain, 1, { delay: 5 }).unique, undefined)
})

test('everything wrong with a unique key is told at once', () => {
  const message = refused(() =>
    compileEnqueueOptions({ unique: { key: '', while: 'runing', within: '2h', onConflict: 'ignore', keys: 1 }, delay: -1 }),
  )
  for (const part of [
    /delay: -1 \(number\) is not a duration/,
    /unique\.keys: is not a known field; did you mean 'key'\?/,
    /unique\.key: '' \(string\) is not a key: a string of 1 to 512 bytes/,
    /unique\.while: 'runing' \(string\) is not one of waiting, incomplete, kept/,
    /unique\.onConflict: 'ignore' \(string\) is not one of return, replace, reject, debounce/,
  ])
    assert.match(message, part)
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ['a', /unique: 'a' \(string\) is not an object; known fields are key, while, within, onConflict/],
    [{ key: () => 'a' }, /unique\.key: a function is not a key/],
    [{ key: 'ä'.repeat(257) }, /it has 514 bytes as UTF-8, the limit is 512; give a hash of it/],
    [{ key: 'a\ud800' }, /half a surrogate pair/],
    [{ key: 'a', within: '53w' }, /unique\.within: '53w' \(string\) is not a duration of at most 365 d/],
    [{ key: 'a', within: 0 }, /unique\.within: 0 \(number\) is not a duration above 0/],
    [{ key: 'a', within: Infinity }, /unique\.within: Infinity/],
    [{ key: 'a', onConflict: 'debounce' }, /delay: is missing/],
  ]
  for (const [unique, expected] of cases)
    assert.match(
      refused(() => compileEnqueueOptions({ unique })),
      expected,
    )
})

test('a function that gives no key is refused', () => {
  const message = refused(() => resolve(keyed, { key: 5 }))
  assert.match(
    message,
    /A job of 'keyed' cannot be enqueued: unique\.key \(the definition's function of the input\): 5 \(number\)/,
  )
  assert.match(
    refused(() => resolve(keyed, undefined)),
    /threw TypeError/,
  )
  assert.equal(resolve(keyed, undefined, { unique: { key: 'b' } }).unique?.key, 'b', 'an option needs no function')
})
