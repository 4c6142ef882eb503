/**
 * Tries directories that permissions close, as a user whom they bind. Arguments: a directory of that user's own; one that is closed to it,
 * which it may have to close itself; a fault of the library. Prints what was wrong.
 */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { doctor, isMillraceError, openExecutor } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { program } from '../../support/demo-program.js'
import { faultOf, shown } from './judge.js'
import { spoiltOpen } from './spoilt-doors.js'
import { echo } from './world.js'

const [, , root = '', taken = '', fault = ''] = process.argv
const wrong: string[] = []
const at = (name: string): string => join(root, name)
const spoilt = spoiltOpen(fault)
const open = async (path: string): Promise<unknown> =>
  await (await spoilt({ path, jobs: [echo], threads: 1 })).close({ grace: 0 })

async function refuses(what: string, path: string, code: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call()
    wrong.push(`${what}: was taken, and may not be used`)
  } catch (thrown) {
    const { message } = thrown as Error
    const found =
      faultOf(thrown) ??
      (isMillraceError(thrown) && thrown.code === code ? undefined : `not ${code}: ${shown(thrown)}`) ??
      (message.includes(path) ? undefined : `the refusal does not say which path: ${message}`) ??
      (/may not|EACCES|EPERM|permission/i.test(message) ? undefined : `does not say that it is not permitted: ${message}`)
    if (found !== undefined) wrong.push(`${what}: ${found}`)
  }
}

/** Nothing is to be made in it, whatever is tried. */
async function closed<T>(path: string, mode: number, use: () => Promise<T>): Promise<T> {
  const before = readdirSync(path).sort().join()
  chmodSync(path, mode)
  try {
    return await use()
  } finally {
    chmodSync(path, 0o700)
    const after = readdirSync(path).sort().join()
    if (after !== before) wrong.push(`${path}, which may not be written to, held ${before} and holds ${after}`)
  }
}

const UNUSABLE = 'MILLRACE_STORE_UNUSABLE'
for (const name of ['bare', 'store', 'shut']) mkdirSync(at(name))
const first = await openExecutor({ path: at('store'), jobs: [echo], threads: 1 })
await (await first.enqueue(echo, 1)).result()
await closed(at('bare'), 0o500, async () => {
  await refuses('a store in a directory of mode 0500', at('bare'), UNUSABLE, () => open(at('bare')))
  await refuses('a store below a directory of mode 0500', at('bare'), UNUSABLE, () => open(at('bare/deep/store')))
  await refuses('a backup below a directory of mode 0500', at('bare'), 'MILLRACE_COPY_FAILED', () =>
    first.backup(at('bare/copy')),
  )
})
await closed(at('shut'), 0o000, async () => {
  await refuses('a store below a directory of mode 0000', at('shut'), UNUSABLE, () => open(at('shut/store')))
  const { verdict, problems } = await doctor(at('shut/store'))
  if (verdict !== 'problems' || problems.length === 0) wrong.push('the doctor finds a store that it cannot see healthy')
})
await first.close()
await closed(at('store'), 0o500, async () => {
  await refuses('a store whose directory has mode 0500', at('store'), UNUSABLE, () => open(at('store')))
  await refuses('compact where the directory has mode 0500', at('store'), UNUSABLE, () => compact(at('store')))
  await refuses('a repair where the directory has mode 0500', at('store'), UNUSABLE, () => doctor(at('store'), { repair: true }))
  for (const [words, code] of [
    [['doctor', at('store')], 0],
    [['status', at('store')], 0],
    [['pause', at('store'), 'default'], 1],
    [['jobs', 'retry', at('store'), '--all'], 1],
  ] as const) {
    const ended = await program(words).ended
    if (ended.code !== code) wrong.push(`millrace ${words[0]} of a store of mode 0500 ended with ${ended.code}: ${ended.stderr}`)
  }
})
chmodSync(at('store/jobs.mdb'), 0o400)
await refuses('a data file of mode 0400', at('store'), UNUSABLE, () => open(at('store')))
chmodSync(at('store/jobs.mdb'), 0o600)
const again = await openExecutor({ path: at('store'), jobs: [echo], threads: 1 })
const { completed } = await again.counts()
if (completed !== 1) wrong.push(`the store that was closed for a time has ${completed} jobs of 1`)
await again.close()
if (process.getuid?.() !== 0) {
  // Its own user closes it; who is not its user finds it closed.
  try {
    chmodSync(taken, 0o000)
  } catch {
    // It is another user's.
  }
  await refuses("a directory of another user's", taken, UNUSABLE, () => open(join(taken, 'store')))
  try {
    chmodSync(taken, 0o700)
  } catch {
    // As above.
  }
}
console.log(JSON.stringify(wrong))
