/**
 * Where the control socket is: `millrace.sock` in the store's directory, however long the directory's path.
 *
 * The system takes about a hundred bytes for a socket's path. A longer one is reached through a symbolic link to the directory, made in
 * the system's temporary place for the moment of the call and removed again: the socket itself stays in the directory, behind its
 * permissions, and both sides find it without being told.
 *
 * It is made in a folder that only its user may enter, closed to others there, and then put in its place by a rename. So at no
 * moment is it open to others, also in a directory that is, and what a dead process has left is replaced in one step.
 */
import { chmodSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { SOCKET_PATH_BYTES } from '../base/limits.js'

export const SOCKET_FILE = 'millrace.sock'
const SOCKET_MODE = 0o600
/** The name in the folder in which it is made. */
const DRAFT = 's'

/** Calls `use` with a path to a name in a directory that is short enough for a socket. */
export function withSocketPath<T>(directory: string, name: string, use: (path: string) => T): T {
  const path = join(resolve(directory), name)
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES) return use(path)
  const folder = mkdtempSync(join(shortest(tmpdir(), '/tmp'), 'mr-'))
  const link = join(folder, 'd')
  try {
    symlinkSync(resolve(directory), link)
    return use(join(link, name))
  } finally {
    rmSync(link, { force: true })
    rmdirSync(folder)
  }
}

/** Puts the socket in its place. `listen` makes it at the path it is given, before it returns. */
export function placeSocket(directory: string, listen: (path: string) => void): void {
  removeDrafts(directory)
  const folder = mkdtempSync(join(directory, `${SOCKET_FILE}.`))
  try {
    withSocketPath(folder, DRAFT, listen)
    const draft = join(folder, DRAFT)
    chmodSync(draft, SOCKET_MODE)
    renameSync(draft, join(directory, SOCKET_FILE))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** To be called while the directory is held: the next executor's socket has the same name. */
export function removeSocket(directory: string): void {
  try {
    unlinkSync(join(directory, SOCKET_FILE))
  } catch {
    // Somebody has removed it, or the directory: that is how it is to be.
  }
}

/** What processes that died while they made theirs have left. */
function removeDrafts(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(`${SOCKET_FILE}.`)) rmSync(join(directory, name), { recursive: true, force: true })
  }
}

function shortest(...paths: readonly string[]): string {
  return paths.reduce((best, path) => (path.length < best.length ? path : best))
}
