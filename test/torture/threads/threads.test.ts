/** The rung's quick form: 100 ended threads under load, every storm, and every fault that the rung must see. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { showing, tooFew } from '../rung.js'
import { climb, rung } from './rung.js'

const LIMITS = { timeout: 240_000 }
const seed = seedOfRun()

test(
  `threads ended by the hundred under load, and storms: nothing leaks, each job ends as it should (seed ${seed})`,
  LIMITS,
  async (t) => {
    const { figures, violations } = await climb({ terminations: 100, scale: 1 }, { seed, progress: () => undefined })
    for (const [name, value] of Object.entries(figures)) t.diagnostic(`${name}: ${value}`)
    assertHeld([...violations, ...tooFew(rung, figures)], `MILLRACE_SEED=${seed}`)
  },
)

for (const fault of rung.faults) {
  test(`an executor that ${fault.name} is seen (seed ${seed})`, LIMITS, async () => {
    const found = await fault.run({ seed, minutes: 1, progress: () => undefined })
    assert.ok(showing(fault, found) !== undefined, `found instead: ${found.join('; ') || 'nothing'}`)
  })
}
