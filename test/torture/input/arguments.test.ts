/** The quick form of the input rung: every call with an eighth of the values, and the planted faults. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { tryCommandLine } from './command-line.js'
import { tryPaths } from './paths.js'
import { tryModes, trySecrets } from './privacy.js'
import { tryReadOnly } from './read-only.js'
import { attack, rung } from './rung.js'
import { REAL } from './world.js'

test('bad arguments and payloads get a clear error, and leave nothing half done', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, calls } = await attack(REAL, { seed, stride: 8, generated: 200 })
  t.diagnostic(`${calls} calls`)
  assertHeld(wrong, `MILLRACE_SEED=${seed}`)
})

test('a bad command line gets a clear error, and changes nothing', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, lines } = await tryCommandLine({ seed, stride: 8, random: 8 })
  t.diagnostic(`${lines} lines`)
  assertHeld(wrong, `MILLRACE_SEED=${seed}`)
})

test('bad paths get a clear error', async () => {
  assertHeld(await tryPaths(), 'this test alone')
})

test('a read-only file system gets a clear error', { skip: process.platform !== 'linux' }, async (t) => {
  const { wrong, leftOut } = await tryReadOnly()
  if (leftOut !== undefined) t.diagnostic(leftOut)
  assertHeld(wrong, 'this test alone')
})

test('files belong to their user alone', { skip: process.platform === 'win32' }, async () => {
  assertHeld(await tryModes(), 'this test alone')
})

test('payloads are shown nowhere', async () => {
  assertHeld(await trySecrets(), 'this test alone')
})

for (const fault of rung.faults) {
  test(`a library that ${fault.name} is seen`, async () => {
    assert.notDeepEqual(await fault.run({ seed: 1, minutes: 0, progress: () => undefined }), [])
  })
}
