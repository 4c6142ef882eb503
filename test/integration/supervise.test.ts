/** `millrace supervise` over a real program: restarts, signals, stdio and arguments. */
import assert from 'node:assert/strict'
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { program } from '../support/demo-program.js'
import { tempDirectory } from '../support/temp-directory.js'

const QUICK = ['--min-delay', '1ms', '--max-delay', '1ms']

test('a program that dies twice is started three times, with its arguments, and its last code is the end', async (t) => {
  const file = join(await tempDirectory(t), 'runs')
  appendFileSync(file, '')
  const source = `
    const { appendFileSync, readFileSync } = require('node:fs')
    appendFileSync(process.argv[1], 'run\\n')
    const runs = readFileSync(process.argv[1], 'utf8').split('\\n').length - 1
    process.stdout.write('run ' + runs + ' ' + JSON.stringify(process.argv.slice(2)) + '\\n')
    if (runs === 1) process.kill(process.pid, 'SIGKILL')
    process.exitCode = runs === 2 ? 5 : 0`
  const args = [file, '--', '--help', 'two words']
  const { code, stdout, stderr } = await program(['supervise', ...QUICK, '--', process.execPath, '-e', source, ...args]).ended
  assert.equal(code, 0, stderr)
  assert.equal(readFileSync(file, 'utf8'), 'run\nrun\nrun\n')
  assert.match(stdout, /^(run 1 .*\n)?run 2 .*\nrun 3 \["--","--help","two words"\]\n$/)
  assert.deepEqual(
    stderr.split('\n').map((line) => line.replace(`${process.execPath} `, '')),
    [
      'millrace supervise: ended by SIGKILL; restarts in 0.001 s',
      'millrace supervise: ended with exit code 5; restarts in 0.001 s',
      '',
    ],
  )
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} reaches the program, which ends as it likes, for good`, async () => {
    const source = `process.on('${signal}', () => process.exit(42)); setInterval(() => {}, 1000); console.log('up')`
    const running = program(['supervise', ...QUICK, '--', process.execPath, '-e', source])
    await running.line(/up/)
    running.child.kill(signal)
    const { code, stderr } = await running.ended
    assert.deepEqual({ code, stderr }, { code: 42, stderr: '' })
  })
}

test('a program that does not exist: 127, at once', async () => {
  const { code, stderr } = await program(['supervise', '--', './no-such-program']).ended
  assert.equal(code, 127)
  assert.match(stderr, /^millrace supervise: \.\/no-such-program cannot be started: .*ENOENT\n$/)
})

describe('a wrong command line of supervise', () => {
  const wrong: Readonly<Record<string, readonly [args: string[], message: RegExp]>> = {
    'no program': [[], /needs a program behind --/],
    'a program before --': [['node', 'app.js'], /'node app.js' stands before '--'/],
    'an unknown option': [['--min-dely', '1s', '--', 'x'], /Unknown option '--min-dely'\. Did you mean '--min-delay'\?/],
    'no duration': [['--max-delay', 'long', '--', 'x'], /'--max-delay' takes a duration of 1 ms or more, .*, not 'long'/],
    'no count': [['--max-restarts=-1', '--', 'x'], /'--max-restarts' takes a whole number of 0 or more, not '-1'/],
    'delays the wrong way round': [
      ['--min-delay=1m', '--', 'x'],
      /'--min-delay' of 60000 ms is longer than '--max-delay' of 30000 ms/,
    ],
  }
  for (const [name, [args, message]] of Object.entries(wrong)) {
    test(name, async () => {
      const { code, stdout, stderr } = await program(['supervise', ...args]).ended
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
      assert.match(stderr, message)
    })
  }
})

test('supervise --help names its options, and exit codes', async () => {
  const { code, stdout } = await program(['supervise', '--help']).ended
  assert.equal(code, 0)
  for (const word of ['--min-delay', '--max-delay', '--max-restarts', 'Examples:', 'Exit codes:'])
    assert.ok(stdout.includes(word))
})
