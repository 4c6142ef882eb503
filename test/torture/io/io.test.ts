/** The quick form of the I/O rung, and the faults that it must see. `npm run torture -- io` is the long one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { showing, tooFew } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import { ioSample, lastSteps, rung } from './rung.js'

const FAULT_SEED = 20_260_101
/** Of the steps of each kind. */
const SAMPLE = { new: 6, killed: 4, finished: 4, old: 2, backup: 3, compact: 3, repair: 3 }
/** What chance leaves of them at the very least: of steps that are spoiled by a short write those that are syncs are passed over. */
const LEAST = { 'faults reached': 8, 'executors that failed': 2, acknowledged: 100, 'slow syncs': 5 }

describe('a disk that fails', { skip: shimMissing() ?? false }, () => {
  it('loses nothing, and takes nobody with it', { timeout: 300_000 }, async (t) => {
    const seed = seedOfRun()
    const progress = (line: string): void => t.diagnostic(line)
    const { figures, violations, skipped = [] } = await ioSample({ seed, minutes: 0, progress }, SAMPLE)
    t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
    for (const what of skipped) t.diagnostic(`not run: ${what}`)
    assertHeld([...violations, ...tooFew({ least: LEAST }, figures)], `MILLRACE_SEED=${seed}`)
  })

  it('replaces nothing by a compaction that was not synced', { timeout: 300_000 }, async (t) => {
    const last = await lastSteps({ seed: seedOfRun(), minutes: 0, progress: (line) => t.diagnostic(line) }, 'compact', 3)
    assertHeld(last, 'any seed')
  })

  it('finds nothing where nothing is planted', { timeout: 300_000 }, async () => {
    const found = await rung.control?.({ seed: FAULT_SEED, minutes: 0, progress: () => undefined })
    assertHeld(found ?? ['there is no control'], `seed ${FAULT_SEED}`)
  })

  for (const fault of rung.faults) {
    it(`sees a store that ${fault.name}`, { timeout: 300_000 }, async (t) => {
      const violations = await fault.run({ seed: FAULT_SEED, minutes: 0, progress: () => undefined })
      t.diagnostic(`${violations.length} violations, such as ${violations[0]?.slice(0, 200)}`)
      assert.ok(showing(fault, violations) !== undefined, `what shows it was not seen, but ${violations.join('; ') || 'nothing'}`)
    })
  }
})
