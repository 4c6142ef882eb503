/**
 * Payloads are the user's alone: nobody else may read the files that hold them, and nothing that the library prints, throws or tells
 * shows them, whatever happens to their jobs. What a handler itself logs or throws is not the library's.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey } from '../../../src/codec/keys.js'
import { doctor, openExecutor } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { TABLES, WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { JOURNAL_FD } from '../../fixtures/crash/journal-line.js'
import { program } from '../../support/demo-program.js'
import { echo } from './world.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/torture/secrets-program.js', import.meta.url))
/** In every payload. Not a word of anything else. */
const SECRET = 'open-sesame-4711'

/** Everything in a store belongs to its user alone, whatever the umask: also its copies, and what is beside it. */
export async function tryModes(): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-modes-'))
  const path = join(root, 'deep', 'store')
  const before = process.umask(0)
  try {
    const executor = await openExecutor({ path, jobs: [echo], threads: 1 })
    await (await executor.enqueue(echo, SECRET.repeat(3000))).result()
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

/** Runs programs with a secret through everything; the secret is to be in the store, and nowhere else. */
export async function trySecrets(): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-secrets-'))
  const path = join(root, 'store')
  const wrong: string[] = []
  const look = (what: string, said: string): void => {
    const at = said.indexOf(SECRET)
    if (at !== -1) wrong.push(`${what} shows the payload: ${said.slice(Math.max(0, at - 200), at + 100)}`)
    if (said.includes('NOT REFUSED')) wrong.push(`${what}: ${said.slice(said.indexOf('NOT REFUSED')).split('\n')[0]}`)
  }
  try {
    for (const mode of ['live', 'die', 'return'] as const) {
      const { code, said } = await run(path, mode)
      if (code !== (mode === 'die' ? null : 0))
        wrong.push(`the program that is to ${mode} ended with ${code}: ${said.slice(-1000)}`)
      look(`a program (${mode})`, said)
    }
    for (const args of [
      ['doctor', path],
      ['doctor', path, '--json'],
      ['compact', path, '--json'],
      ['demo', path, '--store', root],
    ])
      look(args[0] ?? '', await saidBy(args))
    for (const table of TABLES) {
      const copy = join(root, `cut-${table}`)
      await mkdir(copy)
      await copyFile(join(path, 'jobs.mdb'), join(copy, 'jobs.mdb'))
      if (!(await cut(copy, table))) continue
      for (const args of [
        ['doctor', copy],
        ['doctor', copy, '--repair', '--json'],
      ])
        look(`doctor, ${table} cut,`, await saidBy(args))
      look(`opening, ${table} cut,`, (await run(copy, 'return')).said)
    }
    // What is not looked for in the right place is never found.
    if (!(await run(path, 'tell')).said.includes(SECRET)) wrong.push('a handler that tells its payload was not heard')
    return wrong
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Everything that a program printed, threw or was told. */
async function run(path: string, mode: string): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [PROGRAM, path, SECRET, mode], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr, child.stdio[JOURNAL_FD]])
    stream?.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said }
}

async function saidBy(args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await program(args).ended
  return stdout + stderr
}

/** Halves the longest records of a table; false when it has none. */
async function cut(path: string, table: (typeof TABLES)[number]): Promise<boolean> {
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  const entries = engine.range(table, { limit: 1000 }).sort((a, b) => b.value.length - a.value.length)
  const batch = new WriteBatch()
  for (const { key, value } of entries.slice(0, 3)) batch.put(table, key, value.subarray(0, value.length >> 1))
  await engine.commit(batch)
  await engine.close()
  return entries.length > 0
}
