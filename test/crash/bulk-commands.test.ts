/**
 * Commands for many jobs, cut off by SIGKILL: the executor that a `millrace jobs retry|discard` has asked, or the command itself where it
 * has the store open. Both die at a commit in the middle: before it, while it is under way, and when it is durable. Each job is changed
 * or as it was, whoever lost his executor is told so, and the same command does the rest.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BULK_JOBS } from '../../src/base/limits.js'
import { systemClock } from '../../src/base/clock.js'
import { openForInspection } from '../../src/executor/open-for-inspection.js'
import type { BulkReport, JobState } from '../../src/index.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import type { Death } from '../fixtures/executor/die-at-commit.js'
import { echo } from '../fixtures/executor/jobs.js'
import { program } from '../support/demo-program.js'
import { listed, setup } from '../support/executor.js'
import { checkStore } from '../support/store-check.js'
import { tempDirectory } from '../support/temp-directory.js'

const CROWD = fileURLToPath(new URL('../fixtures/executor/crowd.js', import.meta.url))
const DYING = new URL('../fixtures/executor/die-at-commit.js', import.meta.url).href

const STEPS = 4
const COUNT = STEPS * BULK_JOBS
/** The commit at which a process dies: there are some before it, and some to come. */
const AT = 2

type Deed = 'retry' | 'discard'
type Victim = 'executor' | 'command'

const before = { retry: 'discarded', discard: 'available' } as const
const after = { retry: 'available', discard: 'discarded' } as const

const deadly = (death: Death): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import=${DYING}`,
  DEATH_AT_COMMIT: JSON.stringify(death),
})

/** A store whose one queue is paused and has jobs for the deed. */
async function filled(t: TestContext, deed: Deed): Promise<string> {
  const { executor, directory } = await setup(t, { jobs: [echo], queues: { images: {} }, threads: 1, retain: { jobs: Infinity } })
  await executor.queue('images').pause()
  const inputs = Array.from({ length: COUNT }, (_, index) => (index % 100 === 0 ? 'large'.repeat(10_000) : index))
  await executor.enqueueMany(echo, inputs, { queue: 'images' })
  if (deed === 'retry') await executor.discardMany({ queue: 'images' })
  await executor.close()
  return directory
}

async function problemsOf(path: string): Promise<string[]> {
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock, readOnly: true })
  try {
    return checkStore(engine, { crashed: true, keepsAll: true, payloads: true })
  } finally {
    await engine.close()
  }
}

/** Kills one of the two at work. Gives what the command said, if it lived. */
async function cutOff(
  t: TestContext,
  path: string,
  deed: Deed,
  victim: Victim,
  death: Death,
): Promise<{ code: number | null; stderr: string }> {
  const words = ['jobs', deed, path, '--queue', 'images']
  if (victim === 'command') return await program(words, deadly(death)).ended
  const child = spawn(process.execPath, [CROWD, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...deadly(death) },
  })
  t.after(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  const ended = await program(words).ended
  child.kill('SIGKILL')
  await exited
  return ended
}

/** Of each job that is there. */
async function statesOf(path: string): Promise<JobState[]> {
  const { executor } = await openForInspection(path, 'look')
  try {
    return (await listed(executor, { payloads: false })).map(({ state }) => state)
  } finally {
    await executor.close()
  }
}

async function command(path: string, ...words: readonly string[]): Promise<BulkReport> {
  const { code, stdout, stderr } = await program(['jobs', words[0]!, path, ...words.slice(1), '--json']).ended
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as BulkReport
}

describe('a command for many jobs that is cut off', { skip: process.platform === 'win32' }, () => {
  for (const deed of ['retry', 'discard'] as const) {
    it(`${deed}: each job is changed or as it was, and the same command does the rest`, { timeout: 300_000 }, async (t) => {
      const full = await filled(t, deed)
      for (const victim of ['executor', 'command'] as const) {
        for (const when of ['before', 'during', 'after'] as const) {
          const label = `the ${victim} dies ${when}`
          const path = join(await tempDirectory(t), 'jobs')
          await cp(full, path, { recursive: true })
          const { code, stderr } = await cutOff(t, path, deed, victim, { commit: AT, when })
          if (victim === 'command') assert.equal(code, null, label)
          else {
            assert.equal(code, 4, `${label}: ${stderr}`)
            assert.match(
              stderr,
              /^millrace jobs \w+: The executor in process \d+ has ended, or has closed the connection\. /,
              label,
            )
            assert.match(
              stderr,
              /(At least [\d,]+ are|A part may be) changed, each as a whole: give the command again for the rest\.\n$/,
              label,
            )
          }
          assert.deepEqual(await problemsOf(path), [], label)
          const left = (await statesOf(path)).filter((state) => state === before[deed]).length
          const changed = COUNT - left
          const steps = when === 'before' ? [AT - 1] : when === 'after' ? [AT] : [AT - 1, AT]
          assert.ok(steps.includes(changed / BULK_JOBS), `${label}: ${changed} changed`)
          const rest = await command(path, deed, '--queue', 'images')
          assert.deepEqual([rest.matched, rest.changed], [left, left], label)
          assert.deepEqual(await problemsOf(path), [], `${label}, and then the rest`)
          const states = await statesOf(path)
          assert.deepEqual([states.length, new Set(states)], [COUNT, new Set([after[deed]])], label)
        }
      }
    })

    it(`${deed}: a commit that is torn in two is seen`, { timeout: 300_000 }, async (t) => {
      const full = await filled(t, deed)
      for (const victim of ['executor', 'command'] as const) {
        const path = join(await tempDirectory(t), 'jobs')
        await cp(full, path, { recursive: true })
        await cutOff(t, path, deed, victim, { commit: AT, when: 'torn' })
        assert.notDeepEqual(await problemsOf(path), [], victim)
      }
    })
  }
})
