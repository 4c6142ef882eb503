/** Promise 4: modules that will not load, each recorded with its own error. Promise 3: the timeout holds while they load. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import type { ErrorRecord, JobDefinition } from '../../../src/index.js'
import { defineJob, JobFailedError, openExecutor } from '../../../src/index.js'
import { where } from '../../fixtures/threads/jobs.js'
import { LIMITS, newDirectory, open, rejection, threadLives, writeModule } from '../../support/open.js'
import { attemptsOf } from '../../support/traces.js'

const FAILED = 'MILLRACE_MODULE_FAILED'
const MISSING = 'MILLRACE_HANDLER_MISSING'

const BROKEN: Readonly<Record<string, { source: string; file?: string; code: string; message?: RegExp }>> = {
  'a syntax error': { source: 'export function run( {', code: FAILED, message: /SyntaxError/ },
  'an import that is missing': { source: `import './nowhere.mjs'\nexport const run = () => 1`, code: FAILED, message: /nowhere/ },
  'a package that is missing': { source: `import 'no-such-package-at-all'\nexport const run = () => 1`, code: FAILED },
  'an export that is missing': { source: `import { nope } from 'node:fs'\nexport const run = () => nope`, code: FAILED },
  'a throw at import': { source: `throw new RangeError('at import')`, code: FAILED, message: /RangeError: at import/ },
  'a throw of nothing': { source: `throw undefined`, code: FAILED },
  'a throw of a bare object': { source: `throw Object.create(null)`, code: FAILED },
  'a rejected top-level await': { source: `await Promise.reject(new Error('top'))`, code: FAILED, message: /top/ },
  'no run': { source: `export const walk = () => 1`, code: MISSING, message: /exports no function "run"/ },
  'a run that is no function': { source: `export const run = 1`, code: MISSING },
  'only a default export': { source: `export default () => 1`, code: MISSING },
  'process.exit() at import': { source: `process.exit(2)`, code: 'MILLRACE_PROCESS_EXIT' },
  'a loop at import': { source: `for (;;);`, code: 'MILLRACE_TIMEOUT' },
  'a top-level await without end': {
    source: `setInterval(() => {}, 1000)\nawait new Promise(() => {})`,
    code: 'MILLRACE_TIMEOUT',
  },
  'a rejection beside the import': {
    source: `Promise.reject(new Error('beside'))\nsetInterval(() => {}, 1000)\nawait new Promise(() => {})`,
    code: 'MILLRACE_UNHANDLED_REJECTION',
  },
  'a CommonJS module that throws': { source: `throw new Error('cjs')`, file: 'broken.cjs', code: FAILED, message: /cjs/ },
}

async function failureOf(
  t: Parameters<typeof open>[0],
  job: JobDefinition<unknown>,
  prepare = (): void => undefined,
): Promise<ErrorRecord> {
  const { executor, told } = await open(t, { jobs: [job, where], listen: ['error', 'interrupted'] })
  prepare()
  await (await executor.enqueue(where, undefined)).result()
  const [broken, ...others] = await Promise.all([
    executor.enqueue(job, undefined),
    ...Array.from({ length: 10 }, () => executor.enqueue(where, undefined)),
  ])
  const error = await rejection(broken.result())
  assert(error instanceof JobFailedError, error.message)
  for (const other of others) {
    await other.result()
    assert.deepEqual(await attemptsOf(executor, other), ['1 completed'])
  }
  // In the same thread, or the next: it fails again in the same way.
  const again = await rejection((await executor.enqueue(job, undefined)).result())
  assert(again instanceof JobFailedError)
  assert.equal(again.error.code, error.error.code)
  assert.deepEqual(told, [])
  return error.error
}

for (const [what, { source, file = 'broken.mjs', code, message }] of Object.entries(BROKEN)) {
  test(`promise 4: a handler module with ${what}: ${code}; others go on`, LIMITS, async (t) => {
    const module = writeModule(newDirectory(t), file, source)
    const timeout = code === 'MILLRACE_TIMEOUT' ? '300ms' : '20s'
    const error = await failureOf(t, defineJob({ name: 'broken', module, maxRetries: 0, timeout }))
    assert.equal(error.code, code, error.message)
    if (message !== undefined) assert.match(error.message, message)
    if (code === FAILED || code === MISSING) assert.match(error.message, /broken\.[cm]js/)
  })
}

test('promise 4: a handler module that has gone since the executor opened', LIMITS, async (t) => {
  const module = writeModule(newDirectory(t), 'gone.mjs', 'export const run = () => 1')
  const error = await failureOf(t, defineJob({ name: 'gone', module, maxRetries: 0 }), () => rmSync(fileURLToPath(module)))
  assert.equal(error.code, FAILED)
})

test('promise 4: a definition that its module does not make when a thread loads it', LIMITS, async (t) => {
  const index = new URL('../../../src/index.js', import.meta.url).href
  const module = writeModule(
    newDirectory(t),
    'conditional.mjs',
    `import { isMainThread } from 'node:worker_threads'
     import { defineJob } from '${index}'
     export const job = isMainThread ? defineJob({ name: 'conditional', module: import.meta.url, maxRetries: 0, run: () => 1 }) : undefined`,
  )
  const { job } = (await import(module.href)) as { job: JobDefinition<unknown> }
  const error = await failureOf(t, job)
  assert.equal(error.code, MISSING)
  assert.match(error.message, /conditional/)
})

test('handler modules may be .mjs, .cjs and .js, with setup and teardown', LIMITS, async (t) => {
  const directory = newDirectory(t)
  writeFileSync(`${directory}/package.json`, '{"type":"module"}')
  const esm = `export const setup = async () => 40\nexport const run = async (input, { state }) => state + input`
  const cjs = `exports.setup = () => 40\nexports.run = (input, { state }) => state + input`
  for (const [file, source] of [
    ['a.mjs', esm],
    ['b.js', esm],
    ['c.cjs', cjs],
  ] as const) {
    const job = defineJob<unknown, unknown, undefined, number>({ name: file, module: writeModule(directory, file, source) })
    const { executor } = await open(t, { jobs: [job], path: `${directory}/${file}.store` })
    assert.equal(await (await executor.enqueue(job, 2)).result(), 42)
    await executor.close()
  }
})

test('threads that cannot start: an error is told, they are not started over and over, close works', LIMITS, async (t) => {
  const before = threadLives.length
  const { executor, until, told } = await open(t, {
    jobs: [where],
    execArgv: ['--import', 'data:text/javascript,throw new Error("bad start")'],
    listen: ['error'],
  })
  const job = await executor.enqueue(where, undefined)
  await until('error', () => told.length >= 3)
  const { error } = await until('error')
  assert.equal((error as { code?: string }).code, 'MILLRACE_THREAD_DIED')
  assert.match(error.message, /bad start/)
  // Three at first, then one per error: each of which is told after a pause that doubles.
  const born = threadLives.length - before
  assert(born <= 3 + told.length + 1, `${born} threads were started while ${told.length} errors were told`)
  const pauses = told.map((event) => /started in (\d+) ms/.exec((event as unknown as { error: Error }).error.message)?.[1])
  assert.deepEqual(pauses.slice(0, 3), ['100', '200', '400'])
  const state = (await executor.get(job.id))?.state
  assert(state === 'available' || state === 'running', state)
  assert.deepEqual(await attemptsOf(executor, job), [])
  const pending = rejection(job.result())
  await executor.close({ grace: 0 })
  assert.equal((await pending).code, 'MILLRACE_RESULT_PENDING')
})

test('resourceLimits too small for a thread to start are refused: Node would abort the process', LIMITS, async () => {
  await assert.rejects(openExecutor({ path: ':memory:', jobs: [where], resourceLimits: { maxOldGenerationSizeMb: 1 } }), {
    code: 'MILLRACE_INVALID_OPTIONS',
    message: /resourceLimits\.maxOldGenerationSizeMb: 1 \(number\) is not a number of MB of 16 or more/,
  })
})
