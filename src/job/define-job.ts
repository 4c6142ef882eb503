/**
 * Job definitions: what users write, and the compiled form that the library reads.
 *
 * `defineJob` checks everything at the call and keeps a frozen copy, so nothing that the caller changes later matters. The compiled
 * form lies under a symbol of the global registry: definitions made by another installed copy of the package work too.
 */
import { isAbsolute, win32 } from 'node:path'
import type { Duration } from '../base/duration.js'
import { describeValue, Problems, readFields, textOfBuiltin, type Fields } from '../base/problems.js'
import { printableName } from '../base/rules.js'
import type { StandardSchema } from '../base/standard-schema.js'
import { DEFAULT_BACKOFF, type Backoff } from './backoff.js'
import type { JobContext, ThreadInfo } from './job-context-types.js'
import {
  checkTimeouts,
  DEFAULT_MAX_RETRIES,
  DEFAULT_PRIORITY,
  DEFAULT_QUEUE,
  DEFAULT_TIMEOUT_MS,
  DEFAULT_WEIGHT,
  SETTING_NAMES,
  SETTING_RULES,
  type Deadline,
  type SettingName,
  type SettingValues,
  type StartBefore,
} from './job-settings.js'
import { checkLimit, type CompiledLimit, type Limit } from './limit.js'
import type { Cancel, Snooze } from './outcome.js'
import { checkDefinedUnique, type CompiledUnique, type UniqueOptions } from './unique.js'

const DEFINITION = Symbol.for('millrace.definition')
const HANDLER = Symbol.for('millrace.handler')
/** In a thread, and only there, a function under this symbol is told of every definition: a module may define a job that it does not export. */
const REGISTRY = Symbol.for('millrace.registry')

/** A constant, or a function of the input as the schema returns it. Called at enqueue on the main thread: pure and quick. */
export type Setting<Value, Input> = Value | ((input: Input) => Value)

/** The fields that inline and apart definitions share. */
export interface JobSpecBase<Input, EnqueueInput> {
  /** Unique among the jobs of an executor, and stored with every job: renaming it strands the ones that wait. 1 to 200 bytes, no control characters. */
  readonly name: string
  /** Where a thread finds the job: `import.meta.url`, or the URL of a module that exports `run` and optionally `setup`, `teardown` and `retryIf`. */
  readonly module: string | URL
  /** Any Standard Schema (zod, valibot, arktype …). Checked at enqueue and again in the thread. Without one any storable input is taken. */
  readonly input?: StandardSchema<EnqueueInput, Input>
  /** The queue its jobs wait in. @defaultValue `'default'` */
  readonly queue?: Setting<string, Input>
  /** From -128 to 127; higher starts first within a queue. @defaultValue 0 */
  readonly priority?: Setting<number, Input>
  /** Runs after the first that may follow failures: `n` means at most `n + 1` runs, 0 one run, `Infinity` no limit. @defaultValue 5 */
  readonly maxRetries?: Setting<number, Input>
  /** The wait before each retry. @defaultValue `{ type: 'exponential', base: 2 }`: 2, 4, 8, 16, 32 s */
  readonly backoff?: Setting<Backoff, Input>
  /** Hard limit of one run, above 0: the thread is terminated. `Infinity`: no limit. @defaultValue `'15s'` */
  readonly timeout?: Setting<Duration, Input>
  /** When `ctx.signal` is aborted, above 0 and shorter than `timeout`. `Infinity` or omitted: not before the run is stopped. */
  readonly softTimeout?: Setting<Duration, Input>
  /**
   * How its jobs are limited together with others of their key in the same queue. The key may be a function of the input, such as
   * `({ tenant }) => tenant`; where it answers `undefined` the job has no limit. Stored with each job.
   */
  readonly limit?: Limit<string | ((input: Input) => string | undefined)>
  /** How many threads a job counts as while it runs, from 1 to 1024; more than there are count as all of them. @defaultValue 1 */
  readonly weight?: Setting<number, Input>
  /** That only one of its jobs with the same key is there at a time. */
  readonly unique?: UniqueOptions<Setting<string, Input>>
  /**
   * A job that has not begun its first run by then is discarded with `MILLRACE_EXPIRED`, when its turn comes. A string such as `'10m'`
   * counts from the enqueue, of a delayed job from when it becomes available; a `Date` or epoch ms is that instant. `Infinity` or
   * omitted: no matter when.
   */
  readonly startBefore?: Setting<StartBefore, Input>
}

/** A definition whose handler is beside it. Write `setup` before `run`: the type of `ctx.state` flows from the one to the other. */
export interface InlineJobSpec<Input, EnqueueInput, SetupResult, RunResult, Run> extends JobSpecBase<Input, EnqueueInput> {
  /** Makes `ctx.state`, once per thread, before the thread's first job of this definition. If it throws, that attempt fails and the next job tries again. */
  readonly setup?: (thread: ThreadInfo) => SetupResult
  /** Releases what `setup` made when the thread ends in an orderly way. Not called when it is terminated. */
  readonly teardown?: (state: Awaited<SetupResult>) => unknown
  /**
   * Whether another run may help, asked in the thread with what `run` threw or rejected with. `false`: the job is discarded at once,
   * as for a `FatalError`. Not asked about a `FatalError` or a `RetryError`, which say it themselves, nor when the run was stopped. If it
   * throws, or returns no boolean, the job is retried, and the `error` event tells. @defaultValue every failure is retried
   */
  readonly retryIf?: (error: unknown) => boolean
  /** The work. Its value is the job's output; a throw fails the attempt. May run more than once for one job. */
  readonly run: ((input: Input, ctx: JobContext<Awaited<SetupResult>>) => RunResult) & Run
  readonly handler?: undefined
}

/** A definition whose handler lies in `module`, so that the main thread never loads it. */
export interface ApartJobSpec<Input, EnqueueInput, RunResult> extends JobSpecBase<Input, EnqueueInput> {
  /** Types only: `handlerOf<typeof import('./x.handler.js')>()`. Omitted: input and output are `unknown` where no schema tells. */
  readonly handler?: HandlerType<Input, RunResult>
  readonly run?: undefined
  readonly setup?: undefined
  readonly teardown?: undefined
  /** An export of the handler's module, beside `run`. */
  readonly retryIf?: undefined
}

/** The types of a handler module; holds nothing at run time. See {@link handlerOf}. */
export interface HandlerType<Input, RunResult> {
  readonly [HANDLER]: ((input: Input) => RunResult) | true
}

interface HandlerModule {
  readonly run: (...args: never[]) => unknown
  readonly setup?: (thread: ThreadInfo) => unknown
  readonly retryIf?: (error: unknown) => boolean
}

type FirstParameter<Run> = Run extends (...args: infer Args) => unknown
  ? Args extends readonly []
    ? undefined
    : Args extends readonly [(infer First)?, ...unknown[]]
      ? First
      : unknown
  : unknown
type Result<Run> = Run extends (...args: never[]) => infer Value ? Value : unknown

/**
 * Carries the types of a handler module that lies apart into its definition, without loading it.
 *
 * @example `handler: handlerOf<typeof import('./thumbnail.handler.js')>()`
 */
export function handlerOf<Module extends HandlerModule>(): HandlerType<FirstParameter<Module['run']>, Result<Module['run']>> {
  return Object.freeze({ [HANDLER]: true as const })
}

/** Stands for "no schema was given". */
interface NoSchema {
  readonly 'no schema': never
}
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** The schema's input; without a schema what `run` takes, `undefined` if it takes nothing. */
type EnqueueInputOf<Input, EnqueueInput, Run> =
  Same<EnqueueInput, NoSchema> extends true
    ? Run extends () => unknown
      ? [] extends Required<Parameters<Run>>
        ? undefined
        : Input
      : Input
    : EnqueueInput
/** What a job leaves behind: what `run` returns, without the outcomes that are none. */
export type OutputOf<RunResult> = Exclude<Awaited<RunResult>, Snooze | Cancel>

/**
 * A job that can be enqueued. Made by {@link defineJob}; `Input` is what `enqueue` takes, `Output` what `result()` resolves with.
 * Without arguments it stands for any definition.
 */
export interface JobDefinition<in Input = never, out Output = unknown> {
  readonly name: string
  /** For the library alone. */
  readonly [DEFINITION]: CompiledDefinition & { readonly types?: (input: Input) => Output }
}

/** A definition as the library reads it: checked, frozen, defaults filled in, durations in ms. */
export interface CompiledDefinition {
  readonly name: string
  /** A `file:` URL. */
  readonly moduleUrl: string
  /** Whether `run`, `setup` and `teardown` are the module's exports rather than this object's. */
  readonly apart: boolean
  readonly schema?: StandardSchema
  readonly queue: string | SettingFunction
  readonly priority: number | SettingFunction
  readonly maxRetries: number | SettingFunction
  readonly backoff: Backoff | SettingFunction
  /** A function returns the raw `Duration`. */
  readonly timeoutMs: number | SettingFunction
  /** A function returns the raw `Duration`. */
  readonly softTimeoutMs: number | SettingFunction | undefined
  readonly weight: number | SettingFunction
  readonly limit?: CompiledLimit
  readonly unique?: CompiledUnique<string | SettingFunction>
  /** A function returns the raw `StartBefore`. */
  readonly startBefore: Deadline | SettingFunction | undefined
  readonly run?: (input: unknown, ctx: JobContext) => unknown
  readonly setup?: (thread: ThreadInfo) => unknown
  readonly teardown?: (state: unknown) => unknown
  readonly retryIf?: (error: unknown) => unknown
  /** Whether anything is to be settled for each job: a function of the input, a unique key. */
  readonly varies: boolean
}

/** A definition's function of the parsed input; what it returns is checked at every call. */
export type SettingFunction = (input: unknown) => unknown

/**
 * Defines a job. Types flow without annotations: `run`'s input from the schema, `ctx.state` from `setup`, the output from `run`.
 * Without a schema annotate `run`'s input (and that of functions of the input). Does no I/O; the definition is given to `openExecutor`.
 *
 * @throws MillraceError `MILLRACE_INVALID_DEFINITION`, listing everything that is wrong.
 */
export function defineJob<Input = unknown, EnqueueInput = NoSchema, SetupResult = undefined, RunResult = unknown, Run = unknown>(
  spec: InlineJobSpec<Input, EnqueueInput, SetupResult, RunResult, Run> | ApartJobSpec<Input, EnqueueInput, RunResult>,
): JobDefinition<EnqueueInputOf<Input, EnqueueInput, Run>, OutputOf<RunResult>> {
  const compiled = compileDefinition(spec)
  const definition = Object.freeze({ name: compiled.name, [DEFINITION]: compiled })
  const register = Reflect.get(globalThis, REGISTRY) as unknown
  if (typeof register === 'function') register(definition)
  return definition
}

/** The compiled form of a definition, also of one made by another copy of the package; `undefined` for everything else. */
export function compiledDefinition(value: unknown): CompiledDefinition | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    const compiled = Reflect.get(value, DEFINITION) as CompiledDefinition | null | undefined
    return typeof compiled?.name === 'string' ? compiled : undefined
  } catch {
    return undefined
  }
}

const SPEC_FIELDS = [
  'name',
  'module',
  'input',
  ...SETTING_NAMES,
  'limit',
  'unique',
  'retryIf',
  'setup',
  'teardown',
  'run',
  'handler',
] as const

type SpecFields = Fields<(typeof SPEC_FIELDS)[number]>

function compileDefinition(spec: unknown): CompiledDefinition {
  const problems = new Problems()
  const fields = readFields(spec, SPEC_FIELDS, '', problems)
  const name = printableName(fields.name, 'name', problems) ?? ''
  const moduleUrl = checkModule(fields.module, problems) ?? ''
  const schema = checkSchema(fields.input, problems)
  const handlers = checkHandlers(fields, problems)
  const softTimeoutMs = setting(fields, 'softTimeout', undefined, problems)
  const limit = fields.limit === undefined ? undefined : checkLimit(fields.limit, problems, true)
  const unique = fields.unique === undefined ? undefined : checkDefinedUnique(fields.unique, problems)
  const startBefore = setting(fields, 'startBefore', undefined, problems)
  const compiled: CompiledDefinition = {
    name,
    moduleUrl,
    apart: handlers.run === undefined,
    ...(schema !== undefined && { schema }),
    queue: setting(fields, 'queue', DEFAULT_QUEUE, problems),
    priority: setting(fields, 'priority', DEFAULT_PRIORITY, problems),
    maxRetries: setting(fields, 'maxRetries', DEFAULT_MAX_RETRIES, problems),
    backoff: setting(fields, 'backoff', DEFAULT_BACKOFF, problems),
    timeoutMs: setting(fields, 'timeout', DEFAULT_TIMEOUT_MS, problems),
    softTimeoutMs: softTimeoutMs === Infinity ? undefined : softTimeoutMs,
    weight: setting(fields, 'weight', DEFAULT_WEIGHT, problems),
    ...(limit !== undefined && { limit }),
    ...(unique !== undefined && { unique }),
    startBefore: isNever(startBefore) ? undefined : startBefore,
    ...handlers,
    varies:
      unique !== undefined ||
      typeof limit?.key === 'function' ||
      SETTING_NAMES.some((field) => typeof fields[field] === 'function'),
  }
  if (typeof softTimeoutMs === 'number' && typeof compiled.timeoutMs === 'number')
    checkTimeouts(softTimeoutMs, compiled.timeoutMs, problems)
  const which =
    typeof fields.name === 'string' && fields.name !== '' ? ` ${describeValue(fields.name).replace(/ \(string\)$/, '')}` : ''
  problems.throwIfAny('MILLRACE_INVALID_DEFINITION', `The job definition${which} cannot be used`)
  return Object.freeze(compiled)
}

function isNever(startBefore: Deadline | SettingFunction | undefined): boolean {
  return typeof startBefore === 'object' && 'at' in startBefore && startBefore.at === Infinity
}

/** The checked constant, the function as it is, or the default. */
function setting<Name extends SettingName, Default>(
  fields: SpecFields,
  name: Name,
  fallback: Default,
  problems: Problems,
): SettingValues[Name] | SettingFunction | Default {
  const value = fields[name]
  if (value === undefined) return fallback
  if (typeof value === 'function') return value as SettingFunction
  return SETTING_RULES[name](value, name, problems) ?? fallback
}

const MODULE_WAY_OUT = "use import.meta.url for this module, or new URL('./x.js', import.meta.url) for another"

function checkModule(value: unknown, problems: Problems): string | undefined {
  if (value === undefined) {
    problems.add('module', `is missing; ${MODULE_WAY_OUT}`)
    return undefined
  }
  const url = textOfBuiltin(value, 'URL') ?? value
  if (typeof url !== 'string') {
    problems.refuse('module', value, 'a file: URL', MODULE_WAY_OUT)
  } else if (url.startsWith('file://') && URL.canParse(url)) {
    return new URL(url).href
  } else if (isAbsolute(url) || win32.isAbsolute(url)) {
    problems.refuse('module', url, 'a file: URL but a path', 'use import.meta.url, or pathToFileURL(path) from node:url')
  } else if (URL.canParse(url)) {
    problems.refuse('module', url, 'a file: URL', 'threads load jobs from files only')
  } else {
    problems.refuse('module', url, 'a file: URL; a thread cannot tell what a relative one starts from', MODULE_WAY_OUT)
  }
  return undefined
}

function checkSchema(value: unknown, problems: Problems): StandardSchema | undefined {
  if (value === undefined) return undefined
  try {
    // Some libraries' schemas are functions.
    const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function'
    const standard = isHolder
      ? (Reflect.get(value, '~standard') as { version?: unknown; validate?: unknown } | undefined)
      : undefined
    if (standard?.version === 1 && typeof standard.validate === 'function') return value as StandardSchema
  } catch {
    // A getter that throws: no schema either.
  }
  problems.refuse(
    'input',
    value,
    'a Standard Schema (version 1)',
    'give a schema of zod, valibot, arktype …, or omit it to take any input',
  )
  return undefined
}

function isHandlerType(value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && HANDLER in value
  } catch {
    return false
  }
}

type Handlers = Pick<CompiledDefinition, 'run' | 'setup' | 'teardown' | 'retryIf'>

function checkHandlers(fields: SpecFields, problems: Problems): Handlers {
  for (const name of ['run', 'setup', 'teardown', 'retryIf'] as const) {
    if (fields[name] !== undefined && typeof fields[name] !== 'function') problems.refuse(name, fields[name], 'a function')
  }
  const { run, setup, teardown, retryIf, handler } = fields
  if (handler !== undefined && !isHandlerType(handler)) {
    problems.refuse('handler', handler, 'a handler type', "use handlerOf<typeof import('./x.handler.js')>()")
  }
  if (run === undefined) {
    for (const name of ['setup', 'teardown', 'retryIf'] as const) {
      if (fields[name] !== undefined) problems.add(name, "is given without run; export it from the handler's module, beside run")
    }
    return {}
  }
  if (handler !== undefined)
    problems.add('handler', 'is given beside run; the handler is either here or in a module of its own, so omit one')
  return {
    run: run as NonNullable<Handlers['run']>,
    ...(setup !== undefined && { setup: setup as NonNullable<Handlers['setup']> }),
    ...(teardown !== undefined && { teardown: teardown as NonNullable<Handlers['teardown']> }),
    ...(retryIf !== undefined && { retryIf: retryIf as NonNullable<Handlers['retryIf']> }),
  }
}
