/** The quick form of the input rung's calls: every call with an eighth of the values. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { tooFew } from '../rung.js'
import { attack } from './attack.js'
import { callOf } from './call.js'
import { REAL } from './world.js'

test('bad arguments and payloads get a clear error, and leave nothing half done', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, calls } = await attack(REAL, { seed, stride: 8, generated: 200 })
  t.diagnostic(`${calls} calls`)
  assertHeld([...wrong, ...tooFew({ least: { calls: 1200 } }, { calls })], `MILLRACE_SEED=${seed}`)
})

test('a place belongs to the call that it is a place of', () => {
  const names = [
    'enqueue(…, { unique.key })',
    'job(id).cancel(reason)',
    'new FatalError(…, options)',
    'schedule(…, { x }) as an option',
  ]
  assert.deepEqual(
    names.map((name) => callOf({ name })),
    ['enqueue', 'job().cancel', 'new FatalError', 'schedule'],
  )
})
