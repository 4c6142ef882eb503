/**
 * The account of finished jobs that are not kept: a block that is lost is told, and what was pruned, purged or brought back never is.
 * Nothing here says that everything is kept.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { finishedKey, metaKey } from '../../../src/codec/keys.js'
import type { Executor } from '../../../src/executor/executor.js'
import { doctor } from '../../../src/index.js'
import type { FinalState } from '../../../src/job/job-info.js'
import { planRepair } from '../../../src/maintenance/repair.js'
import { type Engine, type Entry, WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { echo, nothing, obedient } from '../../fixtures/executor/jobs.js'
import { lasting, setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { formatOf, placeOldStore } from '../../support/old-stores.js'
import { createPrng, type Prng, seedOfRun } from '../../support/prng.js'
import { makeSampleStore, openSample } from '../../support/sample-store.js'
import { checkStore } from '../../support/store-check.js'
import { tempDirectory } from '../../support/temp-directory.js'

const jobs = [echo, nothing, obedient]
const LOST = /^(\d+) (completed|cancelled|discarded) jobs? (?:is|are) lost: /

type Counters = Record<string, number> & { gone?: Record<string, number> }

function countersOf(engine: Engine): Counters {
  return JSON.parse(engine.get('meta', metaKey('counters'))!.toString('utf8')) as Counters
}

async function commit(engine: Engine, fill: (batch: WriteBatch) => void): Promise<void> {
  const batch = new WriteBatch()
  fill(batch)
  await engine.commit(batch)
}

async function putCounters(engine: Engine, counters: object): Promise<void> {
  await commit(engine, (batch) => batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify(counters))))
}

function blocks(engine: Engine): Entry[] {
  return engine.range('finished', { limit: 10_000 })
}

/** Removes each block in turn, and puts it back: how many jobs the audit tells to be lost. */
async function lossesTold(engine: Engine): Promise<number> {
  let told = 0
  assert.deepEqual(checkStore(engine), [])
  for (const { key, value } of blocks(engine)) {
    await commit(engine, (batch) => batch.remove('finished', key))
    // Payloads and unique keys of its jobs are left behind.
    const [problem = 'nothing', ...more] = checkStore(engine).filter((text) => !/^(payload|index unique)/.test(text))
    assert.deepEqual(more, [])
    const [, lost = '', state = ''] =
      LOST.exec(problem) ?? assert.fail(`block ${key.toString('hex')} is gone, and told is ${problem}`)
    assert.equal(Number(lost), value.readUInt32LE(4), problem)
    assert.ok(key.subarray(0, 1).equals(finishedKey(state as FinalState, 0).subarray(0, 1)), problem)
    told += Number(lost)
    await commit(engine, (batch) => batch.put('finished', key, value))
  }
  return told
}

async function endJobs(executor: Executor, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    await executor.enqueue(echo, time)
    await executor.enqueue(obedient, { do: time % 2 === 0 ? 'cancel' : 'fatal' })
    await executor.drain()
  }
}

describe('a block of finished jobs that is lost', () => {
  it('is told, whichever it is, in a store that prunes', async (t) => {
    const bench = await setup(t, { store: 'memory', jobs, threads: 1, retain: { jobs: 18, age: Infinity } })
    await endJobs(bench.executor, 50)
    await bench.executor.close()
    const engine = await bench.engine()
    assert.deepEqual(checkStore(engine), [])
    const { completed, cancelled, discarded, gone } = countersOf(engine)
    assert.deepEqual([completed, cancelled, discarded], [50, 25, 25])
    assert.ok(gone !== undefined && gone['completed']! >= 30 && gone['cancelled']! >= 5)
    assert.ok(blocks(engine).length >= 40)
    assert.equal(await lossesTold(engine), 100 - gone['completed']! - gone['cancelled']! - gone['discarded']!)
  })

  it('is told until it is put down, whatever happens meanwhile, and so is the next one then', async (t) => {
    const bench = await setup(t, { store: 'memory', jobs, threads: 1, retain: { jobs: 6, age: Infinity } })
    await endJobs(bench.executor, 8)
    await bench.executor.close()
    const engine = await bench.engine()
    await commit(engine, (batch) => batch.remove('finished', blocks(engine)[0]!.key))
    const executor = await bench.reopen()
    await endJobs(executor, 12)
    await executor.queue('default').purge({ state: 'completed' })
    await executor.close()
    assert.match(checkStore(engine).join('\n'), /^1 completed job is lost: of 20 counted, 19 have left and 0 are there/)
    await engine.commit(planRepair(engine, {}).writes)
    assert.equal(await lossesTold(engine), 12)
  })

  it('is told as too many when it should have gone and has not', async (t) => {
    const bench = await setup(t, { store: 'memory', jobs, threads: 1, retain: { jobs: 3, age: Infinity } })
    await endJobs(bench.executor, 8)
    await bench.executor.close()
    const engine = await bench.engine()
    const [first] = blocks(engine)
    await endJobs(await bench.reopen(), 8)
    await commit(engine, (batch) => batch.put('finished', first!.key, first!.value))
    assert.match(checkStore(engine).join('\n'), /^1 completed job should be gone and is there: /m)
  })

  it('is told by the doctor, and accounted for by its repair', async (t) => {
    const directory = join(await tempDirectory(t), 'store')
    await makeSampleStore(directory, 30)
    const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    const lost = blocks(engine).find(({ value }) => value.readUInt32LE(4) > 1) ?? assert.fail('there is no block of several jobs')
    await commit(engine, (batch) => batch.remove('finished', lost.key))
    await engine.close()
    const found = await doctor(directory)
    assert.equal(found.verdict, 'problems')
    const [problem] = found.problems
    assert.match(problem!.text, LOST)
    assert.match(problem!.text, /only a backup may have them$/)
    assert.ok(problem!.isRepairable)
    const repaired = await doctor(directory, { repair: true })
    assert.equal(repaired.verdict, 'repaired')
    assert.equal((await doctor(directory)).verdict, 'healthy')
    const executor = await openSample(directory)
    const { totals } = executor.stats()
    assert.equal(totals.completed, 71, 'what has ended stays counted')
    assert.ok((await executor.counts()).completed < 71)
    await executor.close({ grace: 0 })
    assert.equal((await doctor(directory)).verdict, 'healthy')
  })
})

describe('a store without the account', () => {
  it('of an earlier format begins with what it has when it is opened', async (t) => {
    const directory = join(await tempDirectory(t), 'old')
    await placeOldStore(1, directory)
    const executor = await openSample(directory)
    await executor.close({ grace: 0 })
    assert.equal(await formatOf(directory), 2)
    const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    t.after(() => engine.close())
    assert.deepEqual(checkStore(engine), [])
    assert.ok((await lossesTold(engine)) > 50)
  })

  for (const [name, forget] of [
    ['has never had it', ({ gone: _gone, ...rest }: Counters): object => rest],
    [
      'was opened by a version that does not know it',
      ({ epoch = 0, ...rest }: Counters): object => ({ ...rest, epoch: epoch + 1 }),
    ],
    ['has one that is none', (all: Counters): object => ({ ...all, gone: { ...all.gone, cancelled: 'few' } })],
  ] as const) {
    it(`because it ${name}, begins with what it has when it is opened, and says nothing of what was before`, async (t) => {
      const bench = await setup(t, { store: 'memory', jobs, threads: 1, retain: { jobs: 5, age: Infinity } })
      await endJobs(bench.executor, 12)
      await bench.executor.close()
      const engine = await bench.engine()
      await putCounters(engine, forget(countersOf(engine)))
      // What another version may have pruned.
      const [first] = blocks(engine)
      await commit(engine, (batch) => batch.remove('finished', first!.key))
      assert.deepEqual(checkStore(engine), [])
      const executor = await bench.reopen()
      assert.deepEqual(checkStore(engine), [])
      await endJobs(executor, 4)
      await executor.close()
      assert.ok((await lossesTold(engine)) >= 15)
    })
  }

  it('is not given one by a repair of something else', async (t) => {
    const bench = await setup(t, { store: 'memory', jobs, threads: 1 })
    await endJobs(bench.executor, 3)
    await bench.executor.close()
    const engine = await bench.engine()
    const { gone: _gone, ...rest } = countersOf(engine)
    await putCounters(engine, { ...rest, waiting: 7 })
    const { writes, after } = planRepair(engine, {})
    assert.deepEqual(after.problems, [])
    await engine.commit(writes)
    assert.deepEqual(countersOf(engine), { ...rest, waiting: 0 })
  })
})

/** One thing that may happen to a store. */
async function act(executor: Executor, prng: Prng, clock: FakeClock): Promise<void> {
  const states: FinalState[] = ['cancelled', 'discarded']
  switch (prng.below(9)) {
    case 0:
    case 1: {
      const inputs = Array.from({ length: prng.below(30) }, () => Buffer.alloc(prng.below(20) === 0 ? 20_000 : 10))
      await executor.enqueueMany(echo, inputs, prng.below(3) === 0 ? { delay: prng.below(50_000) } : {})
      return
    }
    case 2:
    case 3: {
      const what = ['complete', 'fail', 'fatal', 'cancel', 'retry'] as const
      const inputs = Array.from({ length: 1 + prng.below(6) }, () => ({ do: prng.pick(what), afterMs: prng.below(20_000) }))
      const unique = prng.below(3) === 0 && {
        unique: { key: `${prng.below(4)}`, while: prng.pick(['kept', 'waiting'] as const) },
      }
      for (const input of inputs) await executor.enqueue(obedient, input, { ...unique, maxRetries: prng.below(2) })
      return
    }
    case 4: {
      for await (const { id } of executor.list({ state: [...states, 'scheduled'] })) {
        if (prng.below(2) === 0) await executor.retry(id)
        else await executor.discard(id)
        if (prng.below(4) === 0) return
      }
      return
    }
    case 5:
      await executor.retryMany({ state: states })
      return
    case 6:
      await executor.cancelMany({ state: ['scheduled', 'available'] })
      return
    case 7:
      await executor.queue('default').purge({ state: [prng.pick(['scheduled', 'completed', ...states] as const)] })
      return
    default:
      clock.advance(prng.below(40_000))
  }
}

async function live(t: TestContext, seed: number): Promise<{ readonly engine: Engine; readonly left: number }> {
  const prng = createPrng(seed)
  const clock = new FakeClock()
  const rule = () => ({ jobs: prng.pick([0, 1, 3, 10]), age: prng.pick([20_000, Infinity]) })
  const retain = { ...rule(), completed: rule(), discarded: rule() }
  const engine = lasting(createMemoryEngine())
  const options = { engine, jobs, threads: 1, retain, clock, random: prng }
  const bench = await setup(t, options)
  let { executor } = bench
  for (let step = 0; step < 40; step++) {
    await Promise.all(Array.from({ length: 1 + prng.below(3) }, () => act(executor, prng, clock)))
    if (prng.below(2) === 0) await executor.drain()
    assert.deepEqual(checkStore(engine, { crashed: true }), [], `seed ${seed}, step ${step}`)
    assert.equal(countersOf(engine).gone?.['epoch'], countersOf(engine)['epoch'], 'it is checked')
    if (prng.below(12) === 0) {
      await executor.close({ grace: 0 })
      // Another rule: more of what is there counts no more.
      executor = await bench.reopen({ retain: { ...rule(), cancelled: rule() } })
    }
  }
  await executor.close({ grace: 0 })
  const { completed, cancelled, discarded } = countersOf(engine)
  return { engine, left: completed! + cancelled! + discarded! }
}

it('the audit is silent in random histories that prune, purge and bring back, and tells each loss after them', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  let told = 0
  for (let round = 0; round < 4; round++) {
    const { engine, left } = await live(t, seed + round)
    assert.ok(left > 30, `seed ${seed + round}: only ${left} jobs have ended`)
    told += await lossesTold(engine)
  }
  assert.ok(told > 0, 'nothing was kept that could be lost')
})
