/** The faults that the input rung plants, here in ways to open a store: each is seen by what is to show it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { showing } from '../rung.js'
import { DOOR_FAULTS } from './faults.js'

for (const fault of DOOR_FAULTS) {
  test(`a library that ${fault.name} is seen`, async () => {
    const found = await fault.run({ seed: 1, minutes: 0, progress: () => undefined })
    assert.ok(showing(fault, found) !== undefined, `shown by nothing of: ${found.slice(0, 5).join('; ') || 'nothing'}`)
  })
}
