/** The faults that the I/O rung must see. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { showing } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import { rung } from './rung.js'

const SEED = 20_260_101
const OPTIONS = { seed: SEED, minutes: 0, progress: () => undefined }

describe('with a disk that fails, the rung', { skip: shimMissing() ?? false }, () => {
  it('finds nothing where nothing is planted', { timeout: 300_000 }, async () => {
    assertHeld((await rung.control?.(OPTIONS)) ?? ['there is no control'], `seed ${SEED}`)
  })

  for (const fault of rung.faults) {
    it(`sees a store that ${fault.name}`, { timeout: 300_000 }, async (t) => {
      const violations = await fault.run(OPTIONS)
      t.diagnostic(`${violations.length} violations, such as ${violations[0]?.slice(0, 200)}`)
      assert.ok(showing(fault, violations) !== undefined, `what shows it was not seen, but ${violations.join('; ') || 'nothing'}`)
    })
  }
})
