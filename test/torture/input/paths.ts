/** Paths that cannot be a store, and what a path means when the process moves. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExecutor } from '../../../src/index.js'
import { faultOf } from './judge.js'
import { echo } from './world.js'

const index = new URL('../../../src/index.js', import.meta.url).href

/** Opens a path that must be refused. */
async function refuses(name: string, path: string): Promise<string[]> {
  try {
    const executor = await openExecutor({ path, jobs: [], threads: 1 })
    await executor.close({ grace: 0 })
    return [`the path ${name}: was taken`]
  } catch (thrown) {
    const fault = faultOf(thrown)
    return fault === undefined ? [] : [`the path ${name}: ${fault}`]
  }
}

/** Loads everything, then leaves no file descriptor but one. */
const USE_UP = `
  const { openSync, closeSync } = await import('node:fs')
  const first = await (await import(${JSON.stringify(index)})).openExecutor({ path: ':memory:', jobs: [], threads: 1 })
  await first.close({ grace: 0 })
  const files = []
  try { for (;;) files.push(openSync('/dev/null')) } catch {}
  closeSync(files.pop())`

/** Opens a path in a process of its own, after `prepare`; gives the code of what it was refused with, `opened`, or what it said. */
function inProcess(path: string, prepare: string, wrapper = ''): string {
  const program = `${prepare}
    const { openExecutor } = await import(${JSON.stringify(index)})
    try { const e = await openExecutor({ path: ${JSON.stringify(path)}, jobs: [], threads: 1 }); await e.close({ grace: 0 }); console.log('opened') }
    catch (error) { console.log(error.code + ' ' + error.message) }`
  const run = `${wrapper} "$NODE" --input-type=module -e "$PROGRAM" 2>&1 || true`
  return execFileSync('/bin/sh', ['-c', run], {
    encoding: 'utf8',
    env: { ...process.env, NODE: process.execPath, PROGRAM: program },
  })
}

/** A relative path means what it meant when the executor was opened. */
async function relative(root: string): Promise<string[]> {
  const path = join(root, 'elsewhere')
  await mkdir(path)
  const before = process.cwd()
  try {
    process.chdir(root)
    const executor = await openExecutor({ path: './store', jobs: [echo], threads: 1 })
    process.chdir(path)
    await (await executor.enqueue(echo, 1)).result()
    await executor.close({ grace: 0 })
  } finally {
    process.chdir(before)
  }
  const names = await readdir(path)
  return names.length === 0 ? [] : [`a relative path: elsewhere lies ${names.join(', ')}`]
}

function inProcesses(root: string): string[] {
  const wrong: string[] = []
  const expects = (name: string, said: string, fits: RegExp): void => {
    if (!fits.test(said)) wrong.push(`${name}: ${said.slice(0, 300)}`)
  }
  expects('no file descriptors left', inProcess(join(root, 'few'), USE_UP, 'ulimit -n 128;'), /^MILLRACE_STORE_UNUSABLE .*EMFILE/)
  // Permissions do not bind root; another user's process does not get in.
  if (process.getuid?.() === 0) {
    const drop = 'await import(' + JSON.stringify(index) + '); process.setgid(65534); process.setuid(65534);'
    expects("a directory of another user's", inProcess(join(root, 'taken', 'store'), drop), /^MILLRACE_STORE_UNUSABLE .*may not/)
  }
  return wrong
}

export async function tryPaths(): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-paths-'))
  const at = (name: string): string => join(root, name)
  try {
    await writeFile(at('file'), 'a file')
    await mkdir(at('taken'), { mode: 0o700 })
    await symlink('nowhere', at('dangling'))
    await symlink('loop', at('loop'))
    await symlink('taken', at('link'))
    const wrong = [
      ...(await refuses('of a file', at('file'))),
      ...(await refuses('below a file', at('file/store'))),
      ...(await refuses('of a dangling link', at('dangling'))),
      ...(await refuses('below a dangling link', at('dangling/store'))),
      ...(await refuses('of a loop', at('loop'))),
      ...(await refuses('below a loop', at('loop/store'))),
      ...(await refuses('of 5,000 characters', at('long/'.repeat(1000)))),
      ...(await refuses('with a name of 5,000 characters', at('x'.repeat(5000)))),
      ...(await refuses('of a system directory', '/proc/millrace')),
      ...inProcesses(root),
      ...(await relative(root)),
    ]
    const executor = await openExecutor({ path: at('link'), jobs: [], threads: 1 })
    await executor.close({ grace: 0 })
    const left = (await readdir(root)).filter(
      (name) => !['file', 'taken', 'dangling', 'loop', 'link', 'elsewhere'].includes(name),
    )
    const unexpected = left.filter((name) => !['few', 'store'].includes(name))
    return [...wrong, ...unexpected.map((name) => `a refused path left ${name}`)]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
