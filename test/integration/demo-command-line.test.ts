/** What `millrace` says to a command line. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { program } from '../support/demo-program.js'

const WRONG: Readonly<Record<string, readonly [args: string[], message: string]>> = {
  'an unknown option': [['demo', '--thread', '4'], "Unknown option '--thread'. Did you mean '--threads'?"],
  'an option like no other': [['demo', '--zzz'], "Unknown option '--zzz'."],
  'an unknown short option': [['demo', '-x'], "Unknown option '-x'."],
  'an unknown command': [['dmo'], "Unknown command 'dmo'. Did you mean 'demo'?"],
  'a command like no other': [['frobnicate'], "Unknown command 'frobnicate'."],
  'no number of threads': [['demo', '--threads', 'many'], "Option '--threads' takes a whole number from 1 to 1024, not 'many'."],
  'too few threads': [['demo', '--threads=0'], "Option '--threads' takes a whole number from 1 to 1024, not '0'."],
  'an option without its value': [['demo', '--store'], "Option '--store' needs a value."],
  'a value for an option without one': [['demo', '--fresh=yes'], "Option '--fresh' takes no value."],
  'two folders': [['demo', 'a', 'b'], "demo takes one folder, and was given 2: 'a', 'b'."],
}

describe('a wrong command line', () => {
  for (const [name, [args, message]] of Object.entries(WRONG)) {
    test(name, async () => {
      const { code, stdout, stderr } = await program(args).ended
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
      assert.equal(stderr, `millrace: ${message}\nRun 'millrace --help' to see what there is.\n`)
    })
  }
})

describe('a question', () => {
  for (const args of [[], ['--help'], ['-h'], ['help'], ['demo', '--help']]) {
    test(`millrace ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await program(args).ended
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
      for (const option of ['--threads', '--store', '--fresh', '--help', '--version']) assert.ok(stdout.includes(`  ${option} `))
      assert.match(stdout, /^Examples:\n {2}npx millrace demo\n/m)
    })
  }

  test('millrace --version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
    const { code, stdout } = await program(['--version']).ended
    assert.deepEqual({ code, stdout }, { code: 0, stdout: `${version}\n` })
  })
})
