/** The quick form of the I/O rung, and the faults that it must see. `npm run torture -- io` is the long one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { shimMissing } from '../shim/shim.js'
import { ioRung, rung } from './rung.js'

const FAULT_SEED = 20_260_101
/** Of the whole sweep, about one in forty. */
const SCENARIOS = 24

describe('a disk that fails', { skip: shimMissing() ?? false }, () => {
  it('loses nothing, and takes nobody with it', { timeout: 300_000 }, async (t) => {
    const seed = seedOfRun()
    const progress = (line: string): void => t.diagnostic(line)
    const { figures, violations } = await ioRung({ seed, minutes: 0, scenarios: SCENARIOS, progress })
    t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
    assertHeld(violations, `MILLRACE_SEED=${seed}`)
    assert.ok(Number(figures['executors that failed']) > 0, 'no fault was reached')
  })

  for (const fault of rung.faults) {
    it(`sees a store that ${fault.name}`, { timeout: 300_000 }, async (t) => {
      const violations = await fault.run({ seed: FAULT_SEED, minutes: 0, progress: () => undefined })
      t.diagnostic(`${violations.length} violations, such as ${violations[0]?.slice(0, 200)}`)
      assert.ok(violations.length > 0, 'nothing was seen')
    })
  }
})
