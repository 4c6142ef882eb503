/** That payloads are shown to nobody who has not asked for them. */
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { trySecretCommands } from './secret-commands.js'
import { trySecrets } from './secrets.js'

test('what becomes of a job shows its payload nowhere', async () => {
  assertHeld(await trySecrets(), 'this test alone')
})

test('commands and the control socket show no payload but the one that they are asked for', async () => {
  assertHeld(await trySecretCommands(), 'this test alone')
})
