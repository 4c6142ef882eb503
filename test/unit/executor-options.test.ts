import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { isMillraceError } from '../../src/base/errors.js'
import { compiledDefinition, defineJob } from '../../src/job/define-job.js'
import { compileExecutorOptions } from '../../src/options/executor-options.js'

const module = import.meta.url
const a = defineJob({ name: 'a', module, run() {} })
const images = defineJob({ name: 'images', module, queue: 'images', run() {} })
const least = { path: './data', jobs: [a] }
const compile = (options: unknown) => compileExecutorOptions(options, { threads: 4 })

function refused(options: unknown): string {
  try {
    compile(options)
  } catch (thrown) {
    assert.ok(isMillraceError(thrown, 'MILLRACE_INVALID_OPTIONS'), String(thrown))
    return thrown.message
  }
  assert.fail('was not refused')
}

test('the least options have the documented defaults', () => {
  const compiled = compile(least)
  const rule = { jobs: 1000, ageMs: 86_400_000 }
  assert.ok(Object.isFrozen(compiled))
  assert.deepEqual(compiled, {
    path: './data',
    definitions: new Map([['a', compiledDefinition(a)]]),
    threads: 4,
    queues: new Map([['default', { concurrency: Infinity, rate: undefined, ageingMs: 600_000 }]]),
    reserve: { threads: 0, priority: -128 },
    durability: 'disk',
    retain: { completed: rule, cancelled: rule, discarded: rule },
    payloadBytes: 16 * 1024 * 1024,
    memoryBytes: Infinity,
    maxCrashes: 3,
    maxStuckThreads: 4,
    abortGraceMs: 1000,
    controlSocket: true,
    recycle: { afterJobs: Infinity, heapBytes: Infinity },
    resourceLimits: undefined,
    env: undefined,
    execArgv: undefined,
  })
})

test('everything given is compiled', () => {
  const compiled = compile({
    ...least,
    threads: 2,
    queues: { images: { concurrency: 3 }, other: {} },
    durability: 'process',
    limits: { payloadBytes: 1, memoryBytes: 5e9 },
    maxCrashes: Infinity,
    maxStuckThreads: 0,
    abortGrace: 0,
    recycle: { afterJobs: 10 },
    resourceLimits: { maxOldGenerationSizeMb: 64 },
    env: { A: 'b', C: undefined },
    execArgv: ['--import', 'tsx'],
  })
  assert.deepEqual(
    [...compiled.queues].map(([name, { concurrency }]) => [name, concurrency]),
    [
      ['images', 3],
      ['other', Infinity],
      ['default', Infinity],
    ],
  )
  const { threads, durability, payloadBytes, memoryBytes, maxCrashes, maxStuckThreads, abortGraceMs } = compiled
  assert.deepEqual(
    [threads, durability, payloadBytes, memoryBytes, maxCrashes, maxStuckThreads, abortGraceMs],
    [2, 'process', 1, 5e9, Infinity, 0, 0],
  )
  assert.deepEqual(compiled.recycle, { afterJobs: 10, heapBytes: Infinity })
  assert.deepEqual(compiled.resourceLimits, { maxOldGenerationSizeMb: 64 })
  assert.deepEqual(compiled.env, { A: 'b' })
  assert.deepEqual(compiled.execArgv, ['--import', 'tsx'])
  assert.equal(compile({ ...least, threads: 2 }).maxStuckThreads, 2)
  assert.equal(typeof compile({ ...least, env: process.env }).env, 'object')
})

test('paths', () => {
  assert.equal(compile({ ...least, path: ':memory:' }).path, ':memory:')
  const url = pathToFileURL('/srv/a b')
  assert.equal(compile({ ...least, path: url }).path, '/srv/a b')
  assert.equal(compile({ ...least, path: url.href }).path, '/srv/a b')
  for (const path of ['', ' ', 'a\0b', 5, new URL('https://a.b/c'), 'file://host/%00']) {
    assert.match(refused({ ...least, path }), /path: .*(is not a path|is not a usable file: URL).*':memory:'/)
  }
  assert.match(refused({ jobs: [] }), /path: is missing; give a directory/)
})

test('retain: one rule, rules per state, and both', () => {
  const retain = (options: unknown) => compile({ ...least, retain: options }).retain
  const all = { jobs: 0, ageMs: Infinity }
  assert.deepEqual(retain({ jobs: 0, age: Infinity }), { completed: all, cancelled: all, discarded: all })
  const usual = { jobs: 1000, ageMs: 86_400_000 }
  assert.deepEqual(retain({ completed: { jobs: 5 } }), { completed: { ...usual, jobs: 5 }, cancelled: usual, discarded: usual })
  const week = { jobs: 1000, ageMs: 604_800_000 }
  assert.deepEqual(retain({ age: '1w', discarded: { jobs: Infinity } }), {
    completed: week,
    cancelled: week,
    discarded: { ...week, jobs: Infinity },
  })
  assert.match(
    refused({ ...least, retain: { complete: {} } }),
    /retain\.complete: is not a known field; did you mean 'completed'\?/,
  )
  assert.match(
    refused({ ...least, retain: { discarded: { jobs: -1, age: 'x' } } }),
    /retain\.discarded\.jobs: -1[^]*retain\.discarded\.age: 'x'/,
  )
})

test('queues: those of the definitions when omitted, exactly those given otherwise', () => {
  assert.deepEqual([...compile({ path: 'x', jobs: [a, images] }).queues.keys()], ['default', 'images'])
  const message = refused({ path: 'x', jobs: [a, images], queues: { image: {} } })
  assert.match(message, /queues: the job 'images' waits in the queue 'images', which is not among them; did you mean 'image'\?/)
  assert.match(refused({ ...least, queues: { '': {} } }), /is not a name/)
  assert.match(
    refused({ ...least, queues: { q: { concurrency: 0 } } }),
    /queues\.q\.concurrency: 0 \(number\) is not a whole number of 1 or more/,
  )
  assert.match(refused({ ...least, queues: { q: { concurency: 1 } } }), /did you mean 'concurrency'\?/)
  assert.match(refused({ ...least, queues: { q: 3 } }), /queues\.q: 3 \(number\) is not an object/)
  assert.match(refused({ ...least, queues: ['q'] }), /queues: an array is not an object of queues by name/)
})

test('jobs: what is none says why it may be none', async () => {
  const jobs = (...values: unknown[]) => refused({ path: 'x', jobs: values })
  assert.match(jobs(a, undefined), /jobs\[1\]: undefined is not a job definition; .*circular import/)
  assert.match(
    jobs(await import('../../src/job/define-job.js')),
    /jobs\[0\]: the namespace of a module is not a job definition; give its export$/,
  )
  const namespace = Object.assign(Object.create(null), { [Symbol.toStringTag]: 'Module', other: 1, a }) as unknown
  assert.match(jobs(namespace), /jobs\[0\]: the namespace of a module.*give its export, such as namespace\.a/)
  assert.match(jobs({ name: 'x', module, run() {} }), /wrap it: defineJob/)
  assert.match(jobs(Promise.resolve(a)), /await the import/)
  assert.match(jobs(5), /5 \(number\) is not a job definition; give what defineJob returned/)
  assert.match(refused({ path: 'x', jobs: a }), /jobs: an object is not an array of job definitions; put it into one/)
  assert.match(refused({ path: 'x' }), /jobs: is missing/)
  assert.match(jobs(a, a), /jobs\[1\]: its name 'a' is that of jobs\[0\] too; the same definition is listed twice/)
  assert.match(jobs(a, defineJob({ name: 'a', module, run() {} })), /must be unique; rename one/)
  assert.equal(compile({ path: 'x', jobs: [] }).definitions.size, 0)
  // A hole is what a stray comma leaves.
  assert.match(refused({ path: 'x', jobs: [a, , a] }), /jobs\[1\]: undefined/)
})

test('every problem comes in one error', () => {
  const message = refused({
    path: 'x',
    jobs: [a],
    thread: 2,
    threads: 0,
    durability: 'full',
    limits: { payloadBytes: 2 ** 31, memoryBytes: 0 },
    maxCrashes: 0,
    maxStuckThreads: -1,
    abortGrace: Infinity,
    recycle: { afterJobs: 0, heap: 1 },
    resourceLimits: { maxOldGenerationSizeMb: NaN },
    env: { A: 1 },
    execArgv: '--import tsx',
  })
  for (const line of [
    /^The options of openExecutor cannot be used:\n/,
    /thread: is not a known field; did you mean 'threads'\?/,
    /threads: 0 \(number\)/,
    /durability: 'full' \(string\) is not 'disk' or 'process'/,
    /limits\.payloadBytes: 2147483648 \(number\) is not a whole number from 1 to 1073741824/,
    /maxCrashes: 0/,
    /maxStuckThreads: -1/,
    /abortGrace: Infinity/,
    /recycle\.afterJobs: 0/,
    /recycle\.heap: is not a known field/,
    /resourceLimits\.maxOldGenerationSizeMb: NaN/,
    /env\.A: 1 \(number\) is not a string/,
    /execArgv: '--import tsx' \(string\) is not an array/,
  ])
    assert.match(message, line)
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  assert.match(
    refused({ path: proxy, jobs: proxy, queues: proxy, retain: proxy, env: proxy, execArgv: proxy }),
    /cannot be read is not a path/,
  )
  assert.match(refused({ path: 'x', jobs: [proxy] }), /jobs\[0\]: an object that cannot be read is not a job definition/)
  for (const options of [undefined, null, './data']) assert.match(refused(options), /is not an object/)
})

test('a long list of problems is cut', () => {
  const message = refused({ path: 'x', jobs: Array.from({ length: 1000 }) })
  assert.match(message, /jobs\[5\].*… and 9\d\d more$/s)
  assert.ok(message.length <= 2000)
})
