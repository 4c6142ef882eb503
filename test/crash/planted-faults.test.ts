/**
 * The crash test sees what it is for: the same run on a store with a fault in it, one fault at a time. A few kills are enough for
 * each, and one of the checks that are named must see it; others may as well.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Fault } from '../fixtures/crash/faults.js'
import { FAULT_NAMES } from '../fixtures/crash/faults.js'
import type { Check } from '../support/crash-judge.js'
import { judge } from '../support/crash-judge.js'
import { crashRun } from '../support/crash-run.js'
import { tempDirectory } from '../support/temp-directory.js'

interface Proof {
  readonly kills: number
  readonly seenBy: readonly Check[]
}

const PROOFS: Readonly<Record<Fault, Proof>> = {
  'acknowledges before the commit': { kills: 3, seenBy: ['lost'] },
  'tears commits in two': { kills: 4, seenBy: ['store', 'lost'] },
  'skips recovery': { kills: 5, seenBy: ['recovery', 'unrecorded run'] },
  'loses claims': { kills: 5, seenBy: ['recovery', 'unrecorded run'] },
  'loses marks': { kills: 2, seenBy: ['ran after over', 'store'] },
  'loses the removal of pages': { kills: 2, seenBy: ['ran after over', 'store'] },
  'loses outcomes': { kills: 2, seenBy: ['lost', 'store'] },
  'loses index entries': { kills: 2, seenBy: ['store'] },
  'loses unique keys': { kills: 2, seenBy: ['store'] },
  'keeps unique keys': { kills: 2, seenBy: ['store'] },
  'loses counters': { kills: 2, seenBy: ['store'] },
  'garbles large payloads': { kills: 2, seenBy: ['content'] },
}

const SEED = 20_260_101
/** Runs in which a fault must show at least once. */
const ATTEMPTS = 4

describe('a planted fault is seen', { skip: process.platform === 'win32' }, () => {
  for (const fault of FAULT_NAMES) {
    it(`a store that ${fault}`, { timeout: 300_000 }, async (t) => {
      const { kills, seenBy } = PROOFS[fault]
      // Where a kill falls is chance, and a kill may fall where the fault does no harm: then the next seed.
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const seed = SEED + attempt
        const journal = await crashRun({ directory: await tempDirectory(t), seed, kills, fault, onlyAtWork: true, checkEvery: 1 })
        const { problems, figures } = judge(journal)
        const counts = new Map<Check, number>()
        for (const { check } of problems) counts.set(check, (counts.get(check) ?? 0) + 1)
        const seen = Array.from(counts, ([check, count]) => `${check} ${count}`).join(', ')
        t.diagnostic(`seed ${seed}: ${figures.acknowledged} acknowledged, ${figures.runs} runs; ${seen}`)
        if (seenBy.some((check) => counts.has(check))) return
      }
      assert.fail(`${seenBy.join(' and ')} did not see it, with seeds from ${SEED} on`)
    })
  }
})
