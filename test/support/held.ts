/** How a torture test fails: with everything that was found, whole, and what repeats it. A diff of two lists cuts both short. */
import assert from 'node:assert/strict'

/** @param repeat - what repeats the run, such as `MILLRACE_SEED=7` */
export function assertHeld(violations: readonly string[], repeat: string): void {
  if (violations.length === 0) return
  const found = violations.map((violation) => `  - ${violation}`).join('\n')
  assert.fail(`${violations.length} found; repeat with ${repeat}\n${found}`)
}
