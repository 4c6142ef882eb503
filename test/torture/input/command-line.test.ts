/** The quick form of the input rung's command lines. */
import { test } from 'node:test'
import { assertHeld } from '../../support/held.js'
import { seedOfRun } from '../../support/prng.js'
import { tooFew } from '../rung.js'
import { tryCommandLine } from './command-line.js'
import { tryStoreLines } from './store-lines.js'

test('a bad command line gets a clear error, and changes nothing', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, lines, skipped } = await tryCommandLine({ seed, stride: 8, random: 8 })
  for (const what of [`${lines} lines`, ...skipped]) t.diagnostic(what)
  assertHeld([...wrong, ...tooFew({ least: { lines: 60 } }, { lines })], `MILLRACE_SEED=${seed}`)
})

test('a bad line for a real store changes nothing of it, whether somebody has it open or not', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const { wrong, ...figures } = await tryStoreLines({ seed, stride: 12, random: 24 })
  t.diagnostic(JSON.stringify(figures))
  assertHeld([...wrong, ...tooFew({ least: { lines: 80, compared: 60, done: 2 } }, figures)], `MILLRACE_SEED=${seed}`)
})
