/** Paths that cannot be a store, directories that may not be written to, and what a path means when the process moves. */
import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openExecutor } from '../../../src/index.js'
import { faultOf, shown } from './judge.js'
import { whomPermissionsBind } from './other-user.js'
import type { Attempt } from './read-only.js'
import { spoiltOpen, type Open } from './spoilt-doors.js'
import { echo } from './world.js'

const UNWRITABLE = fileURLToPath(new URL('./unwritable-program.js', import.meta.url))
/** Of a path, in a message: the rest of a long one may be left out. */
const PATH_SHOWN = 100

const index = new URL('../../../src/index.js', import.meta.url).href

/** Opens a path that must be refused, in words that name it. */
async function refuses(open: Open, name: string, path: string): Promise<string[]> {
  try {
    const executor = await open({ path, jobs: [], threads: 1 })
    await executor.close({ grace: 0 })
    return [`the path ${name}: was taken`]
  } catch (thrown) {
    const names = String((thrown as Error).message).includes(path.slice(0, PATH_SHOWN))
    const fault = faultOf(thrown) ?? (names ? undefined : `the refusal does not say which path: ${shown(thrown)}`)
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
  return wrong
}

/** Directories that their own user may not write to, as whom permissions bind. */
async function unwritable(root: string, fault: string): Promise<Attempt> {
  const who = whomPermissionsBind()
  if (typeof who === 'string') return { wrong: [], skipped: [`directories that may not be written to: ${who}`] }
  const directory = join(root, 'of-another')
  await mkdir(directory)
  if (who.uid !== undefined) await chown(directory, who.uid, who.gid ?? who.uid)
  const said = execFileSync(process.execPath, [UNWRITABLE, directory, join(root, 'taken'), fault], {
    ...who,
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  await rm(directory, { recursive: true })
  return { wrong: JSON.parse(said) as string[], skipped: [] }
}

/** @param fault - one of the library's, of `spoilt-doors.ts` */
export async function tryPaths(fault = ''): Promise<Attempt> {
  const open = spoiltOpen(fault)
  const root = await mkdtemp(join(tmpdir(), 'millrace-paths-'))
  const at = (name: string): string => join(root, name)
  try {
    // The way is open to others, `taken` is not.
    await chmod(root, 0o711)
    await writeFile(at('file'), 'a file')
    await mkdir(at('taken'), { mode: 0o700 })
    await symlink('nowhere', at('dangling'))
    await symlink('loop', at('loop'))
    await symlink('taken', at('link'))
    const wrong = [
      ...(await refuses(open, 'of a file', at('file'))),
      ...(await refuses(open, 'below a file', at('file/store'))),
      ...(await refuses(open, 'of a dangling link', at('dangling'))),
      ...(await refuses(open, 'below a dangling link', at('dangling/store'))),
      ...(await refuses(open, 'of a loop', at('loop'))),
      ...(await refuses(open, 'below a loop', at('loop/store'))),
      ...(await refuses(open, 'of 5,000 characters', at('long/'.repeat(1000)))),
      ...(await refuses(open, 'with a name of 5,000 characters', at('x'.repeat(5000)))),
      ...(await refuses(open, 'of a system directory', '/proc/millrace')),
      ...inProcesses(root),
      ...(await relative(root)),
    ]
    const executor = await openExecutor({ path: at('link'), jobs: [], threads: 1 })
    await executor.close({ grace: 0 })
    const denied = await unwritable(root, fault)
    const left = (await readdir(root)).filter(
      (name) => !['file', 'taken', 'dangling', 'loop', 'link', 'elsewhere'].includes(name),
    )
    const unexpected = left.filter((name) => !['few', 'store'].includes(name))
    return {
      wrong: [...wrong, ...denied.wrong, ...unexpected.map((name) => `a refused path left ${name}`)],
      skipped: denied.skipped,
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
