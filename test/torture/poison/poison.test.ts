/** The rung's quick form: every poison among innocents, and every fault that the rung must see. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { POISONS } from '../../fixtures/torture/poison.js'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { ordeal, rung } from './rung.js'

const LIMITS = { timeout: 240_000 }
const seed = seedOfRun()

test(`poisons among innocents: exactly they are quarantined (seed ${seed})`, LIMITS, async (t) => {
  const { figures, violations } = await ordeal({ poisons: POISONS, seed })
  t.diagnostic(JSON.stringify(figures))
  assertHeld(violations, `MILLRACE_SEED=${seed}`)
})

for (const fault of rung.faults) {
  test(`a recovery that ${fault.name} is seen (seed ${seed})`, LIMITS, async () => {
    assert.notDeepEqual(await fault.run({ seed, minutes: 1, progress: () => undefined }), [])
  })
}
