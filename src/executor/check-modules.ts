/**
 * Sees at open whether threads will find the handlers.
 *
 * A definition with its own `run` comes from a module that this thread has loaded, so importing it again gives the same module at
 * once. If that does not come at once, it is the program itself, which waits for `openExecutor`; a thread finds the definitions
 * above the call all the same. The module of a handler that lies apart is never loaded here; it has to exist.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MillraceError } from '../base/errors.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { compiledDefinition } from '../job/define-job.js'

/** Turns of the event loop in which a loaded module answers. */
const TURNS = 5

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

/** The exports of a module that is loaded already, undefined when it is not. */
async function loaded(moduleUrl: string): Promise<Record<string, unknown> | undefined> {
  if (isProgram(moduleUrl)) return undefined
  const module = import(moduleUrl).then(
    (exports: Record<string, unknown>) => exports,
    () => undefined,
  )
  let waiting: Promise<undefined> = Promise.resolve(undefined)
  for (let turn = 0; turn < TURNS; turn++)
    waiting = waiting.then(() => new Promise((resolve) => setImmediate(() => resolve(undefined))))
  return await Promise.race([module, waiting])
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
