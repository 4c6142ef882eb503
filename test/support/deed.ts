/** Runs a repair, a compaction or a backup in a process of its own, and kills it at a step (`fixtures/maintenance/deed`). */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Deed } from '../fixtures/maintenance/deed.js'

const PROGRAM = fileURLToPath(new URL('../fixtures/maintenance/deed.js', import.meta.url))

/** The steps it has come to: all, or up to the one at which it was killed. */
export function perform(deed: Deed): readonly string[] {
  const { signal, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, JSON.stringify(deed)], { encoding: 'utf8' })
  const steps = stdout.trimEnd().split('\n')
  assert.equal(signal, deed.dieAt === undefined ? null : 'SIGKILL', `${steps.join(', ')}: ${stderr}`)
  if (deed.dieAt === undefined) assert.equal(steps.pop(), 'done', stderr)
  return steps
}
