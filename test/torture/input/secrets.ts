/**
 * Nothing that the library prints, throws or tells shows a payload that nobody has asked for, whatever happens to its job. What a handler
 * itself logs or throws is not the library's.
 */
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import { EVENT_NAMES } from '../../../src/executor/events.js'
import { TABLES, WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { program } from '../../support/demo-program.js'
import { SECRET, secretive, showsSecret } from './secret.js'

/** Runs programs with a secret through everything; the secret is to be in the store, and nowhere else. */
export async function trySecrets(): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-secrets-'))
  const path = join(root, 'store')
  const wrong: string[] = []
  let heard = ''
  const look = (what: string, said: string): void => {
    wrong.push(...showsSecret(what, said))
    if (said.includes('NOT REFUSED')) wrong.push(`${what}: ${said.slice(said.indexOf('NOT REFUSED')).split('\n')[0]}`)
  }
  try {
    for (const mode of ['live', 'die', 'return', 'fill'] as const) {
      const { code, said } = await run(path, mode)
      if (code !== (mode === 'die' ? null : 0))
        wrong.push(`the program that is to ${mode} ended with ${code}: ${said.slice(-1000)}`)
      look(`a program (${mode})`, said)
      heard += said
    }
    for (const name of EVENT_NAMES.filter((one) => one !== 'log' && one !== 'progress'))
      if (!new RegExp(`^${name}: `, 'm').test(heard)) wrong.push(`the event '${name}' was never told: nobody knows what it shows`)
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
  const { child, said } = secretive(path, mode)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said: said() }
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
