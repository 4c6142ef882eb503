/** README.md's tables beside the code: no option, method, code or event is missing, left over, or given another default. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { parseDuration } from '../../src/base/duration.js'
import { BACKPRESSURE_CALLS, DEFAULT_CLOSE_GRACE_MS, PRIORITY_MAX, PRIORITY_MIN } from '../../src/base/limits.js'
import { Executor } from '../../src/executor/executor.js'
import { compiledDefinition, defineJob } from '../../src/job/define-job.js'
import { JOB_STATES } from '../../src/job/job-info.js'
import { compileEnqueueOptions } from '../../src/options/enqueue-options.js'
import { compileExecutorOptions } from '../../src/options/executor-options.js'
import { blocks, codes, prose, README, ROOT, section, table } from '../fixtures/docs/readme.js'

/** Far from every real name, so that the message lists them all instead of guessing one. */
const UNKNOWN = { qqqqqqqqqqqqqqqqqqqq: 1 }

/** The fields that a check knows, from what it says about one that it does not know. */
function knownFields(check: () => unknown, field = ''): string[] {
  let message = ''
  try {
    check()
  } catch (error) {
    message = (error as Error).message
  }
  const [, known] =
    new RegExp(
      `(?:^|: |- )${field.replaceAll('.', '\\.')}${Object.keys(UNKNOWN)[0]}: is not a known field; known fields are (.+)$`,
      'm',
    ).exec(message) ?? []
  assert(known !== undefined, message)
  return known.split(', ')
}

const firstCells = (heading: string, column: string): string[] => table(heading, column).flatMap(([cell = '']) => codes(cell))
const sorted = (names: Iterable<string>): string[] => [...names].sort()

/** What a table gives as the default: the value of its first code span, a duration in ms. */
function defaults(heading: string, column: string): Map<string, unknown> {
  const found = new Map<string, unknown>()
  for (const [names = '', , cell = ''] of table(heading, column)) {
    const [code] = codes(cell)
    if (code === undefined) continue
    for (const name of codes(names)) {
      try {
        const value: unknown = structuredClone(runInNewContext(`(${code})`))
        found.set(name, typeof value === 'string' ? (parseDuration(value) ?? value) : value)
      } catch {
        found.set(name, code)
      }
    }
  }
  return found
}

const openOptions =
  (more: object): (() => unknown) =>
  () =>
    compileExecutorOptions({ path: 'p', jobs: [], ...more }, { threads: 1 })

test('the fields of a definition', () => {
  const known = knownFields(() => defineJob({ name: 'n', module: import.meta.url, run: () => 1, ...UNKNOWN }))
  assert.deepEqual(sorted(firstCells('Defining a job', 'Field')), sorted(known))
})

test('the defaults of a definition', () => {
  const compiled = compiledDefinition(defineJob({ name: 'n', module: import.meta.url, run: () => 1 }))
  assert(compiled !== undefined)
  const { queue, priority, maxRetries, backoff, timeoutMs, softTimeoutMs, weight } = compiled
  assert.equal(softTimeoutMs, undefined)
  assert.deepEqual(
    Object.fromEntries(defaults('Defining a job', 'Field')),
    JSON.parse(JSON.stringify({ queue, priority, maxRetries, backoff, timeout: timeoutMs, weight })),
  )
  assert(section('Defining a job').includes(`${PRIORITY_MIN} to ${PRIORITY_MAX}`))
})

test('the options of an enqueue', () => {
  const known = knownFields(() => compileEnqueueOptions(UNKNOWN))
  assert.deepEqual(sorted(firstCells('Enqueueing', 'Option')), sorted(known))
})

test('the options of an executor', () => {
  const nested = (name: string): string[] =>
    knownFields(openOptions({ [name]: UNKNOWN }), `${name}.`).map((field) => `${name}.${field}`)
  const known = new Set(knownFields(openOptions(UNKNOWN)))
  for (const name of ['retain', 'limits', 'recycle']) {
    known.delete(name)
    for (const field of nested(name)) known.add(field)
  }
  for (const field of knownFields(openOptions({ queues: { q: UNKNOWN } }), 'queues.q.')) known.add(`queues.*.${field}`)
  const rows = table('The executor', 'Option')
  assert.deepEqual(sorted(rows.flatMap(([cell = '']) => codes(cell))), sorted(known))
})

test('the defaults of an executor', () => {
  const threads = 7
  const options = compileExecutorOptions({ path: 'p', jobs: [] }, { threads })
  const given = defaults('The executor', 'Option')
  assert.deepEqual(Object.fromEntries(given), {
    threads: 'os.availableParallelism()',
    'queues.*.concurrency': options.queues.get('default')?.concurrency,
    'queues.*.ageing': options.queues.get('default')?.ageingMs,
    durability: options.durability,
    'retain.jobs': options.retain.completed.jobs,
    'retain.age': options.retain.completed.ageMs,
    'retain.completed': 'retain',
    'retain.cancelled': 'retain',
    'retain.discarded': 'retain',
    'limits.payloadBytes': options.payloadBytes,
    'limits.memoryBytes': options.memoryBytes,
    maxCrashes: options.maxCrashes,
    maxStuckThreads: 'threads',
    abortGrace: options.abortGraceMs,
    'recycle.afterJobs': options.recycle.afterJobs,
    'recycle.heapBytes': options.recycle.heapBytes,
    env: 'process.env',
    controlSocket: options.controlSocket,
  })
  assert.equal(options.maxStuckThreads, threads)
  assert(README.includes(`at \`maxCrashes\` (${options.maxCrashes})`))
})

test('the methods of an executor', () => {
  const methods = Object.getOwnPropertyNames(Executor.prototype).filter((name) => name !== 'constructor')
  const inExecutor = firstCells('The executor', 'Method').map((call) => call.replace(/\(.*/, ''))
  const inEnqueueing = [...section('Enqueueing').matchAll(/`(\w+)\(definition/g)].map(([, name = '']) => name)
  assert.deepEqual(sorted(new Set([...inExecutor, ...inEnqueueing])), sorted(methods))
  const [, grace] = /close\(\{ grace: '([^']+)' \}\)/.exec(prose) ?? []
  assert.equal(parseDuration(grace), DEFAULT_CLOSE_GRACE_MS)
})

test('every error code', () => {
  const source = readFileSync(new URL('src/base/errors.ts', ROOT), 'utf8')
  const known = new Set(source.match(/'MILLRACE_[A-Z_]+'/g)?.map((code) => code.slice(1, -1)))
  assert.deepEqual(sorted(new Set(README.match(/MILLRACE_[A-Z_]+/g))), sorted(known))
  const ofCalls = firstCells('Errors', 'Code')
  const ofAttempts = table('What each failure ends as', 'What happens').flatMap(
    ([, , cell = '']) => cell.match(/MILLRACE_[A-Z_]+/g) ?? [],
  )
  assert.deepEqual(sorted(new Set([...ofCalls, ...ofAttempts])), sorted(known))
  assert(section('Errors').includes(BACKPRESSURE_CALLS.toLocaleString('en')))
})

test('every event, with its fields', () => {
  const source = readFileSync(new URL('src/executor/events.ts', ROOT), 'utf8')
  const body = /export interface ExecutorEvents \{([^]*?)^\}/m.exec(source)?.[1] ?? ''
  const events = new Map<string, string[]>()
  for (const [, name = '', fields = ''] of body.matchAll(/^ {2}(\w+): (\{[^]*?\}|Record<string, never>)$/gm)) {
    events.set(
      name,
      [...fields.matchAll(/readonly (\w+):/g)].map(([, field = '']) => field),
    )
  }
  assert(events.size > 10)
  const told = new Map(
    table('Events', 'Event').map(([event = '', fields = '']) => [
      codes(event)[0] ?? '',
      codes(fields.replaceAll(/\(.*?\)/g, '').split('.')[0] ?? ''),
    ]),
  )
  assert.deepEqual(Object.fromEntries(told), Object.fromEntries(events))
})

test('every state', () => {
  const diagram = blocks.find(({ text }) => text.startsWith('enqueue '))?.text ?? ''
  for (const state of JOB_STATES) assert.match(diagram, new RegExp(`\\b${state}\\b`))
  const words = new Set(diagram.match(/(?<=→ |^)(\w+)(?= +(→|\w))/gm))
  words.delete('enqueue')
  assert.deepEqual(sorted(words), sorted(JOB_STATES))
})
