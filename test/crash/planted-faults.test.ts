/**
 * The crash test sees what it is for: the same run on a store with a fault in it, one fault at a time. A few kills are enough for
 * each, and one of the checks that are named must see it; others may as well.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { subjectOf } from '../fixtures/crash/process-faults.js'
import { judge } from '../support/crash-judge.js'
import { crashRun } from '../support/crash-run.js'
import { tempDirectory } from '../support/temp-directory.js'
import { faultRun, PROOFS, PROVEN, shownBy } from '../torture/kill/rung.js'
import { showing } from '../torture/rung.js'

const SEED = 20_260_101
/** Runs in which a fault must show at least once. One that shows in a third of them is missed by all once in a hundred times or less. */
const ATTEMPTS = 12
/** Enough for most faults: they show wherever a kill falls. */
const KILLS = 2
/** These show where a kill falls between a commit and what depends on it. */
const MORE_KILLS: Readonly<Partial<Record<(typeof PROVEN)[number], number>>> = {
  'acknowledges before the commit': 3,
  'tears commits in two': 4,
  'skips recovery': 5,
  'loses claims': 5,
  'gives its last job first': 4,
}

describe('a planted fault is seen', { skip: process.platform === 'win32' }, () => {
  for (const fault of PROVEN) {
    it(`${subjectOf(fault)} that ${fault}`, { timeout: 300_000 }, async (t) => {
      const { seenBy, options = {} } = PROOFS[fault]
      // Where a kill falls is chance, and a kill may fall where the fault does no harm: then the next seed.
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const seed = SEED + attempt
        const run = { ...faultRun(fault, seed, MORE_KILLS[fault] ?? KILLS), ...options }
        const { problems, figures } = judge(await crashRun({ directory: await tempDirectory(t), ...run }))
        const violations = problems.map(({ check, text }) => `${check}: ${text}`)
        const shown = showing({ seenBy: shownBy(seenBy) }, violations)
        t.diagnostic(`seed ${seed}: ${figures.acknowledged} acknowledged, ${figures.runs} runs; ${shown ?? 'not seen'}`)
        if (shown !== undefined) return
      }
      assert.fail(`${seenBy.join(' and ')} did not see it, with seeds from ${SEED} on`)
    })
  }
})
