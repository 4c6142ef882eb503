/**
 * Sees at open whether threads will find the handlers.
 *
 * A definition with its own `run` comes from a module that this thread has loaded, so importing it again gives the same module at
 * once. If that does not come at once, it is the program itself, which waits for `openExecutor`; a thread finds the definitions
 * above the call all the same. The module of a handler that lies apart is never loaded here; it has to exist.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Timer } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { compiledDefinition } from '../job/define-job.js'

/** How long a module may take to answer. One that is loaded answers at once; one that waits for `openExecutor` never does. */
const ANSWER_MS = 250

/**
 * @throws MillraceError `MILLRACE_INVALID_DEFINITION`, listing every definition that no thread would find
 */
export async function checkModules(definitions: Iterable<CompiledDefinition>): Promise<void> {
  const problems: string[] = []
  for (const { name, moduleUrl, apart } of definitions) {
    const file = fileURLToPath(moduleUrl)
    if (!existsSync(file)) {
      problems.push(`job "${name}": its module ${moduleUrl} does not exist`)
    } else if (!apart) {
      const exports = await loaded(moduleUrl)
      if (exports !== undefined && !holds(exports, name)) {
        problems.push(
          `job "${name}": its module ${moduleUrl} does not export it; write "export const … = defineJob(…)", and pass module: import.meta.url of that very file`,
        )
      }
    }
  }
  if (problems.length === 0) return
  throw new MillraceError(
    'MILLRACE_INVALID_DEFINITION',
    `Threads could not load ${problems.length === 1 ? 'a job' : `${problems.length} jobs`}:\n- ${problems.join('\n- ')}`,
  )
}

/** The exports of a module, undefined when it does not answer. */
async function loaded(moduleUrl: string): Promise<Record<string, unknown> | undefined> {
  if (isProgram(moduleUrl)) return undefined
  const module = import(moduleUrl).then(
    (exports: Record<string, unknown>) => exports,
    () => undefined,
  )
  let timer: Timer | undefined
  const waiting = new Promise<undefined>((resolve) => {
    timer = systemClock.after(ANSWER_MS, () => resolve(undefined))
    timer.setRef(true)
  })
  const answer = await Promise.race([module, waiting])
  timer?.cancel()
  return answer
}

/** Whether the URL is the file that Node was started with. */
function isProgram(moduleUrl: string): boolean {
  const [, program] = process.argv
  return program !== undefined && (fileURLToPath(moduleUrl) === program || fileURLToPath(moduleUrl).startsWith(`${program}.`))
}

function holds(exports: Record<string, unknown>, name: string): boolean {
  for (const key of Object.keys(exports)) {
    try {
      if (compiledDefinition(exports[key])?.name === name) return true
    } catch {
      // A binding that is not initialised: the module is still being evaluated.
      return true
    }
  }
  return false
}
