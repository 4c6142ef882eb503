/** Paths, permissions and file modes. */
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { tryModes } from './modes.js'
import { tryPaths } from './paths.js'
import { tryReadOnly } from './read-only.js'

test('bad paths and directories that may not be written to get a clear error', async (t) => {
  const { wrong, skipped } = await tryPaths()
  for (const what of skipped) t.diagnostic(`NOT RUN ${what}`)
  assertHeld(wrong, 'this test alone')
})

test('a read-only file system gets a clear error', { skip: process.platform !== 'linux' }, async (t) => {
  const { wrong, skipped } = await tryReadOnly()
  assertHeld(wrong, 'this test alone')
  if (skipped.length > 0) t.skip(skipped.join('; '))
})

test('files belong to their user alone', { skip: process.platform === 'win32' }, async () => {
  assertHeld(await tryModes(), 'this test alone')
})
