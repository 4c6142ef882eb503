/** Payloads are the user's alone: nobody else may read the files that hold them. */
import { lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey } from '../../../src/codec/keys.js'
import { doctor } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { program } from '../../support/demo-program.js'
import { spoiltOpen } from './spoilt-doors.js'
import { echo } from './world.js'

/** Too long for its job's own record. */
const PAYLOAD = 'long '.repeat(10_000)

/** Everything in a store belongs to its user alone, whatever the umask: also its copies, and what is beside it. */
export async function tryModes(fault = ''): Promise<string[]> {
  const openExecutor = spoiltOpen(fault)
  const root = await mkdtemp(join(tmpdir(), 'millrace-modes-'))
  const path = join(root, 'deep', 'store')
  const before = process.umask(0)
  try {
    const executor = await openExecutor({ path, jobs: [echo], threads: 1 })
    await (await executor.enqueue(echo, PAYLOAD)).result()
    const wrong = await open(root, 'in use')
    await executor.backup(join(root, 'backups', 'first'))
    await executor.close({ grace: 0 })
    await compact(path)
    await spoil(path)
    const { verdict } = await doctor(path, { repair: true })
    if (verdict !== 'repaired') wrong.push(`the spoilt store is ${verdict}`)
    await mkdir(join(root, 'folder'), { mode: 0o700 })
    const demo = await program(['demo', join(root, 'folder'), '--store', join(root, 'demo')]).ended
    if (demo.code !== 0) wrong.push(`the demo ended with ${demo.stderr}`)
    wrong.push(...(await open(root, 'copied and repaired')))
    const copies = (await readdir(join(root, 'deep'))).length
    return copies === 2 ? wrong : [...wrong, `${copies - 1} copies beside the store`]
  } finally {
    process.umask(before)
    await rm(root, { recursive: true, force: true })
  }
}

/** Counters that are wrong, for the doctor to put right. */
async function spoil(path: string): Promise<void> {
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  const counters = JSON.parse(String(engine.get('meta', metaKey('counters')))) as Record<string, number>
  const batch = new WriteBatch()
  batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify({ ...counters, waiting: 7 })))
  await engine.commit(batch)
  await engine.close()
}

/** What others may use, below `root`. */
async function open(root: string, when: string): Promise<string[]> {
  const wrong: string[] = []
  for (const name of await readdir(root, { recursive: true })) {
    const { mode } = await lstat(join(root, name))
    if ((mode & 0o077) !== 0) wrong.push(`${when}: others may use ${name}: ${(mode & 0o777).toString(8)}`)
  }
  return wrong
}
