/** The rung's quick form: every poison among innocents, once under the real supervisor, and every fault that the rung must see. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { POISONS } from '../../fixtures/torture/poison.js'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { showing, tooFew } from '../rung.js'
import { ordeal } from './ordeal.js'
import { rung } from './rung.js'

const LIMITS = { timeout: 600_000 }
const seed = seedOfRun()

for (const [name, plan, least] of [
  ['poisons among innocents', { poisons: POISONS }, { deaths: 10, deathsInCompany: 1, innocentsInterrupted: 2 }],
  [
    'poisons in a process that millrace supervise starts again',
    { poisons: ['abort', 'kill'], isSupervised: true },
    { deaths: 7, deathsInCompany: 1, innocentsInterrupted: 2 },
  ],
] as const) {
  test(`${name}: exactly they are quarantined (seed ${seed})`, LIMITS, async (t) => {
    const { figures, violations } = await ordeal({ ...plan, seed })
    t.diagnostic(JSON.stringify(figures))
    assertHeld([...violations, ...tooFew({ least }, figures)], `MILLRACE_SEED=${seed}`)
  })
}

for (const fault of rung.faults) {
  test(`${fault.name} is seen (seed ${seed})`, LIMITS, async () => {
    const violations = await fault.run({ seed, minutes: 1, progress: () => undefined })
    assert.notEqual(showing(fault, violations), undefined, violations.join('\n'))
  })
}
