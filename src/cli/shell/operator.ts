/**
 * Where a command's calls go: over the control socket to the executor that has the store open, or, when nobody has it, to one that this
 * process opens for as long as the command takes. That one runs nothing. Both take the same calls.
 */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemClock } from '../../base/clock.js'
import { isMillraceError, LockedError } from '../../base/errors.js'
import { controlCalls } from '../../control-socket/calls.js'
import { type CallListeners, ControlClient, ControlError, type ControlProblem } from '../../control-socket/client.js'
import { packageVersion } from '../../control-socket/package-version.js'
import { DATA_FILE } from '../../store/lmdb/store-directory.js'
import { printable } from '../demo/format-quantity.js'
import { CommandError, EXIT, type ExitCode } from './exit-code.js'

export interface Operator {
  /** The executor's process; undefined when this one has opened the store itself. */
  readonly pid: number | undefined
  /** Jobs that were in flight when their process died, and that opening the store has rescued. */
  readonly rescued: number
  /** @throws CommandError */
  call(name: string, given?: unknown, listeners?: CallListeners): Promise<unknown>
  close(): Promise<void>
}

export interface ReachOptions {
  /** The longest silence of an executor, in ms. */
  readonly timeoutMs: number
  /** `look`: nothing is to be changed. */
  readonly purpose: 'look' | 'change'
}

const EXIT_CODES: Readonly<Record<ControlProblem, ExitCode>> = {
  absent: EXIT.silent,
  denied: EXIT.held,
  silent: EXIT.silent,
  lost: EXIT.silent,
  version: EXIT.version,
  refused: EXIT.notDone,
}

/** An executor that is starting has the directory before it has its socket. */
const STARTING_LOOKS = 10
const STARTING_MS = 100

/** @throws CommandError */
export async function reach(path: string, options: ReachOptions): Promise<Operator> {
  const directory = resolve(path)
  if (!existsSync(join(directory, DATA_FILE))) throw noStore(directory)
  for (let looks = 1; ; looks++) {
    const running = await reachRunning(directory, options.timeoutMs)
    if (running !== undefined) return running
    try {
      return await openHere(directory, options.purpose)
    } catch (error) {
      if (!(error instanceof LockedError)) throw asCommandError(error)
      if (looks < STARTING_LOOKS) await new Promise((done) => setTimeout(done, STARTING_MS))
      else throw held(directory, error.holderPid)
    }
  }
}

/** Undefined when no executor listens. @throws CommandError */
export async function reachRunning(path: string, timeoutMs: number): Promise<Operator | undefined> {
  let client: ControlClient
  try {
    client = await ControlClient.connect(resolve(path), { clock: systemClock, timeoutMs })
  } catch (error) {
    if (error instanceof ControlError && error.problem === 'absent') return undefined
    throw asCommandError(error)
  }
  return {
    pid: client.hello.pid,
    rescued: 0,
    call: async (name, given, listeners) => {
      try {
        return await client.call(name, given, listeners)
      } catch (error) {
        throw asCommandError(error)
      }
    },
    close: async () => client.close(),
  }
}

async function openHere(directory: string, purpose: 'look' | 'change'): Promise<Operator> {
  const { uid } = statSync(join(directory, DATA_FILE))
  const ownUid = process.getuid?.()
  // What another user, such as root, writes into it, its own user may not be able to read.
  if (ownUid !== undefined && uid !== ownUid)
    throw new CommandError(EXIT.held, `The store in ${printable(directory)} is user ${uid}'s. Run the command as that user.`)
  // Only here is there need of the store, and of the time that it takes to load.
  const { openForInspection } = await import('../../executor/open-for-inspection.js')
  const { executor, queues } = await openForInspection(directory, purpose)
  const calls = controlCalls({
    clock: systemClock,
    executor,
    definitions: undefined,
    queues,
    running: undefined,
    version: packageVersion(),
    directory,
    now: () => systemClock.now(),
  })
  return {
    pid: undefined,
    rescued: purpose === 'change' ? executor.recovery.rescued.length : 0,
    call: async (name, given = {}, { onItems, onProgress } = {}) => {
      try {
        // As it would have travelled.
        const travelled = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null)) as unknown
        const reply = {
          items: async (items: readonly unknown[]) => onItems?.(travelled(items) as unknown[]),
          progress: (progress: unknown) => onProgress?.(progress),
        }
        return travelled(await calls[name]?.(given, reply))
      } catch (error) {
        throw asCommandError(error)
      }
    },
    close: async () => void (await executor.close({ grace: 0 })),
  }
}

function asCommandError(error: unknown): unknown {
  if (error instanceof ControlError) return new CommandError(EXIT_CODES[error.problem], error.message)
  if (isMillraceError(error)) return new CommandError(EXIT.notDone, error.message)
  return error
}

function noStore(directory: string): CommandError {
  const what = existsSync(directory)
    ? `There is no store in ${printable(directory)}`
    : `There is no directory ${printable(directory)}`
  return new CommandError(EXIT.notDone, `${what}. Give the path that the program gives to openExecutor.`)
}

function held(directory: string, pid: number): CommandError {
  const message =
    `The store in ${printable(directory)} is open in process ${pid}, which takes no commands: its executor has controlSocket: false, is of an ` +
    'older version or on Windows, or is no executor but another command. Ask its program, or end it first.'
  return new CommandError(EXIT.held, message)
}
