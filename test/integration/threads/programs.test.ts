/** Whole programs, as users write them, run as processes of their own. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LINES } from '../../fixtures/threads/print.js'
import { LIMITS, newDirectory } from '../../support/open.js'

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Ends by itself: a handle that the library left open would be seen as a test that does not end. */
function run(program: string, args: readonly string[]): Promise<Ended> {
  const file = fileURLToPath(new URL(`../../fixtures/threads/${program}`, import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr })
    })
  })
}

for (const how of ['return', 'throw', 'exit', 'exit later', 'loop']) {
  test(`what a job writes to stdout and stderr is not lost, in order: ${how}`, LIMITS, async (t) => {
    const { code, stdout, stderr } = await run('print.js', [how, newDirectory(t)])
    const out: string[] = []
    const err: string[] = []
    for (let line = 0; line < LINES; line++) {
      out.push(`out ${line} ä€`)
      if (line % 4 === 0) err.push(`err ${line}`)
      if (line % 100 === 0) out.push(`raw ${line}`)
    }
    if (how === 'exit later') out.push('called back')
    assert.equal(code, 0, stderr.slice(0, 500))
    assert.deepEqual(stdout.trimEnd().split('\n'), out)
    assert.deepEqual(stderr.trimEnd().split('\n'), err)
  })
}

test('a program of one file works; openExecutor inside a handler is refused', LIMITS, async (t) => {
  const { code, stdout, stderr } = await run('script.js', [newDirectory(t)])
  assert.equal(code, 0, stderr)
  assert.equal(stderr, '')
  const results = [1, 4, 9, 16].map((square) => ({ square, isMainThread: false }))
  assert.deepEqual(JSON.parse(stdout), { results, refused: 'MILLRACE_OPEN_IN_THREAD' })
})

test('a program that awaits a job lives through pauses between threads that die at start', LIMITS, async (t) => {
  const { code, stdout, stderr } = await run('bad-starts.js', [newDirectory(t)])
  assert.deepEqual([code, stdout], [0, '49'], stderr)
})
