import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'
import { test } from 'node:test'
import { z } from 'zod'
import { isMillraceError } from '../../src/base/errors.js'
import { DEFAULT_BACKOFF } from '../../src/job/backoff.js'
import { compiledDefinition, defineJob, handlerOf } from '../../src/job/define-job.js'

const module = import.meta.url
const define = defineJob as (spec: unknown) => unknown

function refused(spec: unknown): string {
  try {
    define(spec)
  } catch (thrown) {
    assert.ok(isMillraceError(thrown, 'MILLRACE_INVALID_DEFINITION'), String(thrown))
    return thrown.message
  }
  assert.fail('was not refused')
}

test('the least definition has the documented defaults', () => {
  const run = () => 1
  const definition = defineJob({ name: 'least', module, run })
  assert.ok(Object.isFrozen(definition))
  assert.equal(definition.name, 'least')
  const compiled = compiledDefinition(definition)
  assert.ok(Object.isFrozen(compiled))
  assert.deepEqual(compiled, {
    name: 'least',
    moduleUrl: module,
    apart: false,
    queue: 'default',
    priority: 0,
    maxRetries: 5,
    backoff: DEFAULT_BACKOFF,
    timeoutMs: 15_000,
    softTimeoutMs: undefined,
    startBefore: undefined,
    weight: 1,
    run,
    varies: false,
  })
})

test('everything given is compiled', () => {
  const spec = {
    name: 'full',
    module: new URL('./x.js', module),
    input: z.string(),
    queue: 'images',
    priority: -128,
    maxRetries: Infinity,
    backoff: { type: 'linear', step: '1s' },
    timeout: Infinity,
    softTimeout: '10 s',
    setup: () => 1,
    teardown: () => {},
    run: () => 1,
  } as const
  const compiled = compiledDefinition(defineJob(spec))
  assert.equal(compiled?.moduleUrl, spec.module.href)
  assert.equal(compiled.schema, spec.input)
  assert.deepEqual([compiled.queue, compiled.priority, compiled.maxRetries], ['images', -128, Infinity])
  assert.deepEqual(compiled.backoff, { type: 'linear', step: 1000 })
  assert.deepEqual([compiled.timeoutMs, compiled.softTimeoutMs], [Infinity, 10_000])
  assert.deepEqual([compiled.setup, compiled.teardown, compiled.run], [spec.setup, spec.teardown, spec.run])
})

test('functions of the input stay functions', () => {
  const timeout = () => 5
  const compiled = compiledDefinition(defineJob({ name: 'f', module, timeout, softTimeout: 10, run() {} }))
  assert.deepEqual([compiled?.timeoutMs, compiled?.softTimeoutMs, compiled?.varies], [timeout, 10, true])
})

test('a unique key, also as a function of the input', () => {
  const key = () => 'a'
  const compiled = compiledDefinition(defineJob({ name: 'u', module, unique: { key, while: 'kept', within: '1m' }, run() {} }))
  assert.deepEqual(compiled?.unique, { key, while: 'kept', withinMs: 60_000, onConflict: 'return' })
  assert.equal(compiled.varies, true)
  assert.match(refused({ name: 'x', module, unique: { key: 5 }, run() {} }), /unique\.key: 5 \(number\) is not a key/)
  assert.match(refused({ name: 'x', module, unique: 'a', run() {} }), /unique: 'a' \(string\) is not an object/)
})

test('a handler apart', () => {
  const handler = handlerOf<{ run(): void }>()
  const compiled = compiledDefinition(defineJob({ name: 'apart', module, handler }))
  assert.deepEqual([compiled?.apart, compiled !== undefined && 'run' in compiled], [true, false])
  assert.match(refused({ name: 'x', module, handler, run() {} }), /handler: is given beside run/)
  assert.match(refused({ name: 'x', module, handler: {} }), /handler: .*handlerOf</)
  assert.match(
    refused({ name: 'x', module, setup() {}, teardown() {} }),
    /setup: is given without run[^]*teardown: is given without run/,
  )
})

test('explicit undefined is absent, and what the caller changes later does not matter', () => {
  const spec: Record<string, unknown> = { name: 'x', module, timeout: undefined, backoff: undefined, input: undefined, run() {} }
  const compiled = compiledDefinition(define(spec))
  spec['name'] = 'y'
  assert.deepEqual([compiled?.name, compiled?.timeoutMs], ['x', 15_000])
})

test('every problem comes in one error', () => {
  const message = refused({
    name: 'bad',
    module: './x.js',
    maxRetry: 3,
    priority: 1.5,
    maxRetries: -1,
    timeout: '5 parsecs',
    softTimeout: NaN,
    backoff: { type: 'fixed' },
    queue: '',
    run: 5,
  })
  for (const line of [
    /^The job definition 'bad' cannot be used:\n/,
    /- maxRetry: is not a known field; did you mean 'maxRetries'\?/,
    /- module: '\.\/x\.js' \(string\) .*import\.meta\.url.*new URL\('\.\/x\.js', import\.meta\.url\)/,
    /- priority: 1\.5 \(number\) is not a whole number from -128 to 127/,
    /- maxRetries: -1 \(number\) is not a whole number of 0 or more, or Infinity for no limit/,
    /- timeout: '5 parsecs' \(string\) is not a duration above 0/,
    /- softTimeout: NaN \(number\)/,
    /- backoff\.delay: undefined/,
    /- queue: '' \(string\) is not a name/,
    /- run: 5 \(number\) is not a function/,
  ])
    assert.match(message, line)
})

test('what is no definition at all', () => {
  for (const spec of [undefined, null, 5, 'x', [], () => {}])
    assert.match(refused(spec), /is not an object; known fields are name, module/)
  assert.match(refused({}), /name: undefined is not a name[^]*module: is missing/)
})

test('names', () => {
  const run = () => {}
  for (const name of ['', 5, 'a\nb', '\u0000', '\u009f', '\ud800', 'ä'.repeat(101)]) {
    assert.match(refused({ name, module, run }), /name: .* is not a name/)
  }
  for (const name of ['ä'.repeat(100), 'a b', '__proto__', '💡'])
    assert.equal(compiledDefinition(defineJob({ name, module, run }))?.name, name)
})

test('modules', () => {
  const run = () => {}
  const cases: [unknown, RegExp][] = [
    ['', /import\.meta\.url/],
    ['x.js', /new URL\('\.\/x\.js', import\.meta\.url\)/],
    ['../x.js', /new URL/],
    ['/srv/x.js', /pathToFileURL\(path\)/],
    ['C:\\srv\\x.js', /pathToFileURL\(path\)/],
    ['https://a.b/x.js', /from files only/],
    [new URL('data:text/javascript,1'), /from files only/],
    [5, /5 \(number\) is not a file: URL/],
    [{ href: module }, /an object is not a file: URL/],
  ]
  for (const [value, message] of cases) assert.match(refused({ name: 'x', module: value, run }), message)
  const url = pathToFileURL('/srv/ä x.js').href
  assert.equal(compiledDefinition(defineJob({ name: 'x', module: url, run }))?.moduleUrl, url)
})

test('schemas', () => {
  const standard = { version: 1, vendor: 'x', validate: (value: unknown) => ({ value }) }
  const callable = Object.assign(() => {}, { '~standard': standard })
  assert.equal(compiledDefinition(define({ name: 'x', module, input: callable, run() {} }))?.schema, callable)
  for (const input of [5, {}, { '~standard': { ...standard, version: 2 } }, { '~standard': { version: 1 } }, { parse() {} }]) {
    assert.match(refused({ name: 'x', module, input, run() {} }), /input: .* is not a Standard Schema/)
  }
})

test('a soft timeout must be shorter than the hard one', () => {
  const run = () => {}
  assert.match(refused({ name: 'x', module, softTimeout: '20s', run }), /softTimeout: 20 s is not shorter than the timeout, 15 s/)
  assert.match(refused({ name: 'x', module, timeout: 5, softTimeout: 5, run }), /5 ms is not shorter than the timeout, 5 ms/)
  assert.match(refused({ name: 'x', module, timeout: 0, run }), /timeout: 0 \(number\) is not a duration above 0/)
  const none = compiledDefinition(defineJob({ name: 'x', module, softTimeout: Infinity, run }))
  assert.equal(none?.softTimeoutMs, undefined)
})

test('getters and proxies that throw become problems', () => {
  const spec = {
    name: 'x',
    module,
    run() {},
    get timeout() {
      throw new Error('boo')
    },
  }
  assert.match(refused(spec), /timeout: reading it threw Error: boo/)
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  assert.match(refused(proxy), /cannot be listed: TypeError/)
  assert.match(
    refused({ name: proxy, module: proxy, input: proxy, queue: proxy, backoff: proxy, run: proxy, handler: proxy }),
    /cannot be used/,
  )
})

test('compiledDefinition answers for definitions of every copy, and for nothing else', () => {
  const compiled = { name: 'other copy' }
  assert.equal(compiledDefinition({ [Symbol.for('millrace.definition')]: compiled }), compiled)
  for (const value of [undefined, null, 5, {}, { name: 'x', run() {} }]) assert.equal(compiledDefinition(value), undefined)
})

test('a registry, which only threads have, is told of the definition', (t) => {
  const seen: unknown[] = []
  const key = Symbol.for('millrace.registry')
  Reflect.set(globalThis, key, (definition: unknown) => seen.push(definition))
  t.after(() => Reflect.deleteProperty(globalThis, key))
  const definition = defineJob({ name: 'seen', module, run() {} })
  assert.deepEqual(seen, [definition])
  refused({ name: 'unseen' })
  assert.equal(seen.length, 1)
})
