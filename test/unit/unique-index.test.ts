/** Who holds which key, over a store in memory, beside a plain model: which records there are after each commit. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EXPIRE_KEYS } from '../../src/base/limits.js'
import { INDEX_UNIQUE, INDEX_UNIQUE_EXPIRY } from '../../src/codec/keys.js'
import { type KeyHolder, readHolder, uniqueHash, uniqueIndexKey, writeHolder } from '../../src/codec/unique-entry.js'
import { UNIQUE_WHILES } from '../../src/job/unique.js'
import { type Engine, WriteBatch } from '../../src/store/engine.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { UniqueIndex } from '../../src/store/unique-index.js'
import { createPrng, seedOfRun } from '../support/prng.js'
import { withCode } from '../support/executor.js'

const HASHES = ['a', 'b', 'c'].map((key) => uniqueHash('job', key))
const FREE = { queueId: 2, rank: 130, released: false, over: false }

function bench() {
  const engine: Engine = createMemoryEngine()
  const self = {
    engine,
    uniques: new UniqueIndex(engine),
    async commit(change: (batch: WriteBatch) => void): Promise<void> {
      const batch = new WriteBatch()
      change(batch)
      await engine.commit(batch)
      self.uniques.committed()
    },
    count: (kind: number) => engine.range('index', { start: Buffer.of(kind), end: Buffer.of(kind + 1), limit: 10_000 }).length,
  }
  return self
}

describe('the index of unique keys', () => {
  it('reads back what it has written', () => {
    for (const until of UNIQUE_WHILES) {
      const holder = { ...FREE, seq: 2 ** 47 + 5, while: until, over: true, released: true, expiresAt: 2 ** 44 + 1 }
      assert.deepEqual(readHolder(writeHolder(holder)), holder)
    }
    const bytes = writeHolder({ ...FREE, seq: 1, while: 'kept', expiresAt: 0 })
    assert.throws(() => readHolder(bytes.subarray(1)), withCode('MILLRACE_STORE_CORRUPT'))
    bytes[9] = 3
    assert.throws(() => readHolder(bytes), withCode('MILLRACE_STORE_CORRUPT'))
  })

  it('tells keys and definitions apart', () => {
    const hashes = [
      uniqueHash('a', 'b'),
      uniqueHash('ab', ''),
      uniqueHash('', 'ab'),
      uniqueHash('a', 'b\0'),
      uniqueHash('b', 'a'),
    ]
    assert.equal(new Set(hashes).size, hashes.length)
    assert.equal(uniqueIndexKey(hashes[0] ?? '').length, 17)
  })

  it('answers with what the commit under way has changed', async () => {
    const { uniques, commit } = bench()
    const [hash = ''] = HASHES
    await commit((batch) => {
      uniques.take(batch, hash, { ...FREE, seq: 1, while: 'incomplete', expiresAt: 0 })
      assert.equal(uniques.find(hash)?.seq, 1)
      assert.equal(uniques.over(batch, hash, 2, true, 0), false)
      assert.equal(uniques.find(hash)?.seq, 1, 'another job let go of it')
      assert.equal(uniques.over(batch, hash, 1, true, 0), false)
      assert.equal(uniques.find(hash), undefined)
    })
    assert.equal(uniques.find(hash), undefined)
  })

  it('clears times away in bounded number, and knows the next one', async () => {
    const { engine, uniques, commit, count } = bench()
    const keys = EXPIRE_KEYS + 10
    await commit((batch) => {
      for (let seq = 1; seq <= keys; seq++) {
        const released = { ...FREE, seq, while: 'incomplete', released: true, over: true, expiresAt: 100 + seq } as const
        uniques.take(batch, uniqueHash('job', `${seq}`), released)
      }
    })
    assert.equal(uniques.nextExpiryAt, 101)
    assert.equal(new UniqueIndex(engine).nextExpiryAt, 101)
    await commit((batch) => uniques.expire(batch, 100.9))
    assert.equal(count(INDEX_UNIQUE), keys)
    await commit((batch) => uniques.expire(batch, 100_000))
    assert.deepEqual([count(INDEX_UNIQUE), count(INDEX_UNIQUE_EXPIRY)], [10, 10])
    assert.equal(uniques.nextExpiryAt, 101 + EXPIRE_KEYS)
    await commit((batch) => uniques.expire(batch, 100_000))
    assert.deepEqual([count(INDEX_UNIQUE), count(INDEX_UNIQUE_EXPIRY)], [0, 0])
    assert.equal(uniques.nextExpiryAt, Infinity)
  })

  it('is what a plain model says, whatever happens in whatever order', async (t) => {
    const seed = seedOfRun()
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    const { engine, uniques, commit } = bench()
    const model = new Map<string, KeyHolder>()
    let now = 1000
    let seq = 0
    for (let round = 0; round < 3000; round++) {
      now += prng.below(40)
      await commit((batch) => {
        for (let step = prng.below(4); step >= 0; step--) change(batch)
        uniques.expire(batch, now)
        for (const [hash, holder] of model) {
          if (holder.expiresAt === 0 || holder.expiresAt > now) continue
          if (holder.released) model.delete(hash)
          else model.set(hash, { ...holder, expiresAt: 0 })
        }
      })
      const holders = engine.range('index', { start: Buffer.of(INDEX_UNIQUE), end: Buffer.of(INDEX_UNIQUE + 1), limit: 99 })
      const expected = [...model].map(([hash, holder]) => [uniqueIndexKey(hash), writeHolder(holder)] as const)
      expected.sort(([left], [right]) => left.compare(right))
      assert.deepEqual(
        holders.map(({ key, value }) => [key, value]),
        expected,
        `round ${round}`,
      )
      const times = [...model.values()].map(({ expiresAt }) => expiresAt).filter((expiresAt) => expiresAt > 0)
      assert.equal(uniques.nextExpiryAt, Math.min(Infinity, ...times))
      const expiries = engine.range('index', { start: Buffer.of(INDEX_UNIQUE_EXPIRY), limit: 99 })
      assert.deepEqual(
        expiries.map(({ key }) => key.readUIntBE(1, 6)),
        times.sort((left, right) => left - right),
      )
    }

    function change(batch: WriteBatch): void {
      const hash = prng.pick(HASHES)
      const held = model.get(hash)
      const ofIt = prng.below(4) > 0 ? (held?.seq ?? 0) : prng.below(seq + 1)
      const lets = held?.seq === ofIt
      switch (prng.below(4)) {
        case 0: {
          const expiresAt = prng.below(2) === 0 ? 0 : now + 1 + prng.below(200)
          const holder = { ...FREE, seq: ++seq, while: prng.pick(UNIQUE_WHILES), expiresAt }
          uniques.take(batch, hash, holder)
          model.set(hash, holder)
          return
        }
        case 1:
          assert.equal(
            uniques.runEnded(batch, hash, ofIt, now),
            lets && (held.while !== 'waiting' || release(hash, { ...held, released: true })),
          )
          return
        case 2: {
          const isKept = prng.below(2) === 0
          const stays = lets && held.while === 'kept' && isKept
          assert.equal(uniques.over(batch, hash, ofIt, isKept, now), stays)
          if (stays) model.set(hash, { ...held, over: true })
          else if (lets) release(hash, { ...held, over: true, released: true })
          return
        }
        default:
          uniques.pruned(batch, hash, ofIt, now)
          if (lets) release(hash, { ...held, released: true })
      }
    }

    function release(hash: string, holder: KeyHolder): boolean {
      if (holder.expiresAt > now) model.set(hash, holder)
      else model.delete(hash)
      return holder.expiresAt > now
    }
  })
})
