/** Tries a store on a file system that takes no writes. Arguments: where it is mounted, and a fault of the library. Prints what was wrong. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { doctor, isMillraceError } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { program } from '../../support/demo-program.js'
import { faultOf, shown } from './judge.js'
import { spoiltOpen, type Open } from './spoilt-doors.js'
import { echo } from './world.js'

async function tryOn(mount: string, openExecutor: Open): Promise<string[]> {
  const wrong: string[] = []
  const store = join(mount, 'store')
  const elsewhere = await mkdtemp(join(tmpdir(), 'millrace-elsewhere-'))
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
      else if (!(thrown as Error).message.includes(mount)) wrong.push(`${what} does not say which path: ${shown(thrown)}`)
    }
  }
  const open = async (path: string): Promise<unknown> => await (await openExecutor({ path, jobs: [echo], threads: 1 })).close()
  await refuses('opening a store', 'MILLRACE_STORE_UNUSABLE', () => open(store))
  await refuses('making a store', 'MILLRACE_STORE_UNUSABLE', () => open(join(mount, 'new', 'store')))
  await refuses('compact', 'MILLRACE_STORE_UNUSABLE', () => compact(store))
  await refuses('a repair', 'MILLRACE_STORE_UNUSABLE', () => doctor(store, { repair: true }))
  const other = await openExecutor({ path: join(elsewhere, 'other'), jobs: [echo], threads: 1 })
  await refuses('a backup', 'MILLRACE_COPY_FAILED', () => other.backup(join(mount, 'backup')))
  await (await other.enqueue(echo, 1)).result()
  await other.close()
  const { verdict, facts } = await doctor(store)
  if (verdict !== 'healthy' || facts?.jobs.completed !== 1)
    wrong.push(`the doctor finds a read-only store ${verdict}: ${shown(facts)}`)
  for (const [args, code] of [
    [['doctor', store], 0],
    [['compact', store], 1],
    [['demo', mount, '--store', mount], 1],
    // They look with LMDB, which notes down who reads.
    [['status', store], 1],
    [['jobs', 'retry', store, '--all'], 1],
    [['pause', store, 'default'], 1],
    [['backup', store, join(mount, 'copy')], 1],
  ] as const) {
    const ended = await program(args).ended
    const says = code === 0 || ended.stderr.includes('EROFS')
    if (ended.code !== code || !says || /^\s+at /m.test(ended.stderr))
      wrong.push(`millrace ${args[0]} ended with ${ended.code}: ${ended.stderr}`)
  }
  await rm(elsewhere, { recursive: true, force: true })
  return wrong
}

const [, , mount = '', fault = ''] = process.argv
console.log(JSON.stringify(await tryOn(mount, spoiltOpen(fault))))
