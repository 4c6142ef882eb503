/**
 * `millrace demo`, stopped in the middle and run again.
 *
 * The middle is where a test can rely on it: one file is so large that a thread is still at it whenever the program is stopped, and
 * large files are begun first. Then it becomes small, which makes it a file that has changed since.
 */
import assert from 'node:assert/strict'
import { readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { DemoSetup } from '../support/demo-program.js'
import { LARGE_FILE, program, resultOf, setupDemo } from '../support/demo-program.js'

const SMALL_FILES = 40

async function setup(t: TestContext): Promise<DemoSetup & { readonly large: string }> {
  const demo = await setupDemo(t)
  for (let index = 0; index < SMALL_FILES; index++) {
    await writeFile(join(demo.folder, `small-${index}.txt`), `text ${index} `.repeat(100 * (index + 1)))
  }
  const large = join(demo.folder, 'large')
  await writeFile(large, '')
  await truncate(large, LARGE_FILE)
  return { ...demo, large }
}

describe('millrace demo, run again', () => {
  test('after kill -9, goes on where it was, and ends with the table of a run that was not killed', async (t) => {
    const { folder, large, store, start, run } = await setup(t)
    const killed = start()
    await killed.line(/^\d+ %: 40 of 41 files/m)
    killed.child.kill('SIGKILL')
    assert.equal((await killed.ended).code, null)
    assert.equal((await readdir(store)).length, 1)
    // Changed, new, changed, gone.
    await truncate(large, 1000)
    await writeFile(join(folder, 'new.txt'), 'new '.repeat(500))
    await writeFile(join(folder, 'small-1.txt'), 'other '.repeat(1000))

    const resumed = await run()
    assert.deepEqual({ code: resumed.code, stderr: resumed.stderr }, { code: 0, stderr: '' })
    assert.match(resumed.stdout, /^resuming: 40 of 41 files were done, 1 rescued$/m)
    assert.match(resumed.stdout, /^ {2}speed-up .* since it was resumed$/m)

    const afresh = await run()
    assert.doesNotMatch(afresh.stdout, /resuming/)
    assert.match(afresh.stdout, /^ {2}files +42$/m)
    assert.deepEqual(resultOf(resumed.stdout), resultOf(afresh.stdout))
  })

  test('after several kills, still has every file once', async (t) => {
    const { large, start, run } = await setup(t)
    for (let round = 0; round < 4; round++) {
      const killed = start()
      await killed.line(/^\d+ %: 40 of 41 files/m)
      if (round > 0) await killed.line(/^resuming: 40 of 41 files were done, 1 rescued$/m)
      killed.child.kill('SIGKILL')
      await killed.ended
    }
    await truncate(large, 1000)
    const { stdout } = await run()
    assert.match(stdout, /^resuming: 40 of 41 files were done/m)
    assert.match(stdout, /^ {2}files +41$/m)
    assert.doesNotMatch(stdout, /could not be read/)
  })

  test('after Ctrl-C, which says how', async (t) => {
    const { folder, large, store, start, run } = await setup(t)
    const stopped = start()
    await stopped.line(/^\d+ %: 40 of 41 files/m)
    stopped.child.kill('SIGINT')
    const { code, stdout, stderr } = await stopped.ended
    assert.deepEqual({ code, stderr }, { code: 130, stderr: '' })
    assert.match(stdout, /^Stopped: 40 of 41 files are done\. To go on from there:$/m)
    assert.ok(stdout.endsWith(`\n  npx millrace demo ${folder} --threads 2 --store ${store}\n`), stdout)

    await truncate(large, 1000)
    const resumed = await run()
    // Nothing to rescue: it was stopped in an orderly way.
    assert.match(resumed.stdout, /^resuming: 40 of 41 files were done$/m)
    assert.match(resumed.stdout, /^ {2}files +41$/m)
    assert.deepEqual(await readdir(store), [])
  })

  test('with --fresh, forgets', async (t) => {
    const { large, start, run } = await setup(t)
    const stopped = start()
    await stopped.line(/^\d+ %: 40 of 41 files/m)
    stopped.child.kill('SIGTERM')
    assert.equal((await stopped.ended).code, 143)
    await truncate(large, 1000)
    const { stdout } = await run(['--fresh'])
    assert.doesNotMatch(stdout, /resuming/)
    assert.match(stdout, /^ {2}files +41$/m)
  })

  test('tells of files that have vanished meanwhile, and does the others', async (t) => {
    const { folder, large, start, run } = await setup(t)
    // The large file has the only thread, so all others still wait.
    const stopped = start(['--threads', '1'])
    await stopped.line(/^\d+ %: 0 of 41 files/m)
    stopped.child.kill('SIGINT')
    await stopped.ended
    await truncate(large, 1000)
    for (let index = 10; index < 18; index++) await rm(join(folder, `small-${index}.txt`))

    const { code, stdout } = await run()
    assert.equal(code, 0)
    assert.match(stdout, /^resuming: 0 of 41 files were done$/m)
    assert.match(stdout, /^ {2}files +33$/m)
    assert.match(stdout, /^8 files or folders could not be read; all others are in the table:$/m)
    assert.match(stdout, /^ {2}small-10\.txt: vanished before it was read \(ENOENT\)$/m)
    assert.match(stdout, /^ {2}and 3 more$/m)
  })

  test('while the first run goes on, is refused', async (t) => {
    const { folder, store, start } = await setup(t)
    const first = start()
    await first.line(/^\d+ %: 40 of 41 files/m)
    for (const args of [[], ['--fresh']]) {
      const { code, stdout, stderr } = await program(['demo', folder, '--store', store, ...args]).ended
      assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
      assert.match(
        stderr,
        new RegExp(`Another demo of .* is running, in process ${first.child.pid}\\. Wait for it, or stop it\\.`),
      )
    }
    first.child.kill('SIGINT')
    assert.equal((await first.ended).code, 130)
  })
})
