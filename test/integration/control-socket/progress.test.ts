/** How far a command for many jobs has come, as it is told on a terminal, beside an executor and without one; and that nobody else is told. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BULK_JOBS } from '../../../src/base/limits.js'
import type { Death } from '../../fixtures/executor/die-at-commit.js'
import { echo } from '../../fixtures/executor/jobs.js'
import { setup } from '../../support/executor.js'
import { type Shown, startShell } from '../../support/operated.js'
import { seenOnTerminal } from '../../support/seen-on-terminal.js'

const CROWD = fileURLToPath(new URL('../../fixtures/executor/crowd.js', import.meta.url))
const DYING = new URL('../../fixtures/executor/die-at-commit.js', import.meta.url).href

const COUNT = 3 * BULK_JOBS
const TOLD = COUNT.toLocaleString('en-US')

/** A store with jobs that wait in a paused queue. */
async function filled(t: TestContext): Promise<string> {
  const { executor, directory } = await setup(t, { jobs: [echo], queues: { images: {} }, threads: 1 })
  await executor.queue('images').pause()
  await executor.enqueueMany(echo, Array(COUNT).fill(0), { queue: 'images' })
  await executor.close()
  return directory
}

/** An executor on it, in a process of its own. */
async function crowd(t: TestContext, path: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const child = spawn(process.execPath, [CROWD, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: `--import=${DYING}`, ...env },
  })
  t.after(() => child.kill('SIGKILL'))
  await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
}

/** What stays, and what was there for a while. */
function assertSeen({ code, both, stdout }: Shown, last: string, meanwhile: RegExp, width: number): void {
  const { lines, frames } = seenOnTerminal(both)
  assert.deepEqual(
    [code, lines, stdout],
    [0, [last, ''], `${last}\n`],
    'nothing is left of the line that told how far it had come',
  )
  const progress = frames.filter((frame) => frame !== last)
  assert.ok(progress.length >= 3, `${progress.length} times`)
  for (const frame of progress) {
    assert.match(frame, meanwhile)
    assert.ok(frame.length < width, frame)
  }
}

for (const isRunning of [false, true]) {
  test(`a terminal is told how far it has come, ${isRunning ? 'by an executor' : 'by the command that has the store open'}`, async (t) => {
    const path = await filled(t)
    if (isRunning) await crowd(t, path)
    const shell = startShell(t)
    const run = (deed: string, terminal: number | undefined, ...more: string[]): Promise<Shown> =>
      shell({ words: ['jobs', deed, path, '--queue', 'images', ...more], ...(terminal !== undefined && { terminal }) })

    assertSeen(await run('discard', 80, '--dry-run'), `${TOLD} jobs would be discarded.`, /^[\d,]+ fit so far$/, 80)
    assertSeen(await run('discard', 80), `${TOLD} jobs discarded.`, /^[\d,]+ changed of [\d,]+ so far$/, 80)
    assertSeen(await run('retry', 24), `${TOLD} jobs retried.`, /^[\d,]+ changed of [\d,]+[a-z …]*$/, 24)
    assertSeen(await run('cancel', 80), `${TOLD} jobs cancelled.`, /^[\d,]+ changed of [\d,]+ so far$/, 80)

    const states = ['--state', 'cancelled']
    const asJson = await run('retry', 80, ...states, '--json')
    assert.deepEqual([asJson.stderr, JSON.parse(asJson.stdout)], ['', { matched: COUNT, changed: COUNT, dryRun: false }])
    const piped = await run('discard', undefined)
    assert.deepEqual([piped.code, piped.stderr, piped.stdout], [0, '', `${TOLD} jobs discarded.\n`])
  })
}

test('what a command says when it breaks off stands alone', async (t) => {
  const path = await filled(t)
  const death: Death = { commit: 3, when: 'before' }
  await crowd(t, path, { DEATH_AT_COMMIT: JSON.stringify(death) })
  const { code, both } = await startShell(t)({ words: ['jobs', 'discard', path, '--all'], terminal: 200 })
  const { lines, frames } = seenOnTerminal(both)
  assert.equal(code, 4)
  assert.match(
    lines.join('\n'),
    /^millrace jobs discard: The executor in process \d+ has ended.* At least 1,024 are changed, .*\.\n$/,
  )
  assert.ok(frames.includes('1,024 changed of 1,024 so far'), frames.join('\n'))
})
