/**
 * Finds a definition's handler in its module.
 *
 * Definitions report themselves while their module is evaluated (`millrace.registry`), so a definition is also found in a
 * module that never finishes loading because it is the program itself and waits for `openExecutor`: a script of one file works.
 */
import { errorRecord } from '../src/codec/error-record.js'
import { MillraceError } from '../src/base/errors.js'
import type { CompiledDefinition } from '../src/job/define-job.js'
import { compiledDefinition } from '../src/job/define-job.js'
import type { JobContext, ThreadInfo } from '../src/job/job-context-types.js'
import type { StandardSchema } from '../src/base/standard-schema.js'
import type { DefinitionRef } from '../src/protocol/messages.js'

export interface Handler {
  readonly run: (input: unknown, context: JobContext<unknown>) => unknown
  readonly setup: ((thread: ThreadInfo) => unknown) | undefined
  readonly teardown: ((state: unknown) => unknown) | undefined
  readonly retryIf: ((error: unknown) => unknown) | undefined
  readonly schema: StandardSchema | undefined
}

const registered = new Map<string, CompiledDefinition>()
const evaluated = new Map<string, Promise<Record<string, unknown>>>()
let onOpenCalled: (() => void) | undefined

/** What `src/executor/inside-thread` looks for to know that it runs inside a thread. */
export interface ThreadHooks {
  /** `openExecutor` was called. True when a module is being loaded: the call then never settles; otherwise it throws. */
  openCalled(): boolean
}

export function installHooks(): void {
  const scope = globalThis as Record<symbol, unknown>
  scope[Symbol.for('millrace.registry')] = (definition: unknown): void => {
    const compiled = compiledDefinition(definition)
    if (compiled !== undefined) registered.set(`${compiled.moduleUrl}\n${compiled.name}`, compiled)
  }
  const hooks: ThreadHooks = {
    openCalled() {
      onOpenCalled?.()
      return onOpenCalled !== undefined
    },
  }
  scope[Symbol.for('millrace.thread')] = hooks
}

/**
 * @throws MillraceError `MILLRACE_MODULE_FAILED`, `MILLRACE_HANDLER_MISSING`
 */
export async function loadHandler(ref: DefinitionRef): Promise<Handler> {
  const module = await loadModule(ref)
  if (ref.apart) {
    if (typeof module['run'] !== 'function') {
      throw new MillraceError(
        'MILLRACE_HANDLER_MISSING',
        `The handler module of job "${ref.name}", ${ref.moduleUrl}, exports no function "run".`,
      )
    }
    return {
      run: module['run'] as Handler['run'],
      setup: typeof module['setup'] === 'function' ? (module['setup'] as Handler['setup']) : undefined,
      teardown: typeof module['teardown'] === 'function' ? (module['teardown'] as Handler['teardown']) : undefined,
      retryIf: typeof module['retryIf'] === 'function' ? (module['retryIf'] as Handler['retryIf']) : undefined,
      // The main thread has checked the input: it holds the definition, this module does not.
      schema: undefined,
    }
  }
  const definition = findDefinition(module, ref) ?? registered.get(`${ref.moduleUrl}\n${ref.name}`)
  if (definition?.run === undefined) {
    throw new MillraceError(
      'MILLRACE_HANDLER_MISSING',
      `The module ${ref.moduleUrl} does not define job "${ref.name}" when a thread loads it. Export the definition, and do not make it conditional.`,
    )
  }
  const { run, setup, teardown, retryIf, schema } = definition
  return { run, setup, teardown, retryIf, schema }
}

function findDefinition(module: Record<string, unknown>, ref: DefinitionRef): CompiledDefinition | undefined {
  for (const name of Object.keys(module)) {
    let exported: unknown
    try {
      exported = module[name]
    } catch {
      // A binding that is not initialised yet: the module waits for `openExecutor` above it.
      continue
    }
    const definition = compiledDefinition(exported)
    if (definition?.name === ref.name) return definition
  }
  return undefined
}

async function loadModule(ref: DefinitionRef): Promise<Record<string, unknown>> {
  const known = registered.has(`${ref.moduleUrl}\n${ref.name}`)
  if (known && !ref.apart) return {}
  let loading = evaluated.get(ref.moduleUrl)
  if (loading === undefined) {
    loading = Promise.race([
      import(ref.moduleUrl) as Promise<Record<string, unknown>>,
      new Promise<Record<string, unknown>>((resolve) => {
        onOpenCalled = () => resolve({})
      }),
    ])
    evaluated.set(ref.moduleUrl, loading)
  }
  try {
    return await loading
  } catch (error) {
    evaluated.delete(ref.moduleUrl)
    const { name, message } = errorRecord(error)
    throw new MillraceError(
      'MILLRACE_MODULE_FAILED',
      `The module of job "${ref.name}", ${ref.moduleUrl}, could not be loaded in a thread: ${name}: ${message}${hint(error)}`,
      {
        cause: error,
      },
    )
  } finally {
    onOpenCalled = undefined
  }
}

function hint(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return '. This Node cannot load TypeScript by itself: compile it, use Node 22.18 or later, or pass a loader in the executor option execArgv.'
  }
  return ''
}
