/**
 * A process that does everything a program can ask of an executor is killed again and again, on one directory. Whatever the
 * moment: nothing acknowledged is lost, nothing that is over runs again, and the store is whole.
 *
 * `MILLRACE_KILLS=1000` makes it longer, `MILLRACE_SEED=…` repeats a run as far as two processes and a disk can repeat anything.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { judge } from '../support/crash-judge.js'
import { crashRun } from '../support/crash-run.js'
import { seedOfRun } from '../support/prng.js'
import { tempDirectory } from '../support/temp-directory.js'

const kills = Number(process.env['MILLRACE_KILLS'] ?? 50)

test(`survives ${kills} kills`, { skip: process.platform === 'win32', timeout: 60_000 + kills * 10_000 }, async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed} MILLRACE_KILLS=${kills}`)
  const startedAt = performance.now()
  const journal = await crashRun({ directory: await tempDirectory(t), seed, kills, checkEvery: 5 })
  const { problems, figures } = judge(journal)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  t.diagnostic(
    `${Object.entries(figures)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}; ${seconds} s`,
  )
  const lines = problems.map(({ check, text }) => `${check}: ${text}`)
  assert.equal(lines.length, 0, `seed ${seed}:\n${lines.slice(0, 40).join('\n')}`)
  // A run in which nothing happened proves nothing.
  assert.ok(figures.acknowledged >= kills, `${figures.acknowledged} jobs were acknowledged`)
  assert.ok(figures.completed > 0 && figures.rescued > 0)
})
