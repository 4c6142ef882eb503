/** The quick form of the power rung, and the faults that it must see. `npm run torture -- power` is the long one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { showing, tooFew } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import { maintenanceRun, MAINTENANCES } from './maintenance-run.js'
import { powerRun } from './power-run.js'
import { rung } from './rung.js'

const FAULT_SEED = 20_260_101
const LIMITS = { timeout: 600_000 }

describe('power loss', { skip: shimMissing() ?? false }, () => {
  const seed = seedOfRun()

  it('takes nothing that was told', LIMITS, async (t) => {
    const { figures, violations } = await powerRun({ seed, generations: 2, turns: 25, images: 16 })
    t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
    const least = { syncs: 20, acknowledged: 50, endsTold: 10, keysHeld: 1, schedulesTold: 4, images: 32, hard: 8 }
    assertHeld([...violations, ...tooFew({ least }, { ...figures })], `MILLRACE_SEED=${seed}`)
  })

  for (const what of MAINTENANCES)
    it(`takes nothing that ${what} was to leave`, LIMITS, async (t) => {
      const { figures, violations } = await maintenanceRun({ what, seed, images: 12 })
      t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
      const least = { cuts: 16, cutsPending: 8, cutsDone: 2 }
      assertHeld([...violations, ...tooFew({ least }, { ...figures })], `MILLRACE_SEED=${seed}`)
    })

  for (const fault of rung.faults) {
    it(`sees ${fault.name}`, LIMITS, async (t) => {
      const violations = await fault.run({ seed: FAULT_SEED, minutes: 0, progress: () => undefined })
      t.diagnostic(`${violations.length} violations, such as ${violations[0]?.slice(0, 200)}`)
      assert.notEqual(showing(fault, violations), undefined, violations.join('\n'))
    })
  }
})
