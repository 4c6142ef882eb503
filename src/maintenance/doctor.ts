/**
 * The doctor: what is wrong with a store, and its repair. It looks from a process of its own and survives whatever that one comes
 * to: LMDB follows what a damaged page says, and the system ends a process that reads where nothing is.
 */
import type { ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock, type Timer } from '../base/clock.js'
import { formatDuration } from '../base/duration.js'
import { LockedError, MillraceError, type MillraceErrorCode } from '../base/errors.js'
import { DEFAULT_DOCTOR_MS } from '../base/limits.js'
import { describeValue, Problems, readFields } from '../base/problems.js'
import { durationMs } from '../base/rules.js'
import { shortenPath } from '../base/shorten-path.js'
import type { DoctorMessage, DoctorOptions, DoctorReport } from './doctor-report.js'

const CHILD = fileURLToPath(new URL('./doctor-child.js', import.meta.url))
/** What is kept of what the process that looks writes to its standard error, where LMDB complains. */
const COMPLAINT_CHARACTERS = 500

/**
 * Looks through the store in a directory, record by record, from a process of its own. A store in use is looked at as of one commit.
 * Changes nothing, unless told to repair.
 *
 * @throws LockedError `MILLRACE_LOCKED` when it is to repair a store that somebody has open
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, `MILLRACE_STORE_FAILED` when the repair could not be written,
 *   `MILLRACE_STORE_UNUSABLE` when the process that looks cannot be started: the path is too long for the system, or there are too many
 */
export async function doctor(directory: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  const problems = new Problems()
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0'))
    problems.refuse('directory', directory, 'the path of a store')
  const { repair = false, timeout = DEFAULT_DOCTOR_MS } = readFields(options, ['repair', 'timeout'], '', problems)
  if (typeof repair !== 'boolean') problems.add('repair', `${describeValue(repair)} is neither true nor false`)
  const timeoutMs = durationMs(timeout, 'timeout', problems, { zero: false, infinity: 'no limit' }) ?? DEFAULT_DOCTOR_MS
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'The arguments of doctor cannot be used')
  return await lookFromOutside(resolve(directory), repair === true, timeoutMs)
}

async function lookFromOutside(path: string, repair: boolean, timeoutMs: number): Promise<DoctorReport> {
  // Every thread imports this package, and none of them makes a process.
  const { fork } = await import('node:child_process')
  let child: ChildProcess
  try {
    child = fork(CHILD, [path, JSON.stringify({ repair })], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    })
  } catch (error) {
    throw notStarted(path, error)
  }
  let step = 'starting'
  let complaint = ''
  let last: Exclude<DoctorMessage, { kind: 'step' }> | undefined
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, COMPLAINT_CHARACTERS)
  })
  child.on('message', (message: DoctorMessage) => {
    if (message.kind === 'step') step = message.step
    else last = message
  })
  const ended = await endOf(child, timeoutMs).catch((error: unknown) => {
    throw notStarted(path, error)
  })
  if (last?.kind === 'report') return last.report
  if (ended === undefined) {
    const limit = formatDuration(timeoutMs)
    return unread(path, `the look was given up after ${limit}, while ${step}; the option timeout gives it longer`)
  }
  if (last?.kind === 'error') {
    if (last.holderPid !== undefined) throw new LockedError(last.message, last.holderPid)
    if (last.code !== undefined) throw new MillraceError(last.code as MillraceErrorCode, last.message)
  }
  const why = last?.message ?? (complaint === '' ? '' : `it said: ${complaint.trim()}`)
  return unread(path, `the file cannot be read: the process that looked ${ended} while ${step}${why === '' ? '' : `; ${why}`}`)
}

/** How the process ended; undefined when it did not in time. A disk that does not answer holds even one that was killed. */
async function endOf(child: ChildProcess, timeoutMs: number): Promise<string | undefined> {
  let timer: Timer | undefined
  try {
    return await new Promise<string | undefined>((done, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => done(signal === null ? `ended with code ${code}` : `crashed with ${signal}`))
      const deadlineMs = systemClock.monotonicMs() + timeoutMs
      // A timer reaches 24 days at most.
      const look = (): void => {
        const leftMs = deadlineMs - systemClock.monotonicMs()
        if (leftMs <= 0) done(undefined)
        else if (leftMs !== Infinity) timer = systemClock.after(leftMs, look)
      }
      look()
    })
  } finally {
    timer?.cancel()
    child.kill('SIGKILL')
    child.unref()
    child.stderr?.destroy()
    if (child.connected) child.disconnect()
  }
}

function notStarted(path: string, cause: unknown): MillraceError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message =
    `The doctor cannot look at ${shortenPath(path)}: the process that looks does not start (${shortenPath(why)}). ` +
    'Give a shorter path, or wait until there are fewer processes.'
  return new MillraceError('MILLRACE_STORE_UNUSABLE', message, { cause })
}

function unread(path: string, text: string): DoctorReport {
  return {
    path,
    verdict: 'problems',
    problems: [{ area: 'file', text, isRepairable: false, isRepaired: false }],
    notes: [],
    holderPid: undefined,
    facts: undefined,
    backup: undefined,
  }
}
