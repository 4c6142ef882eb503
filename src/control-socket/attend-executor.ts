/** Puts an executor on its control socket. */
import { systemClock } from '../base/clock.js'
import type { Executor } from '../executor/executor.js'
import type { JobDefinition } from '../job/define-job.js'
import { controlCalls } from './calls.js'
import { ControlServer } from './control-server.js'
import { packageVersion } from './package-version.js'
import { PROTOCOL } from './protocol.js'

/**
 * Gives what takes it off again. An executor whose socket cannot be made works as well: that is a warning of the process. On Windows there
 * is none, because a named pipe lies in no directory, and who may open it is not ours to say.
 */
export async function attendExecutor(
  executor: Executor,
  directory: string,
  queues: readonly string[],
  jobs: readonly JobDefinition[],
): Promise<() => Promise<void>> {
  if (process.platform === 'win32') return async () => undefined
  const running = { pid: process.pid, openedAt: systemClock.now() }
  const version = packageVersion()
  const calls = controlCalls({
    clock: systemClock,
    executor,
    definitions: new Map(Array.from(jobs, (job) => [job.name, job])),
    queues,
    running,
    version,
    directory,
    now: () => systemClock.now(),
  })
  try {
    const hello = { millrace: version, protocol: PROTOCOL, ...running }
    const server = await ControlServer.start({ directory, clock: systemClock, hello, calls })
    return () => server.close()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const message = `The executor in ${directory} has no control socket, and the millrace command cannot reach it: ${reason}`
    process.emitWarning(message, { type: 'MillraceControlSocket' })
    return async () => undefined
  }
}
