/**
 * A process that does everything a program can ask of an executor is killed again and again, on one directory, or ends suddenly in
 * another way. Whatever the moment: nothing acknowledged is lost, nothing that is over runs again, and the store is whole.
 *
 * `MILLRACE_KILLS=1000` makes it longer, `MILLRACE_SEED=…` repeats a run as far as two processes and a disk can repeat anything.
 */
import { test, type TestContext } from 'node:test'
import type { CrashRunOptions } from '../support/crash-run.js'
import { crashRun } from '../support/crash-run.js'
import type { Figures } from '../support/crash-verdict.js'
import { assertHeld } from '../support/held.js'
import { judge } from '../support/crash-judge.js'
import { seedOfRun } from '../support/prng.js'
import { tempDirectory } from '../support/temp-directory.js'
import { tooFew } from '../torture/rung.js'

const kills = Number(process.env['MILLRACE_KILLS'] ?? 50)
const ENDS = 9
const skip = process.platform === 'win32'

/** A run in which less happened proves nothing. */
const LEAST: Partial<Figures> = {
  acknowledged: kills,
  runs: kills,
  completed: 1,
  rescued: 1,
  killsInOpening: Math.floor(kills / 6),
  stopped: 1,
  ordered: 1,
}

async function holds(
  t: TestContext,
  options: Omit<CrashRunOptions, 'directory' | 'seed'>,
  least: Partial<Figures>,
): Promise<void> {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed} MILLRACE_KILLS=${kills}`)
  const startedAt = performance.now()
  const { problems, figures } = judge(await crashRun({ directory: await tempDirectory(t), seed, checkEvery: 5, ...options }))
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  const told = Object.entries(figures).map(([name, count]) => `${name} ${count}`)
  t.diagnostic(`${told.join(', ')}; ${seconds} s`)
  const violations = problems.map(({ check, text }) => `${check}: ${text}`)
  assertHeld([...violations, ...tooFew({ least }, { ...figures })], `MILLRACE_SEED=${seed}`)
}

test(`survives ${kills} kills`, { skip, timeout: 60_000 + kills * 10_000 }, async (t) => {
  await holds(t, { kills }, LEAST)
})

test(`survives ${ENDS} other sudden ends`, { skip, timeout: 60_000 + ENDS * 20_000 }, async (t) => {
  await holds(t, { kills: ENDS, ends: ['exit', 'throw', 'SIGTERM'] }, { acknowledged: ENDS, runs: ENDS, endsInCommit: 1 })
})
