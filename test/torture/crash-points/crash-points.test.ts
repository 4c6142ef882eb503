/** The quick form of the crash-points rung: some places of one history, and a fault that must be seen. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { createPrng, seedOfRun } from '../../support/prng.js'
import { OLD_FORMATS } from '../../support/old-stores.js'
import { migrationRun } from './migration.js'
import { pointRun } from './point-run.js'
import { showing, tooFew } from '../rung.js'
import { count, figuresOf, newTally, placesOf } from './rung.js'

const PLACES = 10
const MIGRATION_PLACES = 4
/** Two processes die in each run, but where the history is shorter than that. */
const LEAST = {
  histories: 1,
  kills: PLACES,
  'different places': PLACES / 2,
  acknowledged: 5 * PLACES,
  runs: 5 * PLACES,
  backups: 1,
}
const skip = process.platform === 'win32'

it(`a history dies at ${PLACES} of its places`, { skip }, async (t) => {
  const seed = seedOfRun() % 2 ** 31
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const prng = createPrng(seed)
  const tally = newTally()
  // Once without a death: each of its steps comes to its end.
  const places = await placesOf(seed, tally)
  const next = async (): Promise<void> => {
    for (let place = 0; place < PLACES; place += 2) count(tally, await pointRun({ seed, place: 1 + prng.below(places) }))
  }
  await Promise.all([next(), next()])
  const figures = figuresOf(tally)
  t.diagnostic(JSON.stringify(figures))
  assertHeld([...tally.violations, ...tooFew({ least: LEAST }, figures)], `MILLRACE_SEED=${seed}`)
})

for (const format of OLD_FORMATS) {
  it(`an opening of a store of format ${format} dies at ${MIGRATION_PLACES} of its places`, { skip }, async (t) => {
    const seed = seedOfRun() % 2 ** 31
    t.diagnostic(`MILLRACE_SEED=${seed}`)
    const prng = createPrng(seed)
    const { places = 0, jobs, violations } = await migrationRun({ format, place: 0 })
    assertHeld(violations, 'no seed: nobody died')
    for (let round = 0; round < MIGRATION_PLACES; round++) {
      const report = await migrationRun({ format, place: 1 + prng.below(places >> 1), expected: jobs })
      assert.notEqual(report.diedAt[0], undefined)
      assertHeld(report.violations, `MILLRACE_SEED=${seed}`)
    }
  })
}

it('a store that acknowledges before the commit is seen', { skip }, async () => {
  for (let place = 60; place < 200; place += 7) {
    const { violations } = await pointRun({ seed: 1, place, fault: 'acknowledges before the commit' })
    if (showing({ seenBy: /: (?:lost|backup): / }, violations) !== undefined) return
  }
  assert.fail('nobody saw it')
})
