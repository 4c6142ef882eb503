/**
 * Runs the compiled tests: `npm test` all of them, `npm test -- unit` one folder, `npm test -- unit/job integration/close`
 * those whose path starts so. An argument that starts with `--` goes to Node, such as `--test-name-pattern=backoff`.
 *
 * The files are named one by one, because Node 20 knows no patterns here and searches by other names than ours.
 * Node's own closing counts are the last lines printed; its exit code is ours.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

/** A net for a hang, no measure of speed: a crash test rightly takes a minute. */
const TEST_TIMEOUT_MS = 5 * 60 * 1000
/** Two, also where there are more cores: the tests start threads and processes of their own. */
const FILES_AT_ONCE = 2

const root = fileURLToPath(new URL('.', import.meta.url))
const args = process.argv.slice(2)
const nodeOptions = args.filter((arg) => arg.startsWith('--'))
const wanted = args.filter((arg) => !arg.startsWith('--')).map((arg) => arg.replace(/^(\.\/)?test\//, '').replace(/\.ts$/, ''))

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((start) => file.startsWith(start)))
  .sort()

if (files.length === 0) {
  console.error(
    `No test matches ${wanted.length === 0 ? 'at all: the build left none in dist/test' : `'${wanted.join("', '")}'`}.`,
  )
  process.exit(1)
}

const child = spawn(
  process.execPath,
  [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${FILES_AT_ONCE}`,
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    ...nodeOptions,
    ...files.map((file) => root + file),
  ],
  { stdio: 'inherit' },
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
})
