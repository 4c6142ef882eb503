/** Retention over a store in memory, beside a plain model of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PRUNE_BLOCKS } from '../../../src/base/limits.js'
import { uniqueHash } from '../../../src/codec/unique-entry.js'
import type { FinalState } from '../../../src/job/job-info.js'
import { FINAL_STATES, Retention, type RetentionRule } from '../../../src/maintenance/retention.js'
import type { Engine } from '../../../src/store/engine.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { JobStore } from '../../../src/store/job-store.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { createPrng, seedOfRun } from '../../support/prng.js'

function same(rule: RetentionRule): Record<FinalState, RetentionRule> {
  return { completed: rule, cancelled: rule, discarded: rule }
}

function bench(rules: Record<FinalState, RetentionRule>) {
  const engine: Engine = createMemoryEngine()
  const clock = { now: 1000 }
  const open = () => {
    const store = JobStore.open(engine, { next: () => 0 }, 'memory')
    return { store, retention: new Retention(store, rules, () => clock.now) }
  }
  let current = open()
  let seq = 1
  return {
    engine,
    clock,
    get retention() {
      return current.retention
    },
    /** Ends jobs in one commit. Gives their numbers. */
    async end(state: FinalState, jobs: number, apart = false, keyed = false): Promise<number[]> {
      const { store, retention } = current
      const writes = new WriteBatch()
      const seqs = Array.from({ length: jobs }, () => seq++)
      for (const number of seqs) {
        const job = {
          seq: number,
          enqueuedAt: 1,
          startedAt: 2,
          runMs: 3,
          definitionId: 0,
          queueId: 0,
          rank: 0,
          inputApart: apart,
          outputApart: apart,
        }
        const unique = { key: `${number}`, while: 'kept' } as const
        if (keyed) {
          const holder = { seq: number, queueId: 0, rank: 0, while: 'kept', released: false, over: true, expiresAt: 0 } as const
          store.uniques.take(writes, uniqueHash(store.definitionName(store.definitionId('job')), unique.key), holder)
        }
        const details = keyed ? { overrides: { unique } } : undefined
        retention.add(state, job, details, Buffer.alloc(0), 0, 0, Buffer.alloc(0), 0, 0)
        if (apart) for (const kind of [0, 1]) store.putPayload(writes, number, kind, Buffer.of(1))
      }
      retention.write(writes)
      store.writeMeta(writes)
      await engine.commit(writes)
      store.committed()
      return seqs
    },
    /** Takes jobs out again, as if they had never ended. */
    async take(state: FinalState, numbers: readonly number[]): Promise<void> {
      const { store, retention } = current
      const writes = new WriteBatch()
      for (const number of numbers) {
        const found = retention.find(number)
        assert.ok(found !== undefined)
        assert.deepEqual(
          retention.read(state, found.block, new Set([number])).map((entry) => entry.seq),
          [number],
        )
        retention.take(writes, state, found.block, new Set([number]))
        assert.equal(retention.find(number), undefined, 'in the same commit')
      }
      retention.write(writes)
      await engine.commit(writes)
      store.committed()
    },
    /** A commit in which nothing ends. */
    async write(): Promise<number> {
      const writes = new WriteBatch()
      current.retention.write(writes)
      await engine.commit(writes)
      return writes.length
    },
    async reopen(): Promise<void> {
      current = open()
      const writes = new WriteBatch()
      current.store.writeMeta(writes)
      await engine.commit(writes)
    },
    holds: (seq: number): boolean => current.store.uniques.find(uniqueHash('job', `${seq}`))?.seq === seq,
    kept: (state: FinalState): number[] =>
      [...current.retention.blocks(state)].flatMap((block) => block.map(({ entry }) => entry.seq)),
  }
}

describe('retention', () => {
  it('keeps exactly what a plain model keeps, through random histories and reopens', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    for (let round = 0; round < 30; round++) {
      const rule = { jobs: prng.pick([0, 1, 5, 30, Infinity]), ageMs: prng.pick([100, 5000, Infinity]) }
      const house = bench(same(rule))
      let model: { state: FinalState; seq: number; at: number }[] = []
      for (let step = 0; step < 60; step++) {
        const state = prng.pick(FINAL_STATES)
        for (const seq of await house.end(state, prng.below(12))) model.push({ state, seq, at: house.clock.now })
        house.clock.now += prng.below(60)
        if (prng.below(10) === 0) await house.reopen()
        const label = `seed ${seed}, round ${round}, step ${step}`
        for (const of of FINAL_STATES) {
          const all = model.filter((job) => job.state === of)
          const expected = all
            .slice(Math.max(0, all.length - rule.jobs))
            .filter(({ at }) => at + rule.ageMs > house.clock.now)
            .map(({ seq }) => seq)
          assert.deepEqual(house.kept(of), expected, label)
          assert.equal(house.retention.count(of), expected.length, label)
          const gone = all.map(({ seq }) => seq).filter((seq) => !expected.includes(seq))
          for (const seq of expected) assert.equal(house.retention.find(seq)?.state, of, label)
          for (const seq of gone) assert.equal(house.retention.find(seq), undefined, label)
          // What is gone stays so, also when there is room again.
          model = model.filter(({ seq }) => !gone.includes(seq))
          const taken = expected.filter(() => prng.below(12) === 0)
          if (taken.length === 0) continue
          await house.take(of, taken)
          model = model.filter(({ seq }) => !taken.includes(seq))
          const left = expected.filter((seq) => !taken.includes(seq))
          assert.deepEqual(house.kept(of), left, `${label}: taken ${taken.join()}`)
          assert.equal(house.retention.count(of), left.length, label)
        }
      }
    }
  })

  it('removes blocks and the payloads that lie apart, a bounded number in one commit', async () => {
    const house = bench(same({ jobs: Infinity, ageMs: 1000 }))
    const blocks = PRUNE_BLOCKS * 3 + 5
    for (let block = 0; block < blocks; block++) await house.end('completed', 1, block % 2 === 0)
    const count = (table: 'finished' | 'payloads'): number => house.engine.range(table, { limit: 10_000 }).length
    assert.deepEqual([count('finished'), count('payloads')], [blocks, Math.ceil(blocks / 2) * 2])
    house.clock.now += 1000
    assert.deepEqual([house.retention.count('completed'), house.kept('completed')], [0, []], 'too old, although still there')
    let commits = 0
    while (house.retention.hasExpired) {
      const before = count('finished')
      await house.write()
      assert.ok(before - count('finished') <= PRUNE_BLOCKS)
      assert.ok(commits++ < 10)
    }
    assert.equal(commits, 4)
    assert.deepEqual([count('finished'), count('payloads')], [0, 0])
    assert.equal(await house.write(), 0, 'it goes on writing')
  })

  it('removes the payloads of an earlier process too', async () => {
    const house = bench(same({ jobs: 2, ageMs: Infinity }))
    await house.end('discarded', 2, true)
    await house.reopen()
    await house.end('discarded', 2, false)
    assert.equal(house.engine.range('payloads', { limit: 100 }).length, 0)
  })

  it('keeps a block whose last jobs count, and shows only those', async () => {
    const house = bench({ ...same({ jobs: 3, ageMs: Infinity }), cancelled: { jobs: 1, ageMs: Infinity } })
    const first = await house.end('completed', 5)
    assert.deepEqual(house.kept('completed'), first.slice(2))
    const second = await house.end('completed', 2)
    assert.deepEqual(house.kept('completed'), [...first.slice(4), ...second])
    await house.end('cancelled', 2)
    assert.equal(house.kept('cancelled').length, 1)
    await house.reopen()
    assert.deepEqual(house.kept('completed'), [...first.slice(4), ...second])
    const third = await house.end('completed', 3)
    assert.deepEqual(house.kept('completed'), third)
    assert.equal(house.engine.range('finished', { limit: 100 }).length, 2)
  })

  it('finds blocks by what may be in them, and takes jobs out with nothing of theirs left behind', async () => {
    const house = bench(same({ jobs: Infinity, ageMs: Infinity }))
    const seqs = [...(await house.end('discarded', 4, true)), ...(await house.end('discarded', 4, true))]
    const wanted = seqs[6]!
    const found = house.retention.nextBlock('discarded', -1, (lowest, highest) => lowest <= wanted && wanted <= highest)
    assert.deepEqual(
      Array.from(found?.heads ?? [], ({ seq }) => seq),
      seqs.slice(4),
    )
    assert.equal(
      house.retention.nextBlock('discarded', found!.number, () => true),
      undefined,
    )
    await house.take('discarded', seqs.slice(4))
    assert.equal(house.engine.range('finished', { limit: 10 }).length, 1, 'an empty block is removed')
    await house.take('discarded', [seqs[1]!])
    await house.reopen()
    assert.deepEqual(house.kept('discarded'), [seqs[0], seqs[2], seqs[3]])
  })

  // What is known of a block from memory and what is read of it at an opening are two ways to the same keys.
  for (const isReopened of [false, true]) {
    it(`lets go of the keys of what leaves for good, and leaves those of jobs that are taken out to the caller${isReopened ? ', reopened' : ''}`, async () => {
      const house = bench({ ...same({ jobs: 3, ageMs: Infinity }) })
      // Of the first block two count no more, once the second is there.
      const first = await house.end('discarded', 3, false, true)
      const second = await house.end('discarded', 2, false, true)
      const holders = (): number[] => [...first, ...second].filter((seq) => house.holds(seq))
      assert.deepEqual(holders(), [...first, ...second])
      await house.take('discarded', [second[0]!])
      assert.deepEqual(house.kept('discarded'), [first[2], second[1]])
      assert.deepEqual(holders(), [first[2], ...second], 'the two that did not count have gone with their keys')
      if (isReopened) await house.reopen()
      await house.end('discarded', 3, false, true)
      assert.deepEqual(
        holders(),
        [second[0]],
        'nothing is left of their keys when they go, and the job that was taken out keeps its own',
      )
    })
  }

  it('says how many of the jobs to come need not be kept at all', () => {
    const retention = (rule: RetentionRule): Retention => bench(same(rule)).retention
    assert.equal(retention({ jobs: 10, ageMs: Infinity }).passOver('completed', 15), 5)
    assert.equal(retention({ jobs: 10, ageMs: Infinity }).passOver('completed', 10), 0)
    assert.equal(retention({ jobs: 0, ageMs: Infinity }).passOver('completed', 7), 7)
    assert.equal(retention({ jobs: Infinity, ageMs: Infinity }).passOver('completed', 1e6), 0)
    assert.equal(retention({ jobs: 10, ageMs: 0 }).passOver('completed', 3), 3)
  })
})
