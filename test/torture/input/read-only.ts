/** A file system that takes no writes: everything that would write there says so, and what only reads goes on. Needs root to mount one. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { doctor, isMillraceError, openExecutor } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { program } from '../../support/demo-program.js'
import { faultOf, shown } from './judge.js'
import { echo } from './world.js'

/** What was wrong; or why it was not tried. */
export async function tryReadOnly(): Promise<{ wrong: string[]; leftOut?: string }> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-read-only-'))
  const [source, mount] = [join(root, 'source'), join(root, 'mount')]
  try {
    await mkdir(mount)
    const executor = await openExecutor({ path: join(source, 'store'), jobs: [echo], threads: 1 })
    await (await executor.enqueue(echo, 1)).result()
    await executor.close()
    try {
      execFileSync('mount', ['--bind', source, mount], { stdio: 'ignore' })
    } catch {
      return { wrong: [], leftOut: 'a read-only file system was not tried: to mount one needs root' }
    }
    try {
      execFileSync('mount', ['-o', 'remount,bind,ro', mount], { stdio: 'ignore' })
      return { wrong: await tryOn(mount) }
    } finally {
      execFileSync('umount', [mount])
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function tryOn(mount: string): Promise<string[]> {
  const wrong: string[] = []
  const store = join(mount, 'store')
  const refuses = async (what: string, code: string, call: () => Promise<unknown>): Promise<void> => {
    try {
      await call()
      wrong.push(`${what} on a read-only file system was taken`)
    } catch (thrown) {
      const fault =
        faultOf(thrown) ?? (isMillraceError(thrown) && thrown.code === code ? undefined : `not ${code}: ${shown(thrown)}`)
      if (fault !== undefined) wrong.push(`${what} on a read-only file system: ${fault}`)
      else if (!(thrown as Error).message.includes('EROFS'))
        wrong.push(`${what} does not say that it is read-only: ${shown(thrown)}`)
    }
  }
  const open = async (path: string): Promise<unknown> => await (await openExecutor({ path, jobs: [echo], threads: 1 })).close()
  await refuses('opening a store', 'MILLRACE_STORE_UNUSABLE', () => open(store))
  await refuses('making a store', 'MILLRACE_STORE_UNUSABLE', () => open(join(mount, 'new', 'store')))
  await refuses('compact', 'MILLRACE_STORE_UNUSABLE', () => compact(store))
  await refuses('a repair', 'MILLRACE_STORE_UNUSABLE', () => doctor(store, { repair: true }))
  const elsewhere = await openExecutor({ path: join(mount, '..', 'other'), jobs: [echo], threads: 1 })
  await refuses('a backup', 'MILLRACE_COPY_FAILED', () => elsewhere.backup(join(mount, 'backup')))
  await elsewhere.close()
  const { verdict, facts } = await doctor(store)
  if (verdict !== 'healthy' || facts?.jobs.completed !== 1)
    wrong.push(`the doctor finds a read-only store ${verdict}: ${shown(facts)}`)
  for (const [args, code] of [
    [['doctor', store], 0],
    [['compact', store], 1],
    [['demo', mount, '--store', mount], 1],
  ] as const) {
    const ended = await program(args).ended
    if (ended.code !== code || /^\s+at /m.test(ended.stderr))
      wrong.push(`millrace ${args[0]} ended with ${ended.code}: ${ended.stderr}`)
  }
  return wrong
}
