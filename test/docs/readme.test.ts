/**
 * Runs every code block of README.md. A block names its file (`ts file=project/name.ts`), and a block of text after it what that file
 * prints (`text output=project/name.ts`). Each project is compiled as a consumer would, and run in a directory of its own.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { blocks, prose, README, ROOT } from '../fixtures/docs/readme.js'

const run = promisify(execFile)
const root = fileURLToPath(ROOT)
const programs = blocks.filter(({ language }) => /^[cm]?[jt]sx?$|^javascript$|^typescript$/.test(language))

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  strict: true,
  skipLibCheck: true,
  allowJs: true,
  rootDir: 'source',
  outDir: 'out',
  typeRoots: [join(root, 'node_modules/@types')],
  types: ['node'],
}

/** Says which blocks have really run, in whatever thread. */
const TRACE = `import { appendFileSync as traceRun } from 'node:fs'; traceRun(process.env.README_TRACE, import.meta.url + '\\n');\n`

let folder = ''

function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  // Without the word of this test run to its own children.
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  return { ...env, README_TRACE: join(folder, 'trace'), ...more }
}

/** The compiled file of a block, and the directory its project runs in. */
function place(file: string): { compiled: string; cwd: string } {
  const cwd = join(folder, 'run', file.split('/')[0] ?? '')
  mkdirSync(cwd, { recursive: true })
  return { compiled: join(folder, 'out', file.replace(/ts$/, 'js')), cwd }
}

/** The next run of a file: what it prints, and that it ends by itself without a complaint. */
async function runFile(file: string, ...flags: readonly string[]): Promise<string> {
  const { compiled, cwd } = place(file)
  const { stdout, stderr } = await run(process.execPath, [...flags, compiled], { cwd, env: environment(), timeout: 60_000 })
  assert.equal(stderr, '', file)
  return stdout
}

describe('the programs in README.md', () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-readme-'))
    const write = (path: string, text: string): void => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    write('package.json', JSON.stringify({ private: true, type: 'module' }))
    write('trace', '')
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules/millrace'), 'junction')
    symlinkSync(join(root, 'node_modules/zod'), join(folder, 'node_modules/zod'), 'junction')
    const files = programs.map(({ words }) => `source/${words['file']}`)
    for (const [index, { text }] of programs.entries()) write(files[index] ?? '', text)
    write('tsconfig.json', JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files }))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [compiler, '--project', 'tsconfig.json'], { cwd: folder }).catch((error: unknown) => {
      throw new Error((error as { stdout: string }).stdout)
    })
    for (const { words } of programs) {
      const { compiled } = place(words['file'] ?? '')
      writeFileSync(compiled, TRACE + readFileSync(compiled, 'utf8'))
    }
  })

  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))

  test('name their files, each its own', () => {
    const names = programs.map(({ words, line }) => words['file'] ?? `none at line ${line}`)
    assert.deepEqual(new Set(names).size, names.length)
    for (const name of names) assert.match(name, /^[a-z]+\/[a-z/.-]+\.(ts|mjs)$/)
    for (const { words, line } of blocks) {
      if (words['output'] !== undefined) assert(names.includes(words['output']), `line ${line}: output of no file`)
    }
  })

  // One after the other, in the order of the page: a program may go on with what the run before it left.
  for (const { words, text, line } of blocks) {
    const { file, output } = words
    if (output !== undefined) {
      test(`${output} prints what line ${line} says`, async () => assert.equal(await runFile(output), text))
    } else if (file?.endsWith('.test.ts') === true) {
      test(`${file} passes`, async () => assert.match(await runFile(file, '--test'), /^# pass 1$|^ℹ pass 1$/m))
    }
  }

  test('the web server takes jobs, reports on them, refuses nonsense, and closes on SIGTERM', { timeout: 60_000 }, async (t) => {
    const { compiled, cwd } = place('server/server.ts')
    const server = spawn(process.execPath, [compiled], {
      cwd,
      env: environment({ PORT: '0' }),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(() => server.kill('SIGKILL'))
    const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]()
    const [, port] = /^listening on (\d+)$/.exec(String((await lines.next()).value)) ?? []
    const ask = async (path: string, body?: string): Promise<[number, Record<string, unknown>]> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, body === undefined ? {} : { method: 'POST', body })
      return [response.status, (await response.json()) as Record<string, unknown>]
    }

    const [accepted, { id }] = await ask('/reports', '{"month":"2026-05"}')
    assert.equal(accepted, 202)
    let seen: Record<string, unknown>
    do [, seen] = await ask(`/reports/${String(id)}`)
    while (seen['state'] === 'available' || seen['state'] === 'running')
    assert.deepEqual(seen, { state: 'completed', output: { month: '2026-05', total: 42 } })

    const [unfit, { error }] = await ask('/reports', '{"month":5}')
    assert.deepEqual([unfit, String(error).includes('month')], [400, true])
    assert.equal((await ask('/reports', 'no json'))[0], 400)
    assert.equal((await ask('/reports/nothing'))[0], 404)
    assert.equal((await ask('/elsewhere'))[0], 404)

    // What runs is let finish.
    await ask('/reports', '{"month":"2026-06"}')
    server.kill('SIGTERM')
    assert.equal((await lines.next()).value, 'closed, 0 interrupted')
    const [code] = server.exitCode === null ? ((await once(server, 'exit')) as [number]) : [server.exitCode]
    assert.equal(code, 0)
  })

  test('have all run', () => {
    const ran = new Set(readFileSync(join(folder, 'trace'), 'utf8').split('\n').filter(Boolean))
    const files = [...ran].map((url) => relative(join(folder, 'out'), fileURLToPath(url)).replaceAll('\\', '/'))
    assert.deepEqual(files.sort(), programs.map(({ words }) => (words['file'] ?? '').replace(/ts$/, 'js')).sort())
  })
})

describe('README.md', () => {
  const manifest = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
    readonly name: string
    readonly scripts: Readonly<Record<string, string>>
    readonly bin: Readonly<Record<string, string>>
    readonly engines: { readonly node: string }
  }

  test('names commands that exist', () => {
    const shell = blocks.filter(({ language }) => language === 'sh')
    const commands = shell.flatMap(({ text }) => text.trim().split(/\n| && /))
    assert(commands.length >= 5)
    for (const span of README.matchAll(/`(np[mx] [^`\n]+)`/g)) commands.push(span[1] ?? '')
    for (const command of commands) {
      const [program, verb = '', name = ''] = command.split(' ')
      const known =
        program === 'npx'
          ? Object.keys(manifest.bin).includes(verb) && existsSync(new URL(`src/cli/commands/${name}.ts`, ROOT))
          : command === 'npm ci' ||
            command === `npm install ${manifest.name}` ||
            (verb === 'run' ? name : verb) in manifest.scripts
      assert(known, `"${command}" is not a command of this package`)
    }
  })

  test('holds no block that is neither run nor checked', () => {
    for (const { language, line } of blocks) assert.match(language, /^(ts|js|text|sh)$/, `line ${line}`)
  })

  test('leads to places that exist', () => {
    const anchors = [...README.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
    for (const [, target = ''] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      if (target.startsWith('#')) assert(anchors.includes(target.slice(1)), `no heading for ${target}`)
      else if (!target.startsWith('https://')) assert(existsSync(new URL(target, ROOT)), `no file ${target}`)
    }
  })

  test('names the Node version that the package asks for', () => {
    assert(README.includes(`Node ${manifest.engines.node.replace('>=', '')} or later`))
  })
})
