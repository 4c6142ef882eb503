/** Makes happen what README.md's table of failures tells of, and compares each row with what is found afterwards. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { EnqueueOptions, Executor, ExecutorEvents, ExecutorOptions, JobDefinition, JobInfo } from '../../src/index.js'
import { defineJob, openExecutor } from '../../src/index.js'
import { deeds, fails, failsInSetup, loopsInSetup, picky, whichThread } from '../fixtures/docs/deeds.js'
import { codes, table } from '../fixtures/docs/readme.js'

const LIMIT = { timeout: 60_000 }

const rows = new Map(table('What each failure ends as', 'What happens').map(([what = '', ...cells]) => [what, cells]))
const checked = new Set<string>()

/** A row's cells; the row counts as checked. */
function row(what: string): { outcome: string | undefined; code: string | undefined; charged: string; replaced: string } {
  const cells = rows.get(what)
  assert(cells !== undefined, `README.md has no row "${what}"`)
  checked.add(what)
  const [outcome = '', code = '', charged = '', replaced = ''] = cells
  return { outcome: codes(outcome)[0], code: codes(code).find((span) => span.startsWith('MILLRACE_')), charged, replaced }
}

async function open(t: TestContext, options: Partial<ExecutorOptions> = {}): Promise<Executor> {
  const executor = await openExecutor({
    path: ':memory:',
    jobs: [fails, failsInSetup, loopsInSetup, picky, whichThread],
    threads: 1,
    limits: { payloadBytes: 100_000 },
    resourceLimits: { maxOldGenerationSizeMb: 48 },
    abortGrace: 50,
    ...options,
  })
  // An executor with nothing to do lets the process end, also while a test waits for an event.
  const alive = setInterval(() => undefined, 60_000)
  t.after(async () => {
    clearInterval(alive)
    await executor.close({ grace: 0 })
  })
  return executor
}

const threadOf = async (executor: Executor): Promise<number> => (await executor.enqueue(whichThread)).result()

async function inform(executor: Executor, id: string): Promise<JobInfo> {
  const info = await executor.get(id)
  assert(info !== undefined)
  return info
}

/** Runs a job that may be retried once, and compares what became of it. */
async function check(
  t: TestContext,
  what: string,
  definition: JobDefinition<string> = fails,
  options: EnqueueOptions = {},
  jobs: Partial<ExecutorOptions> = {},
): Promise<void> {
  const { outcome, code, charged, replaced } = row(what)
  const executor = await open(t, jobs)
  const before = await threadOf(executor)
  const retries = { maxRetries: 1, backoff: { type: 'fixed', delay: 0 }, ...options } as const
  const job = await executor.enqueue(definition, what, retries)
  await assert.rejects(job.result(), { code: 'MILLRACE_JOB_FAILED' })
  const { attempts, state } = await inform(executor, job.id)
  assert.equal(state, 'discarded')
  assert.equal(attempts.length, charged === 'yes' ? retries.maxRetries + 1 : 1, `charged: ${charged}`)
  assert.match(charged, /^yes(, and discarded)?$/)
  for (const attempt of attempts) {
    assert.equal(attempt.outcome, outcome)
    assert.equal(attempt.error?.code, code)
  }
  assert.equal((await threadOf(executor)) !== before, replaced.startsWith('yes'), `thread replaced: ${replaced}`)
}

for (const what of [
  'The handler throws or rejects',
  'It throws `FatalError`',
  'A promise it left behind rejects while it runs',
  'A timer or emitter it left behind throws while it runs',
  '`process.exit()`',
  'Out of memory',
  'The thread dies of something else',
  'The output cannot be stored, such as a function',
  'The output is too large',
]) {
  test(what, LIMIT, async (t) => {
    assert(what in deeds)
    await check(t, what)
  })
}

test('The module does not load: syntax error, import, throw', LIMIT, async (t) => {
  const what = 'The module does not load: syntax error, import, throw'
  for (const source of ['export const run = (=> 1', `import './gone.mjs'; export const run = () => 1`, `throw new Error('no')`]) {
    const definition = defineJob({ name: 'apart', module: newModule(t, source) })
    await check(t, what, definition, {}, { jobs: [definition, whichThread] })
  }
})

test('The module does not hold the job', LIMIT, async (t) => {
  const definition = defineJob({ name: 'apart', module: newModule(t, 'export const ran = () => 1') })
  await check(t, 'The module does not hold the job', definition, {}, { jobs: [definition, whichThread] })
})

test('`setup` throws', LIMIT, (t) => check(t, '`setup` throws', failsInSetup))

test('`timeout` is over: in `run`, `setup` or loading', LIMIT, async (t) => {
  const what = '`timeout` is over: in `run`, `setup` or loading'
  const loading = defineJob({ name: 'apart', module: newModule(t, 'for (;;);') })
  await check(t, what, fails, { timeout: 50 })
  await check(t, what, loopsInSetup, { timeout: 50 })
  await check(t, what, loading, { timeout: 50 }, { jobs: [loading, whichThread] })
})

test('The same, in native code', LIMIT, async (t) => {
  const what = 'The same, in native code'
  const { outcome, code, replaced } = row(what)
  const executor = await open(t)
  const before = await threadOf(executor)
  const stuck = new Promise<ExecutorEvents['stuck']>((resolve) => executor.on('stuck', resolve))
  const job = await executor.enqueue(fails, what, { timeout: 50, maxRetries: 0 })
  const { threadId } = await stuck
  assert.deepEqual([threadId, replaced], [before, 'yes; `stuck` event'])
  assert.equal((await inform(executor, job.id)).state, 'running', 'the job waits for the end of its thread')
  assert.notEqual(await threadOf(executor), before, 'its place is taken meanwhile')
  await assert.rejects(job.result(), { code: 'MILLRACE_JOB_FAILED' })
  const [attempt] = (await inform(executor, job.id)).attempts
  assert.deepEqual([attempt?.outcome, attempt?.error?.code], [outcome, code])
})

test('The same, after the job is over', LIMIT, async (t) => {
  const what = 'The same, after the job is over'
  const { outcome, replaced } = row(what)
  assert.deepEqual([outcome, replaced], ['completed', 'yes, if it threw'])
  const executor = await open(t)
  const before = await threadOf(executor)
  const stray = new Promise<ExecutorEvents['error']>((resolve) => executor.on('error', resolve))
  const job = await executor.enqueue(fails, what)
  await job.result()
  const { error, jobId } = await stray
  assert.deepEqual([(error as { code?: string }).code, jobId], ['MILLRACE_UNCAUGHT_EXCEPTION', job.id])
  assert.notEqual(await threadOf(executor), before)
})

for (const what of ['`cancel()`, the handler heeds `ctx.signal`', '`cancel()`, it does not within `abortGrace`']) {
  test(what, LIMIT, async (t) => {
    const { outcome, code, charged, replaced } = row(what)
    const executor = await open(t)
    const before = await threadOf(executor)
    const job = await started(executor, what)
    assert.equal(await executor.cancel(job), true)
    const { state, attempts, attempt } = await inform(executor, job)
    assert.deepEqual([state, attempts.length, attempt, charged], ['cancelled', 1, 1, 'no'])
    assert.deepEqual([attempts[0]?.outcome, attempts[0]?.error?.code], [outcome, code])
    assert.equal((await threadOf(executor)) !== before, replaced === 'yes')
  })
}

for (const deed of ['close heeded', 'close ignored']) {
  test(`\`discard()\`: ${deed}`, LIMIT, async (t) => {
    const { outcome, code, charged } = row('`discard()`')
    const executor = await open(t)
    const job = await started(executor, deed)
    assert.equal(await executor.discard(job), true)
    const { state, attempts, attempt, error } = await inform(executor, job)
    assert.deepEqual([state, attempts.length, attempt, charged], ['discarded', 1, 1, 'no, and discarded'])
    assert.deepEqual([attempts[0]?.outcome, error?.code], [outcome, code])
  })

  test(`\`pause({ interrupt: true })\`: ${deed}`, LIMIT, async (t) => {
    const { outcome, code, charged } = row('`pause({ interrupt: true })`')
    const executor = await open(t)
    const job = await started(executor, deed)
    await executor.queue('default').pause({ interrupt: true })
    const { state, attempts, attempt } = await inform(executor, job)
    assert.deepEqual([state, attempts.length, attempt, charged], ['available', 1, 1, 'no'])
    assert.deepEqual([attempts[0]?.outcome, attempts[0]?.error?.code], [outcome, code])
  })

  test(`\`close()\`, it outlasts \`grace\`: ${deed}`, LIMIT, async (t) => {
    const { outcome, code, charged } = row('`close()`, it outlasts `grace`')
    const path = newDirectory(t)
    const executor = await open(t, { path })
    const job = await started(executor, deed)
    assert.deepEqual(await executor.close({ grace: 0 }), { interrupted: [job] })
    const { state, attempt, attempts } = await inform(await open(t, { path, jobs: [] }), job)
    assert.deepEqual([state, attempt, charged], ['available', 1, 'no'])
    assert.deepEqual([attempts[0]?.outcome, attempts[0]?.error?.code], [outcome, code])
  })
}

test('The process dies', LIMIT, async (t) => {
  const beside = row('The process dies, with several jobs in flight')
  const alone = row('The process dies while the job runs alone')
  const last = row('The same, for the `maxCrashes`-th time')
  const path = newDirectory(t)
  const look = async (): Promise<JobInfo[]> => {
    const executor = await openExecutor({ path, jobs: [], threads: 1 })
    const infos: JobInfo[] = []
    for await (const info of executor.list()) infos.push(info)
    infos.sort((left, right) => (left.id < right.id ? -1 : 1))
    await executor.close()
    return infos
  }
  const ends = ({ state, attempts, crashes, error }: JobInfo): unknown[] => [
    state,
    crashes,
    attempts.at(-1)?.outcome,
    attempts.at(-1)?.error?.code,
    error?.code,
  ]

  await die(path, 'kills', 'waits')
  for (const info of await look()) {
    assert.deepEqual(ends(info), ['available', 0, beside.outcome, beside.code, undefined])
    assert.equal(info.attempt, 1)
  }
  for (const crashes of [1, 2]) {
    await die(path)
    const [info] = await look()
    assert(info !== undefined)
    assert.match(alone.charged, /^no; counted by `maxCrashes`$/)
    assert.deepEqual(ends(info), ['available', crashes, alone.outcome, alone.code, undefined])
    assert.equal(info.attempt, 1)
  }
  await die(path)
  const [info] = await look()
  assert(info !== undefined)
  assert.deepEqual(ends(info), ['discarded', 3, last.outcome, alone.code, last.code])
  assert.match(last.charged, /discarded/)
})

test('Its turn comes after `startBefore`', LIMIT, async (t) => {
  const { outcome, code, charged } = row('Its turn comes after `startBefore`')
  const executor = await open(t)
  const job = await executor.enqueue(fails, '', { startBefore: new Date('2020-01-01') })
  await assert.rejects(job.result(), { code: 'MILLRACE_JOB_FAILED' })
  const { state, attempts, error } = await inform(executor, job.id)
  assert.deepEqual([attempts.at(-1)?.outcome, error?.code, state], [outcome, code, charged])
})

test('It throws, and `retryIf` says `false`', LIMIT, async (t) => {
  await check(t, 'It throws, and `retryIf` says `false`', picky)
})

test('The stored input does not fit the schema any more', LIMIT, async (t) => {
  const { outcome, code, charged } = row('The stored input does not fit the schema any more')
  const path = newDirectory(t)
  const job = await waiting(t, path)
  const input = z.object({ row: z.string() })
  const changed = defineJob({ name: 'apart', module: newModule(t, 'export const run = () => 1'), input })
  const executor = await open(t, { path, jobs: [changed] })
  await assert.rejects(executor.job(job).result(), { code: 'MILLRACE_JOB_FAILED' })
  const { state, attempts } = await inform(executor, job)
  assert.deepEqual([state, attempts.length, charged], ['discarded', 1, 'yes, and discarded'])
  assert.deepEqual([attempts[0]?.outcome, attempts[0]?.error?.code], [outcome, code])
})

test("A stored job's name is not among `jobs`", LIMIT, async (t) => {
  const { outcome, code, charged } = row("A stored job's name is not among `jobs`")
  assert.deepEqual([outcome, code, charged], [undefined, undefined, 'no: it waits'])
  const path = newDirectory(t)
  const job = await waiting(t, path)
  const warned = once(process, 'warning') as Promise<[Error]>
  const executor = await open(t, { path, jobs: [whichThread] })
  assert.equal((await warned)[0].name, 'MillraceUnknownJob')
  await threadOf(executor)
  const { attempts } = await inform(executor, job)
  assert.deepEqual(attempts, [])
})

test('At `enqueue`: input unfit or not storable, unknown definition or queue', LIMIT, async (t) => {
  row('At `enqueue`: input unfit or not storable, unknown definition or queue')
  const jobs = defineJob({ name: 'apart', module: newModule(t, 'export const run = () => 1'), input: z.string() })
  const executor = await open(t, { jobs: [jobs, fails] })
  await assert.rejects(executor.enqueue(jobs, 5 as never), { code: 'MILLRACE_INVALID_INPUT' })
  await assert.rejects(executor.enqueue(fails, (() => 1) as never), { code: 'MILLRACE_PAYLOAD_UNENCODABLE' })
  await assert.rejects(executor.enqueue(fails, 'x'.repeat(200_000)), { code: 'MILLRACE_PAYLOAD_TOO_LARGE' })
  await assert.rejects(executor.enqueue(whichThread), { code: 'MILLRACE_UNKNOWN_DEFINITION' })
  await assert.rejects(executor.enqueue(fails, '', { queue: 'nowhere' }), { code: 'MILLRACE_UNKNOWN_QUEUE' })
  assert.deepEqual(new Set(Object.values(await executor.counts())), new Set([0]))
})

test('every row is checked', () => {
  // In test/integration/threads, where batches are made to order.
  row("A batch-mate's end takes the thread along")
  assert.deepEqual([...checked].sort(), [...rows.keys()].sort())
})

/** The id of a job of the name `apart` that waits in a store. */
async function waiting(t: TestContext, path: string): Promise<string> {
  const definition = defineJob({ name: 'apart', module: newModule(t, 'export const run = () => 1') })
  const executor = await open(t, { path, jobs: [definition] })
  // Closed before it is due; then it waits for whoever opens the store next.
  const { id } = await executor.enqueue(definition, 5, { delay: 100 })
  await executor.close()
  return id
}

/** The id of a job that a thread has begun. */
async function started(executor: Executor, what: string): Promise<string> {
  const begun = new Promise<string>((resolve) => executor.on('started', ({ job }) => resolve(job.id)))
  await executor.enqueue(fails, what)
  return begun
}

/** A process that opens the store and is killed by what it runs. */
async function die(path: string, ...jobs: readonly string[]): Promise<void> {
  const program = fileURLToPath(new URL('../fixtures/docs/die.js', import.meta.url))
  const child = spawn(process.execPath, [program, path, ...jobs], { stdio: 'inherit' })
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL')
}

function newDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-failures-'))
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}

function newModule(t: TestContext, source: string): URL {
  const file = join(newDirectory(t), 'handler.mjs')
  writeFileSync(file, source)
  return pathToFileURL(file)
}
