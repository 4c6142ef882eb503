/** The quick form of the input rung: every call with an eighth of the values, and the planted faults. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedOfRun } from '../../support/prng.js'
import { tryPaths } from './paths.js'
import { attack, rung } from './rung.js'
import { REAL } from './world.js'

test('bad arguments and payloads get a clear error, and leave nothing half done', async (t) => {
  const seed = seedOfRun(1_111_774_199)
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, calls } = await attack(REAL, { seed, stride: 8, generated: 200 })
  t.diagnostic(`${calls} calls`)
  assert.deepEqual(wrong, [])
})

test('bad paths get a clear error', async () => {
  assert.deepEqual(await tryPaths(), [])
})

for (const fault of rung.faults) {
  test(`a library that ${fault.name} is seen`, async () => {
    assert.notDeepEqual(await fault.run({ seed: 1, minutes: 0, progress: () => undefined }), [])
  })
}
