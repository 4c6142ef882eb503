/** What goes in: atomicity, refusals, precedence of settings, schemas, back-pressure. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { InvalidInputError } from '../../../src/base/errors.js'
import { defineJob } from '../../../src/job/define-job.js'
import { echo, gated, large, nothing } from '../../fixtures/executor/jobs.js'
import { broken, constant, late, lateChange, mixed, resize, varying } from '../../fixtures/executor/schema-jobs.js'
import { assertConsistent, listed, rejection, setup, STORES, withCode } from '../../support/executor.js'
import { Gate } from '../../support/gate.js'

const jobs = [echo, gated, nothing, large, resize, late, lateChange, broken, varying, constant, mixed]
const queues = { side: {} }

for (const store of STORES) {
  describe(`enqueueMany, ${store}`, () => {
    it('stores nothing when one input among 5,000 is refused, and names every bad one', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const inputs: unknown[] = Array.from({ length: 5000 }, (_, index) => ({ width: index + 1 }))
      inputs[17] = { width: -1 }
      inputs[4999] = { width: 'wide', format: 3 }
      const error = (await rejection(executor.enqueueMany(resize, inputs as { width: number }[]))) as InvalidInputError
      withCode('MILLRACE_INVALID_INPUT', /Nothing was enqueued/)(error)
      assert.deepEqual(
        error.issues.map(({ path }) => path),
        [
          [17, 'width'],
          [4999, 'width'],
          [4999, 'format'],
        ],
      )
      assert.match(error.message, /17\.width.*4999\.width.*4999\.format/s)
      await executor.drain()
      assert.deepEqual(await listed(executor), [])
      // What was encoded before the bad one is not left in the next commit either.
      const [job] = await executor.enqueueMany(resize, [{ width: 5 }])
      assert.deepEqual(await job!.result(), { width: 5, format: 'png' })
      assert.equal((await listed(executor)).length, 1)
    })

    it('stores nothing when one input cannot be encoded, is too large, or the iterable throws', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, limits: { payloadBytes: 1000 } })
      const many = (bad: unknown): unknown[] => [...Array.from({ length: 3000 }, (_, index) => index), bad, 1]
      await assert.rejects(
        executor.enqueueMany(echo, many({ f: () => 1 })),
        withCode('MILLRACE_PAYLOAD_UNENCODABLE', /f is a function/),
      )
      await assert.rejects(executor.enqueueMany(echo, many('x'.repeat(2000))), withCode('MILLRACE_PAYLOAD_TOO_LARGE'))
      function* failing(): Generator<number> {
        yield* Array.from({ length: 2500 }, (_, index) => index)
        throw new Error('no more')
      }
      await assert.rejects(executor.enqueueMany(echo, failing()), /no more/)
      await assert.rejects(executor.enqueueMany(broken, [1]), /the schema itself failed/)
      await executor.drain()
      assert.deepEqual(await listed(executor), [])
    })

    it('gives one handle per input, in order, for 100,000 at once', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, durability: 'process', retain: { jobs: 10 } })
      const inputs = Array.from({ length: 100_000 }, (_, index) => index)
      const { commits } = executor.stats().store
      const handles = await executor.enqueueMany(echo, inputs)
      assert.equal(executor.stats().store.commits, commits + 1, 'it was not one commit')
      assert.equal(handles.length, inputs.length)
      const results = await Promise.all(handles.map((job) => job.result()))
      assert.deepEqual(results, inputs)
      const ids = handles.map(({ id }) => id)
      assert.deepEqual([...ids].sort(), ids, 'ids do not sort in the order of enqueueing')
      assert.equal(new Set(ids).size, ids.length)
      await executor.drain()
      assert.equal((await executor.counts()).completed, 10)
      assert.equal(executor.stats().totals.completed, 100_000)
      await assertConsistent(executor)
    })

    it('takes any iterable, and an empty one', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      assert.deepEqual(await executor.enqueueMany(echo, []), [])
      const handles = await executor.enqueueMany(echo, new Set(['a', 'b']))
      assert.deepEqual(await Promise.all(handles.map((job) => job.result())), ['a', 'b'])
      for (const bad of [undefined, null, 5, {}, 'text'] as unknown as Iterable<unknown>[])
        await assert.rejects(executor.enqueueMany(echo, bad), withCode('MILLRACE_INVALID_OPTIONS', /iterable/))
    })
  })

  describe(`the settings of a job, ${store}`, () => {
    it('come from the option, then the function, then the constant, then the default', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const settings = async (job: { id: string }): Promise<unknown[]> => {
        const info = await executor.get(job.id)
        assert.ok(info)
        return [info.queue, info.priority, info.maxRetries, info.timeoutMs]
      }
      const delay = '1h'
      const option = { queue: 'side', priority: -3, maxRetries: Infinity, timeout: Infinity, delay } as const
      assert.deepEqual(await settings(await executor.enqueue(echo, 1, { delay })), ['default', 0, 5, 15_000])
      assert.deepEqual(await settings(await executor.enqueue(constant, 1, { delay })), ['side', 5, 7, 20_000])
      assert.deepEqual(await settings(await executor.enqueue(varying, {}, { delay })), ['default', 0, 1, 1000])
      const asked = { queue: 'side', priority: 9, maxRetries: 3, timeout: 50 }
      assert.deepEqual(await settings(await executor.enqueue(varying, asked, { delay })), ['side', 9, 3, 50])
      for (const definition of [echo, constant] as const)
        assert.deepEqual(await settings(await executor.enqueue(definition, 1, option)), ['side', -3, Infinity, Infinity])
      assert.deepEqual(await settings(await executor.enqueue(varying, asked, option)), ['side', -3, Infinity, Infinity])
      assert.deepEqual(await settings(await executor.enqueue(varying, asked, { delay, maxRetries: 0 })), ['side', 9, 0, 50])
      assert.deepEqual(await settings(await executor.enqueue(mixed, 4, { delay, timeout: 77 })), ['side', 0, 4, 77])
    })

    it('stay with the job across a reopen and to its end', async (t) => {
      const { executor, reopen } = await setup(t, { store, jobs, queues })
      const waiting = await executor.enqueue(varying, { maxRetries: 3, priority: 9 }, { delay: '1h', timeout: Infinity })
      const done = await executor.enqueueMany(
        varying,
        Array.from({ length: 600 }, (_, index) => ({ maxRetries: index })),
        { timeout: '9s' },
      )
      await executor.drain()
      await executor.close()
      const again = await reopen()
      const info = await again.get(waiting.id)
      assert.deepEqual([info?.maxRetries, info?.priority, info?.timeoutMs], [3, 9, Infinity])
      for (const index of [0, 254, 255, 256, 599]) {
        const ended = await again.get(done[index]!.id)
        assert.deepEqual([ended?.state, ended?.maxRetries, ended?.timeoutMs], ['completed', index, 9000])
      }
    })

    it('that cannot be used are refused, and nothing is stored', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const bad: readonly (readonly [object, RegExp])[] = [
        [{ priority: 128 }, /priority/],
        [{ maxRetries: NaN }, /maxRetries/],
        [{ maxRetries: -1 }, /maxRetries/],
        [{ delay: '5 parsecs' }, /delay/],
        [{ delay: Infinity }, /delay/],
        [{ runAt: new Date(NaN) }, /runAt/],
        [{ delay: 1, runAt: 1 }, /runAt/],
        [{ timeout: 0 }, /timeout/],
        [{ retries: 3 }, /retries/],
        [{ backoff: { type: 'custom', delay: () => 1 } }, /backoff/],
        [{ priority: 0.5, timeout: 'soon' }, /priority[\s\S]*timeout/],
      ]
      for (const [options, message] of bad) {
        await assert.rejects(executor.enqueue(echo, 1, options), withCode('MILLRACE_INVALID_OPTIONS', message))
        await assert.rejects(executor.enqueueMany(echo, [1], options), withCode('MILLRACE_INVALID_OPTIONS', message))
      }
      await assert.rejects(executor.enqueue(echo, 1, { queue: 'sidee' }), withCode('MILLRACE_UNKNOWN_QUEUE', /"sidee".*"side"/))
      await assert.rejects(executor.enqueue(varying, { queue: 'nowhere' }), withCode('MILLRACE_UNKNOWN_QUEUE', /"nowhere"/))
      await assert.rejects(executor.enqueue(varying, { priority: 1.5 }), withCode('MILLRACE_INVALID_OPTIONS', /priority/))
      await assert.rejects(
        executor.enqueueMany(varying, [{}, { queue: 'nowhere' }, {}]),
        withCode('MILLRACE_UNKNOWN_QUEUE', /"nowhere"/),
      )
      const stranger = defineJob({ name: 'stranger', module: import.meta.url, run: (input: unknown) => input })
      await assert.rejects(executor.enqueue(stranger, 1), withCode('MILLRACE_UNKNOWN_DEFINITION', /"stranger"/))
      for (const value of [undefined, null, {}, 'echo', () => 1])
        await assert.rejects(executor.enqueue(value as never, 1), withCode('MILLRACE_UNKNOWN_DEFINITION'))
      await executor.drain()
      assert.deepEqual(await listed(executor), [])
    })
  })

  describe(`the input, ${store}`, () => {
    it('is checked by the schema; the handler gets what the schema makes of it, get shows what was enqueued', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const job = await executor.enqueue(resize, { width: '7' as unknown })
      assert.deepEqual(await job.result(), { width: 7, format: 'png' })
      const info = await executor.get(job.id)
      assert.deepEqual([info?.input, info?.output], [{ width: '7' }, { width: 7, format: 'png' }])
      const error = (await rejection(executor.enqueue(resize, { width: -1, at: 'x' }))) as InvalidInputError
      withCode('MILLRACE_INVALID_INPUT', /"resize"/)(error)
      assert.equal(error.name, 'InvalidInputError')
      assert.deepEqual(error.issues.map(({ path }) => path.join('.')).sort(), ['at', 'width'])
    })

    it('is checked by a schema that answers later', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      assert.deepEqual(await (await executor.enqueue(late, { n: 2 })).result(), { n: 2 })
      await assert.rejects(executor.enqueue(late, { n: 3 }), withCode('MILLRACE_INVALID_INPUT', /odd/))
      await assert.rejects(
        executor.enqueueMany(late, [{ n: 2 }, { n: 3 }, { n: 4 }]),
        withCode('MILLRACE_INVALID_INPUT', /1: odd/),
      )
      assert.equal(await (await executor.enqueue(lateChange, 5)).result(), 6)
      assert.equal((await listed(executor)).length, 2)
    })

    it('is what it was at the call, whatever the caller does to it afterwards', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const input = { list: [1], bytes: Buffer.from([1, 2]) }
      const enqueued = executor.enqueue(echo, input)
      const many = executor.enqueueMany(echo, [input])
      input.list.push(2)
      input.bytes.fill(9)
      const expected = { list: [1], bytes: Buffer.from([1, 2]) }
      assert.deepEqual(await (await enqueued).result(), expected)
      assert.deepEqual(await (await many)[0]!.result(), expected)
    })

    it('may be left out', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues })
      const job = await executor.enqueue(nothing)
      assert.equal(await job.result(), undefined)
      const info = await executor.get(job.id)
      assert.ok(info !== undefined && 'output' in info)
      assert.deepEqual([info.input, info.output], [undefined, undefined])
    })

    it('may be binary of any size up to the limit, and so may the output', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, limits: { payloadBytes: 8 * 2 ** 20 } })
      for (const bytes of [0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 300_000, 8 * 2 ** 20]) {
        const input = Buffer.alloc(bytes, 'abc')
        const job = await executor.enqueue(echo, input)
        assert.ok(((await job.result()) as Buffer).equals(input), `${bytes} bytes`)
        const info = await executor.get(job.id)
        assert.ok((info?.input as Buffer).equals(input) && (info?.output as Buffer).equals(input), `${bytes} bytes, stored`)
      }
      await assert.rejects(executor.enqueue(echo, Buffer.alloc(8 * 2 ** 20 + 1)), withCode('MILLRACE_PAYLOAD_TOO_LARGE'))
      const output = await executor.enqueue(large, { bytes: 8 * 2 ** 20 + 1 }, { maxRetries: 0 })
      await assert.rejects(output.result(), withCode('MILLRACE_JOB_FAILED', /too large/))
      const views = {
        floats: new Float64Array([1.5, -0]),
        inner: [new Uint16Array([7])],
        big: 5n,
        at: new Date(3),
        map: new Map([[1, new Set(['x'])]]),
      }
      assert.deepEqual(await (await executor.enqueue(echo, views)).result(), views)
    })
  })

  describe(`back-pressure, ${store}`, () => {
    it('makes callers wait, so that memory is bounded whatever they throw in', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, durability: 'process', retain: { jobs: 0 }, threads: 1 })
      const gate = new Gate(t)
      // The threads shall not eat what comes in: only the disk makes room.
      const holder = await executor.enqueue(gated, { gate: gate.name, tag: 'x' }, { queue: 'side' })
      const input = Buffer.alloc(2 ** 20)
      const before = process.memoryUsage().arrayBuffers
      let peak = 0
      let pending = 400
      const order: number[] = []
      const ids = await Promise.all(
        Array.from({ length: pending }, async (_, index) => {
          const { id } = await executor.enqueue(echo, input, { delay: '1h' })
          peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
          order.push(index)
          pending--
          return id
        }),
      )
      assert.equal(pending, 0)
      assert.deepEqual([...ids].sort(), ids, 'those that waited were overtaken')
      assert.equal((await executor.counts()).scheduled, 400)
      // A store in memory holds them all; of the rest there is a bound.
      const held = store === 'memory' ? 400 * 2 ** 20 : 0
      assert.ok(peak - held < 300 * 2 ** 20, `${Math.round(peak / 2 ** 20)} MB at the peak`)
      gate.open()
      await holder.result()
    })

    it('refuses only who never awaits', async (t) => {
      const { executor } = await setup(t, { store, jobs, queues, durability: 'process', retain: { jobs: 0 } })
      const input = Buffer.alloc(15 * 2 ** 20)
      // Fill up what may be pending, in one turn; the calls behind it wait.
      const big = Array.from({ length: 5 }, () => executor.enqueue(echo, input, { delay: '1h' }))
      const small = Array.from({ length: 100_005 }, () =>
        executor.enqueue(nothing).then(
          () => 'stored',
          (error: unknown) => (error as { code: string }).code,
        ),
      )
      await Promise.all(big)
      const outcomes = await Promise.all(small)
      assert.equal(outcomes.filter((outcome) => outcome === 'MILLRACE_BACKPRESSURE').length, 5)
      assert.equal(outcomes.filter((outcome) => outcome === 'stored').length, 100_000)
      await executor.drain()
      assert.equal(executor.stats().totals.completed, 100_000)
    })
  })

  it(`singles and many of one turn are one commit, in the order of the calls, ${store}`, async (t) => {
    const { executor } = await setup(t, { store, jobs, queues, threads: 1 })
    const { commits } = executor.stats().store
    const [first, [second, third], fourth] = await Promise.all([
      executor.enqueue(echo, 1, { delay: '1h' }),
      executor.enqueueMany(echo, [2, 3], { delay: '1h' }),
      executor.enqueue(echo, 4, { delay: '1h' }),
    ])
    assert.equal(executor.stats().store.commits, commits + 1)
    const ids = [first.id, second!.id, third!.id, fourth.id]
    assert.deepEqual([...ids].sort(), ids)
  })
}
