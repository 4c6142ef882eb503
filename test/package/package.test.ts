/** The packed tarball as a consumer meets it: what is in it, installed into an empty folder, type-checked against, and run. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** npm as it was started, so that the test needs no shell and uses the same one. */
async function npm(cwd: string, ...args: readonly string[]): Promise<string> {
  const script = process.env['npm_execpath']
  const [program, first] = script === undefined ? ['npm', []] : [process.execPath, [script]]
  const { stdout } = await run(program, [...first, ...args], { cwd, maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

const JOBS = `import { defineJob } from 'millrace'
import { z } from 'zod'

export const square = defineJob({
  name: 'square',
  module: import.meta.url,
  input: z.object({ side: z.number() }),
  run: ({ side }) => ({ area: side * side }),
})
`

const APP = `import { openExecutor } from 'millrace'
import { square } from './jobs.mjs'

const executor = await openExecutor({ path: './data/jobs', jobs: [square], threads: 1 })
const job = await executor.enqueue(square, { side: 7 })
console.log(JSON.stringify(await job.result()))
await executor.close()
`

const CONSUMER = `import { defineJob, isMillraceError, openExecutor } from 'millrace'
import { z } from 'zod'

export const square = defineJob({
  name: 'square',
  module: import.meta.url,
  input: z.object({ side: z.number() }),
  run: async ({ side }) => ({ area: side * side }),
})

await using executor = await openExecutor({ path: './data/jobs', jobs: [square], threads: 1 })
const job = await executor.enqueue(square, { side: 7 }, { delay: '5m' })
const { area }: { area: number } = await job.result()
export const text: string = job.id + area.toFixed()

// @ts-expect-error the input is checked
await executor.enqueue(square, { side: 'seven' }).catch((error: unknown) => isMillraceError(error, 'MILLRACE_INVALID_INPUT'))
// @ts-expect-error the output is known
export const volume = (await job.result()).volume
`

/** `module` and `moduleResolution` as consumers set them: Node's own, and a bundler's. */
const RESOLUTIONS = [
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
] as const

describe('the package', () => {
  let folder = ''
  let packed: readonly string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-package-'))
    const report = JSON.parse(await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder)) as [
      { filename: string; files: { path: string }[] },
    ]
    packed = report[0].files.map((file) => file.path)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    // Without install scripts: the binaries inside the dependencies' own packages must be enough.
    const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
    await npm(folder, 'install', ...flags, join(folder, report[0].filename))
  })

  after(() => rm(folder, { recursive: true, force: true }))

  test('holds what it runs on and what explains it', () => {
    const expected = ['package.json', 'LICENSE', 'README.md', 'CHANGELOG.md']
    expected.push('dist/src/index.js', 'dist/src/index.d.ts', 'dist/src/cli/main.js', 'dist/workers/entry.cjs')
    const missing = expected.filter((path) => !packed.includes(path))
    assert.deepEqual(missing, [])
  })

  test('holds no sources, tests, benches or dotfiles', () => {
    const surplus = packed.filter((path) => {
      return /(^|\/)(test|bench|\.[^/]+)\//.test(path) || /(?<!\.d)\.[cm]?ts$/.test(path) || /(^|\/)\.|\.tgz$|\.test\./.test(path)
    })
    assert.deepEqual(surplus, [])
  })

  test('runs a job where it is installed', async () => {
    await writeFile(join(folder, 'jobs.mjs'), JOBS)
    await writeFile(join(folder, 'app.mjs'), APP)
    const { stdout, stderr } = await run(process.execPath, ['app.mjs'], { cwd: folder })
    assert.deepEqual({ stdout, stderr }, { stdout: '{"area":49}\n', stderr: '' })
  })

  test('loads from CommonJS too', async () => {
    const program = `const { defineJob, openExecutor } = require('millrace'); console.log(typeof defineJob, typeof openExecutor)`
    const { stdout } = await run(process.execPath, ['--input-type=commonjs', '--eval', program], { cwd: folder })
    assert.equal(stdout, 'function function\n')
  })

  test('hides what is not exported', async () => {
    const program = `await import('millrace/dist/src/store/engine.js')`
    await assert.rejects(run(process.execPath, ['--input-type=module', '--eval', program], { cwd: folder }), {
      stderr: /ERR_PACKAGE_PATH_NOT_EXPORTED/,
    })
  })

  for (const [module, moduleResolution] of RESOLUTIONS) {
    test(`type-checks in a consumer, its libraries included, with ${moduleResolution} resolution`, async () => {
      const compilerOptions = {
        target: 'es2022',
        lib: ['es2023', 'esnext.disposable'],
        module,
        moduleResolution,
        strict: true,
        noEmit: true,
        skipLibCheck: false,
        typeRoots: [join(ROOT, 'node_modules/@types')],
        types: ['node'],
      }
      const project = `tsconfig.${moduleResolution}.json`
      await writeFile(join(folder, 'consumer.ts'), CONSUMER)
      await writeFile(join(folder, project), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
      const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
      const { stdout } = await run(process.execPath, [compiler, '--project', project], { cwd: folder }).catch(
        (error: unknown) => error as { stdout: string },
      )
      assert.equal(stdout, '')
    })
  }
})
