/** What reaches a handler of what was enqueued. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JobFailedError } from '../../../src/index.js'
import { where } from '../../fixtures/threads/jobs.js'
import {
  apart,
  inline,
  ODD_ANSWERS,
  ODD_PROMISES,
  oddApart,
  oddBackoff,
  throwingApart,
  throwingAtOnceApart,
  throwingBackoff,
  throwingInline,
  tightApart,
  tightInline,
  unstorableApart,
} from '../../fixtures/threads/parsed.js'
import { LIMITS, open, rejection } from '../../support/open.js'
import { attemptsOf } from '../../support/traces.js'

/** Makes the schemas of `fixtures/threads/parsed` strict, here and in threads that start from now on. */
function tighten(t: { after(fn: () => void): void }): void {
  process.env['MILLRACE_TEST_STRICT'] = '1'
  t.after(() => {
    delete process.env['MILLRACE_TEST_STRICT']
  })
}

for (const job of [inline, apart]) {
  test(
    `a handler ${job.name === 'apart' ? 'apart from its definition' : 'beside its definition'} is given the input as the schema makes it`,
    LIMITS,
    async (t) => {
      const opened = await open(t, { jobs: [inline, apart] })
      const date = '2026-01-02T03:04:05.000Z'
      const inputs = [{ text: ' a ' }, { text: 'B', size: 1 }, { text: 'c', at: date }, { text: ' ä'.repeat(40_000) }]
      const expected = [
        { given: { text: 'A', size: 7 }, isDate: false },
        { given: { text: 'B', size: 1 }, isDate: false },
        { given: { text: 'C', size: 7, at: new Date(date) }, isDate: true },
        { given: { text: inputs[3]!.text.trim().toUpperCase(), size: 7 }, isDate: false },
      ]
      const jobs = await Promise.all(inputs.map((input) => opened.executor.enqueue(job, input)))
      for (const [index, handle] of jobs.entries()) {
        assert.deepEqual(await handle.result(), expected[index])
        assert.deepEqual((await opened.executor.get(handle.id))?.input, inputs[index], 'what is stored is what was enqueued')
      }
      // Stored by one process, run by another, which has checked nothing yet.
      const later = await Promise.all(inputs.map((input) => opened.executor.enqueue(job, input, { delay: 1 })))
      const executor = await opened.reopen({})
      for (const [index, { id }] of later.entries()) assert.deepEqual(await executor.job(id).result(), expected[index])
    },
  )
}

for (const [what, job] of Object.entries({ inline: tightInline, apart: tightApart })) {
  test(
    `an input that no longer fits its schema is discarded, with the issues, its bytes kept; others run: ${what}`,
    LIMITS,
    async (t) => {
      const opened = await open(t, { jobs: [job, where] })
      const handles = await opened.executor.enqueueMany(job, [{ n: 5 }, { n: 50 }, { n: 6 }], { delay: 300 })
      tighten(t)
      const executor = await opened.reopen({ env: { ...process.env } })
      const error = await rejection(executor.job(handles[1]!.id).result())
      assert(error instanceof JobFailedError)
      assert.equal(error.error.code, 'MILLRACE_INPUT_MISMATCH')
      assert.match(error.error.message, /n has become too large/)
      const info = await executor.get(handles[1]!.id)
      assert.equal(info?.state, 'discarded')
      assert.deepEqual(info.input, { n: 50 })
      for (const index of [0, 2]) {
        await executor.job(handles[index]!.id).result()
        assert.deepEqual(await attemptsOf(executor, handles[index]!), ['1 completed'])
      }
    },
  )
}

for (const [what, job] of Object.entries({
  'throws, inline': throwingInline,
  'throws, apart': throwingAtOnceApart,
  'makes what cannot be stored, apart': unstorableApart,
})) {
  test(`promise 4: a schema that ${what}, when the job's turn comes, fails that job alone`, LIMITS, async (t) => {
    const opened = await open(t, { jobs: [job, where] })
    const [handle] = await opened.executor.enqueueMany(job, [{ n: 5 }], { delay: 300 })
    tighten(t)
    const executor = await opened.reopen({ env: { ...process.env } })
    const error = await rejection(executor.job(handle!.id).result())
    assert(error instanceof JobFailedError, error.stack)
    const info = await executor.get(handle!.id)
    assert.equal(info?.state, 'discarded')
    assert.deepEqual(info.input, { n: 5 })
    assert.equal(typeof (await (await executor.enqueue(where, undefined)).result()), 'number')
  })
}

test('promise 4: a schema that rejects when the turn of a job comes does not harm the process', LIMITS, async (t) => {
  const opened = await open(t, { jobs: [throwingApart, where] })
  const [handle] = await opened.executor.enqueueMany(throwingApart, [{ n: 5 }], { delay: 300 })
  tighten(t)
  const executor = await opened.reopen({ env: { ...process.env } })
  await Promise.allSettled([executor.job(handle!.id).result()])
  assert.equal(typeof (await (await executor.enqueue(where, undefined)).result()), 'number')
})

test('promise 4: a schema that throws when a custom backoff is asked does not stop the executor', LIMITS, async (t) => {
  const opened = await open(t, { jobs: [throwingBackoff, where] })
  const [handle] = await opened.executor.enqueueMany(throwingBackoff, [{ n: 1 }], { delay: 300 })
  tighten(t)
  // Threads are not told: there the schema is as it was, and the attempt fails by itself.
  const executor = await opened.reopen({ env: { ...process.env, MILLRACE_TEST_STRICT: '0' } })
  assert.equal(await executor.job(handle!.id).result(), 2)
  assert.equal(typeof (await (await executor.enqueue(where, undefined)).result()), 'number')
})

test(
  'promise 4: a schema whose answer is none, or cannot be read, when the turn of a job comes fails that job alone',
  LIMITS,
  async (t) => {
    const opened = await open(t, { jobs: [oddApart, where] })
    const inputs = Array.from({ length: ODD_ANSWERS.length + ODD_PROMISES.length }, (_, n) => ({ n }))
    await opened.executor.queue('default').pause()
    const handles = await opened.executor.enqueueMany(oddApart, inputs)
    tighten(t)
    const executor = await opened.reopen({ env: { ...process.env } })
    await executor.queue('default').resume()
    for (const [index, { id }] of handles.entries()) {
      if (index >= ODD_ANSWERS.length) {
        await executor.job(id).result()
        continue
      }
      const error = await rejection(executor.job(id).result())
      assert(error instanceof JobFailedError, error.stack)
      assert.equal(error.error.code, 'MILLRACE_INPUT_MISMATCH', String(index))
      assert.match(error.error.message, /\S/)
    }
    assert.equal(typeof (await (await executor.enqueue(where, undefined)).result()), 'number')
  },
)

test('promise 4: such a schema does not stop the executor when a custom backoff is asked', LIMITS, async (t) => {
  const opened = await open(t, { jobs: [oddBackoff, where] })
  const inputs = Array.from({ length: ODD_ANSWERS.length + ODD_PROMISES.length }, (_, n) => ({ n }))
  await opened.executor.queue('default').pause()
  const handles = await opened.executor.enqueueMany(oddBackoff, inputs)
  tighten(t)
  const executor = await opened.reopen({ env: { ...process.env, MILLRACE_TEST_STRICT: '0' } })
  await executor.queue('default').resume()
  for (const { id } of handles) assert.equal(await executor.job(id).result(), 2)
  assert.equal(typeof (await (await executor.enqueue(where, undefined)).result()), 'number')
})
