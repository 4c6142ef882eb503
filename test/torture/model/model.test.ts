/** The quick form of the model rung. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { seedOfRun } from '../../support/prng.js'
import { newTally, search } from './rung.js'

for (const [store, histories] of [
  ['memory', 8],
  ['lmdb', 4],
] as const) {
  it(`random histories agree with the model, ${store}`, async (t) => {
    const seed = seedOfRun() % 2 ** 31
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const tally = newTally()
    const found = await search({ seed, store, histories, tally })
    t.diagnostic(JSON.stringify(tally))
    assert.equal(found, undefined)
  })
}
