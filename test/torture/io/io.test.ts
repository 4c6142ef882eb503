/** The quick form of the I/O rung. `npm run torture -- io` is the long one. */
import { describe, it } from 'node:test'

import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { tooFew } from '../rung.js'
import { shimMissing } from '../shim/shim.js'
import { ioSample } from './rung.js'

/** Of the steps of each kind. */
const SAMPLE = { new: 4, killed: 2, finished: 2, old: 1, backup: 1, compact: 1, repair: 1 }
/** What chance leaves of them at the very least: where a write is to be cut short, a step that is a sync passes. */
const LEAST = { 'faults reached': 5, 'executors that failed': 2, 'chores that failed': 2, acknowledged: 100, 'slow syncs': 5 }

describe('a disk that fails', { skip: shimMissing() ?? false }, () => {
  it('loses nothing, and takes nobody with it', { timeout: 300_000 }, async (t) => {
    const seed = seedOfRun()
    const progress = (line: string): void => t.diagnostic(line)
    const { figures, violations, skipped = [] } = await ioSample({ seed, minutes: 0, progress }, SAMPLE)
    t.diagnostic(`seed ${seed}: ${JSON.stringify(figures)}`)
    for (const what of skipped) t.diagnostic(`not run: ${what}`)
    assertHeld([...violations, ...tooFew({ least: LEAST }, figures)], `MILLRACE_SEED=${seed}`)
  })
})
