/** The quick form of the model rung: some random histories, those that once found something, and a fault that must be seen. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { STORES } from '../../support/executor.js'
import { seedOfRun } from '../../support/prng.js'
import { REGRESSIONS } from './regressions.js'
import { newTally, play, rung, search } from './rung.js'

const HISTORIES = { memory: 8, lmdb: 4 } as const

describe('histories agree with the model', () => {
  for (const store of STORES) {
    it(`random ones, ${store}`, async (t) => {
      const seed = seedOfRun() % 2 ** 31
      t.diagnostic(`MILLRACE_SEED=${seed}`)
      const tally = newTally()
      const found = await search({ seed, store, histories: HISTORIES[store], tally })
      t.diagnostic(JSON.stringify(tally))
      assert.equal(found, undefined)
    })

    for (const { found, history } of REGRESSIONS) it(`${found}, ${store}`, () => play(history, store, newTally()))
  }
})

it('planted faults are seen', async () => {
  const names = ['executor that acknowledges cancellations it does not store', 'store that loses marks']
  for (const fault of rung.faults.filter(({ name }) => names.includes(name))) {
    const seen = await fault.run({ seed: 1, minutes: 1, progress: () => undefined })
    assert.notEqual(seen.length, 0, fault.name)
  }
})
