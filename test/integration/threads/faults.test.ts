/** Promise 4: one job's fault stays its own, and is told apart by its code. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Duration, ErrorRecord, Executor, JobHandle } from '../../../src/index.js'
import { JobFailedError } from '../../../src/index.js'
import type { Deed } from '../../fixtures/threads/misbehave.js'
import { misbehave } from '../../fixtures/threads/misbehave.js'
import { LIMITS, open, rejection } from '../../support/open.js'

interface Expected {
  readonly code?: string
  readonly name?: string
  readonly message?: RegExp
  readonly timedOut?: true
}

const UNHEARD = 'MILLRACE_UNHANDLED_REJECTION'
const UNCAUGHT = 'MILLRACE_UNCAUGHT_EXCEPTION'
const EXIT = 'MILLRACE_PROCESS_EXIT'
const MEMORY = 'MILLRACE_OUT_OF_MEMORY'
const UNENCODABLE = 'MILLRACE_OUTPUT_UNENCODABLE'
const TOO_LARGE = 'MILLRACE_OUTPUT_TOO_LARGE'
const TIMEOUT = { code: 'MILLRACE_TIMEOUT', timedOut: true } as const

const EXPECTED: Readonly<Record<Exclude<Deed, 'fine' | 'fineAsync'>, Expected>> = {
  throwsError: { name: 'ShopError', code: 'E_SHOP', message: /^sold out$/ },
  throwsUndefined: { name: 'undefined', message: /^undefined$/ },
  throwsNull: { name: 'null', message: /^null$/ },
  throwsString: { name: 'string', message: /^plain words$/ },
  throwsNumber: { name: 'number', message: /^NaN$/ },
  throwsObject: { name: 'Object', code: '42', message: /"reason":"an object"/ },
  throwsBigint: { name: 'bigint', message: /^10n$/ },
  throwsSymbol: { name: 'symbol', message: /^Symbol\(sym\)$/ },
  throwsFunction: { name: 'function' },
  throwsHostile: { name: 'Object' },
  throwsHostileError: {},
  throwsBareObject: { name: 'Object' },
  throwsRevokedProxy: {},
  throwsEnormous: { message: /\u0001{100}/ },
  throwsPromise: { name: 'Promise' },
  throwsFatal: { name: 'FatalError', message: /^beyond repair$/ },
  throwsRetry: { name: 'RetryError', message: /^again$/ },
  overflowsStack: { name: 'RangeError', message: /call stack/ },
  rejects: { name: 'ShopError', code: 'E_SHOP', message: /^sold out later$/ },
  rejectsUndefined: { name: 'undefined' },
  throwsAsync: { name: 'ShopError', code: 'E_SHOP', message: /^after a while$/ },
  thenableThrows: { name: 'ShopError', code: 'E_SHOP', message: /^no then$/ },
  rejectionBeside: { name: 'ShopError', code: UNHEARD, message: /^unheard$/ },
  rejectionBesideOfNothing: { name: 'undefined', code: UNHEARD },
  exceptionBeside: { name: 'ShopError', code: UNCAUGHT, message: /^in a timer$/ },
  exceptionOfNothingBeside: { name: 'undefined', code: UNCAUGHT },
  exits0: { code: EXIT, message: /process\.exit\(0\)/ },
  exits3: { code: EXIT, message: /process\.exit\(3\)/ },
  exitsAsync: { code: EXIT, message: /process\.exit\(4\)/ },
  exitsInTimer: { code: EXIT, message: /process\.exit\(5\)/ },
  exitsInMicrotask: { code: EXIT, message: /process\.exit\(6\)/ },
  aborts: { code: 'ERR_WORKER_UNSUPPORTED_OPERATION' },
  runsOutOfMemory: { code: MEMORY },
  runsOutOfMemoryAsync: { code: MEMORY },
  returnsFunction: { code: UNENCODABLE, message: /output\.deep\[0\]\.action is a function/ },
  returnsSymbol: { code: UNENCODABLE, message: /is a symbol/ },
  returnsPromiseInside: { code: UNENCODABLE },
  returnsWeakMap: { code: UNENCODABLE },
  returnsGetter: { code: 'MILLRACE_OUTPUT_UNENCODABLE', message: /reading it threw/ },
  returnsRevokedProxy: {},
  returnsTooMuch: { code: TOO_LARGE, message: /200002 bytes.*100000/ },
  returnsTooManyBytes: { code: TOO_LARGE },
  returnsTooMuchV8: { code: TOO_LARGE },
  writesNumber: { code: 'ERR_INVALID_ARG_TYPE' },
  writesNull: { code: 'ERR_STREAM_NULL_VALUES' },
  writesObject: { code: 'ERR_INVALID_ARG_TYPE' },
  writesInBadEncoding: { code: 'ERR_UNKNOWN_ENCODING' },
  loops: TIMEOUT,
  loopsAsync: TIMEOUT,
  loopsInRegex: TIMEOUT,
  waitsAtomically: TIMEOUT,
  loopsInMicrotasks: TIMEOUT,
  loopsInTicks: TIMEOUT,
  loopsInImmediates: TIMEOUT,
  hangs: TIMEOUT,
  catchesTheEnd: TIMEOUT,
}

const DEEDS = Object.keys(EXPECTED) as (keyof typeof EXPECTED)[]

const OPTIONS = {
  jobs: [misbehave],
  limits: { payloadBytes: 100_000 },
  resourceLimits: { maxOldGenerationSizeMb: 48 },
  listen: ['failed', 'error', 'interrupted', 'retried', 'discarded', 'stuck', 'progress'],
} as const

/** Enough for a deed that ends, short enough to wait for one that does not. */
function timeoutOf(deed: Deed): Duration {
  return (EXPECTED as Partial<Record<Deed, Expected>>)[deed]?.timedOut === true ? '300ms' : '30s'
}

async function checkFailed(executor: Executor, deed: keyof typeof EXPECTED, job: JobHandle<unknown>): Promise<ErrorRecord> {
  const expected = EXPECTED[deed]
  const error = await rejection(job.result())
  assert(error instanceof JobFailedError, `${deed}: ${error.message}`)
  const info = await executor.get(job.id)
  assert.equal(info?.state, 'discarded', deed)
  assert.equal(info.attempts.length, 1, `${deed} ran ${info.attempts.length} times`)
  const [attempt] = info.attempts
  assert.equal(attempt?.outcome, expected.timedOut === true ? 'timedOut' : 'failed', `${deed}: ${attempt?.error?.message}`)
  const record = attempt.error
  assert(record !== undefined)
  assert.deepEqual(error.error, record, deed)
  assert.equal(record.code === undefined ? undefined : record.code.slice(0, 50), expected.code ?? record.code?.slice(0, 50), deed)
  if (expected.code === undefined && deed !== 'throwsEnormous')
    assert.equal(record.code, deed === 'returnsRevokedProxy' ? record.code : undefined, deed)
  if (expected.name !== undefined) assert.equal(record.name, expected.name, deed)
  if (expected.message !== undefined) assert.match(record.message, expected.message, deed)
  assert(JSON.stringify(record).length < 300_000, `${deed}: the record is not bounded`)
  assert(attempt.endedAt >= attempt.startedAt && attempt.startedAt >= info.enqueuedAt - 1, deed)
  return record
}

/** A batch-mate: completed in its first attempt, and not even interrupted, since it does not take long. */
async function checkUntouched(executor: Executor, deed: Deed, job: JobHandle<unknown>): Promise<void> {
  assert.equal(typeof (await job.result()), 'number')
  const info = await executor.get(job.id)
  assert.equal(info?.state, 'completed', deed)
  assert.equal(info.attempt, 1, deed)
  assert.deepEqual(
    info.attempts.map(({ outcome }) => outcome),
    ['completed'],
    deed,
  )
}

for (const deed of DEEDS) {
  test(`promise 4: ${deed}: fails with its own error, and its batch-mates complete in one attempt`, LIMITS, async (t) => {
    const { executor, told } = await open(t, OPTIONS)
    // Measured, jobs travel in large batches.
    const warm = await executor.enqueueMany(
      misbehave,
      Array.from({ length: 64 }, () => 'fine' as const),
    )
    await Promise.all(warm.map((job) => job.result()))
    const timeout = timeoutOf(deed)
    const pending = [
      ...Array.from({ length: 10 }, () => executor.enqueue(misbehave, 'fine')),
      executor.enqueue(misbehave, deed, { timeout }),
      ...Array.from({ length: 10 }, () => executor.enqueue(misbehave, 'fine')),
    ]
    const jobs = await Promise.all(pending)
    await checkFailed(executor, deed, jobs[10]!)
    for (const [index, job] of jobs.entries()) if (index !== 10) await checkUntouched(executor, deed, job)
    const events = told.map(({ name }) => name).filter((name) => name !== 'progress')
    if (EXPECTED[deed].timedOut === true) assert.equal(told[0]?.name, 'progress', `${deed} did not run`)
    assert.deepEqual(events, ['failed', 'discarded'], `${deed}: ${JSON.stringify(told)}`)
    assert.equal((await executor.counts()).running, 0)
  })
}

test('promise 4: every deed twice at once on two threads among good jobs, each recorded as its own', LIMITS, async (t) => {
  const { executor, told } = await open(t, { ...OPTIONS, threads: 2 })
  const order: Deed[] = [...DEEDS, ...DEEDS].flatMap((deed): Deed[] => ['fine', deed, 'fine', 'fine'])
  const jobs = await Promise.all(order.map((deed) => executor.enqueue(misbehave, deed, { timeout: timeoutOf(deed) })))
  for (const [index, deed] of order.entries()) {
    if (deed === 'fine' || deed === 'fineAsync') await checkUntouched(executor, deed, jobs[index]!)
    else await checkFailed(executor, deed, jobs[index]!)
  }
  assert.deepEqual(
    told.filter(({ name }) => name === 'error' || name === 'stuck'),
    [],
  )
  // What a job says at its very end may come too late to be told; not so where it then holds its thread.
  for (const deed of DEEDS.filter((name) => EXPECTED[name].timedOut === true))
    assert.equal(told.filter((event) => event.name === 'progress' && event.message === deed).length, 2, `${deed} did not run`)
  await executor.drain()
  const counts = await executor.counts()
  assert.deepEqual(
    { ...counts },
    {
      scheduled: 0,
      available: 0,
      running: 0,
      retryable: 0,
      completed: DEEDS.length * 6,
      cancelled: 0,
      discarded: DEEDS.length * 2,
    },
  )
})
