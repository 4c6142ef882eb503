/** A program whose payloads are secret, and what it looks like when one is shown. */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { JOURNAL_FD } from '../../fixtures/crash/journal-line.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/torture/secrets-program.js', import.meta.url))
/** In every payload. Not a word of anything else. */
export const SECRET = 'open-sesame-4711'
/** Less than all of it is too much: errors quote beginnings. */
const SHOWN = SECRET.slice(0, 10)

/** One line where a text shows the payload. */
export function showsSecret(what: string, said: string): string[] {
  const at = said.indexOf(SHOWN)
  return at === -1 ? [] : [`${what} shows the payload: ${said.slice(Math.max(0, at - 200), at + 100)}`]
}

/** Starts the program; `said` is all that it has printed and told so far. */
export function secretive(path: string, mode: string): { readonly child: ChildProcess; readonly said: () => string } {
  const child = spawn(process.execPath, [PROGRAM, path, SECRET, mode], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr, child.stdio[JOURNAL_FD]])
    stream?.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
  return { child, said: () => said }
}
