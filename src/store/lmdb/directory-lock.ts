/**
 * One executor per directory: a lock file that names the process holding it, taken over when that process is gone.
 *
 * `millrace.lock` is JSON, and only ever appears or changes whole: each contender writes a draft of its own and puts it in
 * place with `link` (fails if there is a file) or `rename` (replaces it). Every file written bears a token of its own.
 *
 * Taking over. Two processes may find the same dead holder, and a `rename` by the slower one would throw out the faster
 * one, who is alive by then. So the right to replace a file is a file itself, named after the token in the one to be
 * replaced: `millrace.lock.<token>`, the guard, put in place with `link`. Whoever holds the guard looks again whether the
 * token is still in place, replaces the file, and removes the guard. What follows:
 * - While a dead holder's token is in place, only the holder of its guard can remove it; so what it looked at stays true.
 * - Tokens never come back. A guard that outlives its token protects nothing, and may be removed by the new holder.
 * - A taker that dies leaves a guard with a dead holder. It is taken over in the same way, by a guard of its own.
 *
 * Who is dead. A process is known by its id and, on Linux, the time it started at and the system's boot, so an id that was
 * given out again is not taken for the holder. A file without a readable holder is what a power cut leaves: nobody's.
 * Process ids mean nothing across containers, so two of them must not share a directory.
 *
 * Gone astray. Somebody may remove the file of a living process, and a second executor then opens the same store: whoever holds a lock
 * asks `isHeld` around each commit. A directory that was moved takes the file along, where its path does not lead to it any more; so
 * the file is held open, and emptied at the release: it is then nobody's.
 *
 * Called when an executor opens and closes, and around commits. Works on any local file system with hard links.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { systemClock } from '../../base/clock.js'
import { LockedError, MillraceError } from '../../base/errors.js'
import { FileInPlace } from './file-in-place.js'
import { prepareDirectory, unusable } from './store-directory.js'

export const LOCK_FILE = 'millrace.lock'
const FILE_MODE = 0o600
const TOKEN = /^[0-9a-f]{24}$/
const MAX_PID = 2 ** 31 - 1
/** Looks at a takeover by a living process before it counts as the holder. A takeover is three system calls long. */
const MAX_TRIES = 1000

export interface DirectoryLock {
  /** Whether the lock file is still in its place. False: somebody else may have the directory. */
  isHeld(): boolean
  /** Gives the directory free. Removes this lock only, never a later one. Calling it again is harmless. */
  release(): void
}

/** Who wrote a lock file or a guard. */
interface Holder {
  readonly token: string
  /** 0 when the file names nobody. */
  readonly pid: number
  /** Clock ticks from boot to the process's start; null where the system does not tell. */
  readonly startTime: string | null
  readonly bootId: string | null
}

type Take =
  | { readonly state: 'taken' }
  | { readonly state: 'held'; readonly holder: Holder }
  /** The files changed, or are being changed by `by`, while we looked. */
  | { readonly state: 'again'; readonly by?: Holder }

/**
 * Takes the directory for this process, and makes it if it is absent.
 *
 * @throws MILLRACE_LOCKED when a living process holds it; `holderPid` tells which.
 * @throws MILLRACE_STORE_UNUSABLE when the path cannot be a store.
 */
export async function acquireDirectoryLock(directory: string): Promise<DirectoryLock> {
  prepareDirectory(directory)
  let taker: Holder | undefined
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const take = tryTake(directory, LOCK_FILE)
    if (take.state === 'taken') {
      removeLeftovers(directory)
      return hold(directory)
    }
    if (take.state === 'held') throw locked(directory, take.holder.pid)
    taker = take.by ?? taker
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw taker === undefined ? unusable(directory, 'its lock file does not stay in place') : locked(directory, taker.pid)
}

/** One attempt to put a file of ours in the place of `name`. */
function tryTake(directory: string, name: string): Take {
  const path = join(directory, name)
  const token = randomBytes(12).toString('hex')
  const draft = join(directory, `${LOCK_FILE}.draft-${token}`)
  try {
    const openedAt = new Date(systemClock.now()).toISOString()
    writeFileSync(draft, JSON.stringify({ ...ourselves(), token, openedAt }), { mode: FILE_MODE, flag: 'wx' })
    if (linkIfAbsent(draft, path)) return { state: 'taken' }
    const present = readHolder(path)
    if (present === undefined) return { state: 'again' }
    if (isAlive(present)) return { state: 'held', holder: present }
    return replace(directory, name, present, draft) ? { state: 'taken' } : again(directory, present)
  } catch (error) {
    if (error instanceof MillraceError) throw error
    // The draft is gone: somebody else took the lock meanwhile, and tidied up.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { state: 'again' }
    const reason = error instanceof Error ? error.message : String(error)
    throw unusable(directory, `its lock file cannot be written (${reason})`, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Puts `draft` in the place of a dead holder's file, unless somebody else does. */
function replace(directory: string, name: string, dead: Holder, draft: string): boolean {
  const guardName = guardOf(dead)
  if (tryTake(directory, guardName).state !== 'taken') return false
  try {
    if (readHolder(join(directory, name))?.token !== dead.token) return false
    renameSync(draft, join(directory, name))
    return true
  } finally {
    rmSync(join(directory, guardName), { force: true })
  }
}

function again(directory: string, dead: Holder): Take {
  const by = readHolder(join(directory, guardOf(dead)))
  return by === undefined ? { state: 'again' } : { state: 'again', by }
}

function guardOf(holder: Holder): string {
  return `${LOCK_FILE}.${holder.token}`
}

function linkIfAbsent(draft: string, path: string): boolean {
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Who wrote the file; undefined when there is none. A file that names nobody gets a token from the file itself. */
function readHolder(path: string): Holder | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { ino, mtimeNs, size } = fstatSync(file, { bigint: true })
    const nobody: Holder = { token: `file-${ino}-${mtimeNs}-${size}`, pid: 0, startTime: null, bootId: null }
    return parseHolder(readFileSync(file, 'utf8')) ?? nobody
  } finally {
    closeSync(file)
  }
}

function parseHolder(text: string): Holder | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { token, pid, startTime, bootId } = value as Record<keyof Holder, unknown>
  // The token becomes part of a file's name.
  if (typeof token !== 'string' || !TOKEN.test(token)) return undefined
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0 || pid > MAX_PID) return undefined
  return { token, pid, startTime: textOrNull(startTime), bootId: textOrNull(bootId) }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function ourselves(): Omit<Holder, 'token'> {
  return { pid: process.pid, startTime: processStat(process.pid)?.startTime ?? null, bootId: bootId() }
}

/** When in doubt, alive: a refusal can be put right by hand, two executors on one store cannot. */
function isAlive(holder: Holder): boolean {
  if (holder.pid === 0) return false
  const boot = bootId()
  if (boot !== null && holder.bootId !== null && boot !== holder.bootId) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const stat = processStat(holder.pid)
  if (stat === undefined) return true
  if (holder.startTime !== null && holder.startTime !== stat.startTime) return false
  return !stat.isOver
}

/** What Linux tells of a process; undefined elsewhere, or when it may not be seen. Layout: proc_pid_stat(5). */
function processStat(pid: number): { readonly startTime: string; readonly isOver: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is the program's name, which may hold spaces and parentheses. State is field 3, start time field 22.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const startTime = fields[19]
    if (startTime === undefined) return undefined
    // A killed process whose parent has not asked for it yet; its other threads, if there are any, may still be at work.
    const isOver = (fields[0] === 'Z' || fields[0] === 'X') && readdirSync(`/proc/${pid}/task`).length <= 1
    return { startTime, isOver }
  } catch {
    return undefined
  }
}

/** Tells one run of the system from the next, in which the same process ids are given out again. */
function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return null
  }
}

/** Drafts and guards of processes that died. Those of living ones are of no use to them any more: the lock is ours. */
function removeLeftovers(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(`${LOCK_FILE}.`)) rmSync(join(directory, name), { force: true })
  }
}

/** The lock file that was just put in place. */
function hold(directory: string): DirectoryLock {
  const path = join(directory, LOCK_FILE)
  try {
    return new HeldLock(path)
  } catch (error) {
    rmSync(path, { force: true })
    throw unusable(directory, `its lock file cannot be opened (${(error as Error).message})`, error)
  }
}

/** Its release needs no file descriptor: it must work when there is none left. */
class HeldLock implements DirectoryLock {
  readonly #path: string
  readonly #place: FileInPlace
  #file: number | undefined

  constructor(path: string) {
    this.#path = path
    this.#file = openSync(path, 'r+')
    this.#place = new FileInPlace(path)
  }

  isHeld(): boolean {
    const place = this.#place.look()
    return place === 'in place' || place === 'unknown'
  }

  release(): void {
    if (this.#file === undefined) return
    // Nobody replaces the file of a living process, so it stays what it is between the look and the removal. That it is this very file
    // follows from its number, which is nobody else's as long as the file is open.
    if (this.#place.look() === 'in place') rmSync(this.#path, { force: true })
    else ftruncateSync(this.#file)
    closeSync(this.#file)
    this.#file = undefined
  }
}

function locked(directory: string, pid: number): LockedError {
  const message =
    pid === process.pid
      ? `The store at ${directory} is already open in this process (${pid}). Use that executor, or close it first.`
      : `The store at ${directory} is held by an executor in process ${pid}. Close that one, or give this one its own directory.`
  return new LockedError(message, pid)
}
