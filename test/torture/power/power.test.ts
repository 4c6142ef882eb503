/** The quick form of the power rung, and the faults that it must see. `npm run torture -- power` is the long one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { shimMissing } from '../shim/shim.js'
import { powerRun } from './power-run.js'
import { rung } from './rung.js'

const FAULT_SEED = 20_260_101

describe('power loss', { skip: shimMissing() ?? false }, () => {
  it('takes nothing that was told', { timeout: 300_000 }, async (t) => {
    const seed = seedOfRun()
    const { figures, violations } = await powerRun({ seed, generations: 2, turns: 25, images: 16 })
    t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
    assertHeld(violations, `MILLRACE_SEED=${seed}`)
    assert.ok(figures.syncs > 0 && figures.hard > 0 && figures.acknowledged > 0, 'the run has put nothing to the test')
  })

  for (const fault of rung.faults) {
    it(`sees a store that ${fault.name}`, { timeout: 300_000 }, async (t) => {
      const violations = await fault.run({ seed: FAULT_SEED, minutes: 0, progress: () => undefined })
      t.diagnostic(`${violations.length} violations, such as ${violations[0]?.slice(0, 200)}`)
      assert.ok(violations.length > 0, 'nothing was seen')
    })
  }
})
