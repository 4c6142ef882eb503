/** The rung of bad bytes in its quick form, and what it rests on: the walk of LMDB's file, without a false alarm. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { TABLES, type Table, WriteBatch } from '../../../src/store/engine.js'
import { DataFile } from '../../../src/store/lmdb/data-file.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { checkStructure } from '../../../src/store/lmdb/structure.js'
import { assertHeld } from '../../support/held.js'
import { createPrng, seedOfRun } from '../../support/prng.js'
import { tempDirectory } from '../../support/temp-directory.js'
import { showing, tooFew } from '../rung.js'
import { rung, runBytes } from './rung.js'

const seed = seedOfRun()

/** One cut in three before, at and behind a border, the planned records, and the random ones. */
const LEAST = { 'damaged stores': 80, 'that must be told': 24 }

describe(`damaged stores (MILLRACE_SEED=${seed})`, () => {
  it('give a typed error or are right, and the host lives', async (t) => {
    const { figures, violations } = await runBytes({ seed, cuts: 18, records: 2, goesOn: (made) => made < 45 })
    assertHeld([...violations, ...tooFew({ least: LEAST }, figures)], `MILLRACE_SEED=${seed}`)
    t.diagnostic(JSON.stringify(figures))
  })

  for (const fault of rung.faults)
    it(`are seen with ${fault.name}`, async () => {
      const violations = await fault.run({ seed, minutes: 0, progress: () => undefined })
      assert.notEqual(showing(fault, violations), undefined, `MILLRACE_SEED=${seed}; seen: ${violations.join('\n')}`)
    })
})

describe(`a file that LMDB has written (MILLRACE_SEED=${seed})`, () => {
  it('is never taken for damaged: grown, overwritten, emptied, reopened, shorter than its last page', async (t) => {
    const directory = await tempDirectory(t)
    const prng = createPrng(seed)
    const bytes = Buffer.alloc(300_000, 7)
    let live: { table: Table; key: Buffer }[] = []
    let engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    for (let round = 0; round < 600; round++) {
      const share = [0.7, 0.4, 0.15][Math.floor(round / 50) % 3]!
      const batch = new WriteBatch()
      for (let writes = prng.below(60); writes >= 0; writes--) {
        if (live.length === 0 || prng.next() < share) {
          const [table, key] = [prng.pick(TABLES), Buffer.alloc(7)]
          key.writeUIntBE(prng.next() < 0.8 ? round * 60 + writes : prng.below(2 ** 40), 1, 6)
          const size = prng.next()
          batch.put(table, key, bytes.subarray(0, prng.below(size < 0.02 ? 300_000 : size < 0.3 ? 20_000 : 300)))
          live.push({ table, key })
          // Again within the commit: a short record may keep a long one's pages.
          if (prng.next() < 0.1) batch.put(table, key, bytes.subarray(0, prng.below(10_000)))
        } else {
          const { table, key } = live[prng.below(live.length)]!
          live = live.filter((entry) => entry.key !== key)
          batch.remove(table, key)
        }
      }
      await engine.commit(batch)
      if (round % 20 === 0) {
        const file = DataFile.open(join(directory, 'jobs.mdb'))
        const { problems, pages } = checkStructure(file)
        file.close()
        assert.deepEqual(problems, [], `round ${round}`)
        assert.equal(pages.lost, 0, `round ${round}`)
      }
      if (round % 150 === 149) {
        await engine.close()
        engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
      }
    }
    await engine.close()
  })
})
