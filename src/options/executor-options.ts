/** The options of `openExecutor`: the documented interface, and its compiled form that the rest of the library reads. */
import { fileURLToPath } from 'node:url'
import type { ResourceLimits } from 'node:worker_threads'
import type { Duration } from '../base/duration.js'
import {
  DEFAULT_ABORT_GRACE_MS,
  DEFAULT_MAX_CRASHES,
  DEFAULT_PAYLOAD_BYTES,
  DEFAULT_RETAIN_AGE_MS,
  DEFAULT_RETAIN_JOBS,
  MAX_PAYLOAD_BYTES,
  MAX_THREADS,
  THREAD_HEAP_MB_MIN,
} from '../base/limits.js'
import {
  builtinTag,
  describeThrown,
  describeValue,
  isArray,
  Problems,
  readEntries,
  readFields,
  textOfBuiltin,
} from '../base/problems.js'
import { durationMs, wholeNumber, type NumberRule } from '../base/rules.js'
import { compiledDefinition, type CompiledDefinition, type JobDefinition } from '../job/define-job.js'
import type { FinalState } from '../job/job-info.js'
import {
  compileQueues,
  compileReserve,
  type CompiledQueue,
  type CompiledReserve,
  type QueueOptions,
  type ReserveOptions,
} from './queue-options.js'

/** How long finished jobs are kept: the latest `jobs` of a state, and none older than `age`; whichever keeps less. */
export interface RetainRule {
  /** Per state. 0: none is kept. `Infinity`: no limit. @defaultValue 1000 */
  readonly jobs?: number
  /** Since the job ended. 0: none is kept. `Infinity`: no limit. @defaultValue `'24h'` */
  readonly age?: Duration
}

/** One rule for every final state, and beside or instead of it rules for single states, whose fields win. */
export interface RetainOptions extends RetainRule {
  readonly completed?: RetainRule
  readonly cancelled?: RetainRule
  readonly discarded?: RetainRule
}

/** Options of `openExecutor`. */
export interface ExecutorOptions {
  /** The directory of the store, made if absent; a path or a `file:` URL. `':memory:'`: nothing is written, all is lost at close. Not on network drives. */
  readonly path: string | URL
  /** The definitions whose jobs this executor takes and runs. Stored jobs of others are kept, and wait. */
  readonly jobs: readonly JobDefinition[]
  /** Threads that run jobs, from 1 to 1024. @defaultValue `os.availableParallelism()` */
  readonly threads?: number
  /**
   * The queues by name. `default` always exists. An enqueue into any other queue than these is refused.
   * @defaultValue `default` and the queues that the definitions name as constants, without limits
   */
  readonly queues?: Readonly<Record<string, QueueOptions>>
  /** Keeps threads free for jobs of high priority, in all queues. @defaultValue none */
  readonly reserve?: ReserveOptions
  /**
   * When `enqueue` resolves. `'disk'`: the job survives a power loss. `'process'`: it survives the end of the process (`kill -9`), but
   * a power loss may lose it, and may even damage the file; for scratch work. @defaultValue `'disk'`
   */
  readonly durability?: 'disk' | 'process'
  /** How long finished jobs, with their outputs, are kept. @defaultValue the last 1000 per state, for 24 hours */
  readonly retain?: RetainOptions
  readonly limits?: {
    /** Largest encoded input or output, in bytes, from 1 to 1 GiB. @defaultValue 16 MiB */
    readonly payloadBytes?: number
    /**
     * Memory of the whole process (its resident set), in bytes, above which no further job is claimed until it is below again. What
     * runs goes on, and so do enqueues; the thread that holds the most is replaced by a fresh one when it has finished what it has. If
     * memory stays above although nothing runs, one thread goes on with a batch at a time, so that work never stops for good. See
     * the event `memory`. 1 or more; `Infinity`: no limit. @defaultValue `Infinity`
     */
    readonly memoryBytes?: number
  }
  /** How often a job may take the process down, running alone, before it is quarantined. 1 or more; `Infinity`: no limit. @defaultValue 3 */
  readonly maxCrashes?: number
  /** Threads that native code holds beyond their end and that are replaced meanwhile; above it capacity shrinks. 0: none. @defaultValue `threads` */
  readonly maxStuckThreads?: number
  /** What a job has between the abort of its signal, on cancel or close, and the end of its thread; finite. 0: nothing. @defaultValue `'1s'` */
  readonly abortGrace?: Duration
  /** When a thread is replaced by a fresh one, between jobs. */
  readonly recycle?: {
    /** After so many jobs; it is not given more. 1 or more: with 1 each job has a thread of its own. @defaultValue `Infinity`, never */
    readonly afterJobs?: number
    /** When its JavaScript heap uses more bytes than this after a batch. @defaultValue `Infinity`, never */
    readonly heapBytes?: number
  }
  /**
   * Node's limits of each thread's JavaScript heap and stack, in MB; 16 or more for `maxOldGenerationSizeMb`. They do not count
   * Buffers. @defaultValue Node's own
   */
  readonly resourceLimits?: ResourceLimits
  /** The threads' `process.env`. @defaultValue a copy of this process's */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Node's command line flags for the threads, such as `['--import', preloadUrl]`. @defaultValue those of this process */
  readonly execArgv?: readonly string[]
  /**
   * Whether the `millrace` command may look at this executor and steer it, over a Unix socket in the directory that only this user
   * can use. It costs nothing while nobody asks, and does not keep the process alive. Not on Windows, and not for `':memory:'`.
   * @defaultValue true
   */
  readonly controlSocket?: boolean
}

export interface CompiledRetain {
  readonly jobs: number
  readonly ageMs: number
}

/** Checked, with every default filled in. `Infinity` where something has no limit. */
export interface CompiledExecutorOptions {
  /** As given, or `:memory:`. */
  readonly path: string
  readonly definitions: ReadonlyMap<string, CompiledDefinition>
  readonly threads: number
  readonly queues: ReadonlyMap<string, CompiledQueue>
  readonly reserve: CompiledReserve
  readonly durability: 'disk' | 'process'
  readonly retain: Readonly<Record<FinalState, CompiledRetain>>
  readonly payloadBytes: number
  readonly memoryBytes: number
  readonly maxCrashes: number
  readonly maxStuckThreads: number
  readonly abortGraceMs: number
  readonly recycle: { readonly afterJobs: number; readonly heapBytes: number }
  readonly resourceLimits: Readonly<ResourceLimits> | undefined
  readonly env: Readonly<Record<string, string>> | undefined
  readonly execArgv: readonly string[] | undefined
  readonly controlSocket: boolean
}

const FIELDS = [
  'path',
  'jobs',
  'threads',
  'queues',
  'reserve',
  'durability',
  'retain',
  'limits',
  'maxCrashes',
  'maxStuckThreads',
  'abortGrace',
  'recycle',
  'resourceLimits',
  'env',
  'execArgv',
  'controlSocket',
] as const

/**
 * Checks the options of `openExecutor`.
 *
 * @throws MillraceError `MILLRACE_INVALID_OPTIONS`, listing everything that is wrong.
 */
export function compileExecutorOptions(options: unknown, defaults: { readonly threads: number }): CompiledExecutorOptions {
  const problems = new Problems()
  const fields = readFields(options, FIELDS, '', problems)
  const limits = fields.limits === undefined ? {} : readFields(fields.limits, ['payloadBytes', 'memoryBytes'], 'limits', problems)
  const recycle = fields.recycle === undefined ? {} : readFields(fields.recycle, ['afterJobs', 'heapBytes'], 'recycle', problems)
  const number = (value: unknown, field: string, fallback: number, rule: NumberRule): number =>
    value === undefined ? fallback : (wholeNumber(value, field, problems, rule) ?? fallback)

  const definitions = compileJobs(fields.jobs, problems)
  const threads = number(fields.threads, 'threads', defaults.threads, { min: 1, max: MAX_THREADS })
  const abortGrace = fields.abortGrace === undefined ? DEFAULT_ABORT_GRACE_MS : fields.abortGrace
  const compiled: CompiledExecutorOptions = {
    path: compilePath(fields.path, problems),
    definitions,
    threads,
    queues: compileQueues(fields.queues, definitions, problems),
    reserve: compileReserve(fields.reserve, threads, problems),
    durability: compileDurability(fields.durability, problems),
    retain: compileRetain(fields.retain, problems),
    payloadBytes: number(limits.payloadBytes, 'limits.payloadBytes', DEFAULT_PAYLOAD_BYTES, { min: 1, max: MAX_PAYLOAD_BYTES }),
    memoryBytes: number(limits.memoryBytes, 'limits.memoryBytes', Infinity, { min: 1, infinity: 'no limit' }),
    maxCrashes: number(fields.maxCrashes, 'maxCrashes', DEFAULT_MAX_CRASHES, { min: 1, infinity: 'no limit' }),
    maxStuckThreads: number(fields.maxStuckThreads, 'maxStuckThreads', threads, { min: 0 }),
    abortGraceMs: durationMs(abortGrace, 'abortGrace', problems, { zero: true }) ?? DEFAULT_ABORT_GRACE_MS,
    recycle: Object.freeze({
      afterJobs: number(recycle.afterJobs, 'recycle.afterJobs', Infinity, { min: 1, infinity: 'never' }),
      heapBytes: number(recycle.heapBytes, 'recycle.heapBytes', Infinity, { min: 1, infinity: 'never' }),
    }),
    resourceLimits: compileResourceLimits(fields.resourceLimits, problems),
    env: compileEnv(fields.env, problems),
    execArgv: compileExecArgv(fields.execArgv, problems),
    controlSocket: compileSwitch(fields.controlSocket, 'controlSocket', true, problems),
  }
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', 'The options of openExecutor cannot be used')
  return Object.freeze(compiled)
}

const PATH_WAY_OUT = "give a directory such as './data/jobs', or ':memory:'"

function compilePath(value: unknown, problems: Problems): string {
  if (value === undefined) {
    problems.add('path', `is missing; ${PATH_WAY_OUT}`)
    return ''
  }
  const url = textOfBuiltin(value, 'URL') ?? (typeof value === 'string' && value.startsWith('file:') ? value : undefined)
  try {
    if (url !== undefined) return fileURLToPath(url)
  } catch (thrown) {
    problems.add('path', `${describeValue(url)} is not a usable file: URL (${describeThrown(thrown)}); ${PATH_WAY_OUT}`)
    return ''
  }
  if (typeof value === 'string' && value.trim() !== '' && !value.includes('\0')) return value
  problems.refuse('path', value, 'a path', PATH_WAY_OUT)
  return ''
}

function compileJobs(value: unknown, problems: Problems): ReadonlyMap<string, CompiledDefinition> {
  const definitions = new Map<string, CompiledDefinition>()
  if (!isArray(value)) {
    const wayOut =
      compiledDefinition(value) === undefined
        ? 'give the results of defineJob, such as [thumbnail]'
        : 'put it into one: jobs: [it]'
    if (value === undefined) problems.add('jobs', `is missing; ${wayOut}`)
    else problems.refuse('jobs', value, 'an array of job definitions', wayOut)
    return definitions
  }
  const places = new Map<string, number>()
  for (const [index, job] of items(value, 'jobs', problems).entries()) {
    const definition = compiledDefinition(job)
    if (definition === undefined) {
      problems.add(`jobs[${index}]`, notADefinition(job))
      continue
    }
    const { name } = definition
    const before = places.get(name)
    if (before === undefined) {
      places.set(name, index)
      definitions.set(name, definition)
      continue
    }
    const same = definitions.get(name) === definition
    const wayOut = same ? 'the same definition is listed twice' : 'names are stored with the jobs and must be unique; rename one'
    problems.add(`jobs[${index}]`, `its name '${name}' is that of jobs[${before}] too; ${wayOut}`)
  }
  return definitions
}

/** The items of an untrusted array, read once. */
function items(value: readonly unknown[], field: string, problems: Problems): unknown[] {
  try {
    return Array.from(value)
  } catch (thrown) {
    problems.add(field, `reading it threw ${describeThrown(thrown)}`)
    return []
  }
}

/** Says what the value probably is instead: each of these happens in real programs. */
function notADefinition(value: unknown): string {
  const what = `${describeValue(value)} is not a job definition`
  if (value === undefined) return `${what}; its module does not export that name, or has not run yet because of a circular import`
  if (typeof value !== 'object' || value === null) return `${what}; give what defineJob returned`
  try {
    if (builtinTag(value) === 'Module') {
      const [name] = Object.keys(value).filter((key) => compiledDefinition(Reflect.get(value, key)) !== undefined)
      return `the namespace of a module is not a job definition; give its export${name === undefined ? '' : `, such as namespace.${name}`}`
    }
    if (value instanceof Promise) return `${what}; await the import, then give the module's export`
    if ('name' in value && ('run' in value || 'module' in value)) return `${what}; wrap it: defineJob({ … })`
  } catch {
    // An object that cannot be read: the general advice will do.
  }
  return `${what}; give what defineJob returned`
}

function compileDurability(value: unknown, problems: Problems): 'disk' | 'process' {
  if (value === undefined || value === 'disk' || value === 'process') return value ?? 'disk'
  problems.refuse('durability', value, "'disk' or 'process'")
  return 'disk'
}

function compileSwitch(value: unknown, field: string, fallback: boolean, problems: Problems): boolean {
  if (typeof value === 'boolean') return value
  if (value !== undefined) problems.refuse(field, value, 'true or false')
  return fallback
}

function compileRetain(value: unknown, problems: Problems): CompiledExecutorOptions['retain'] {
  const fields =
    value === undefined ? {} : readFields(value, ['jobs', 'age', 'completed', 'cancelled', 'discarded'], 'retain', problems)
  const general = compileRule(fields, 'retain', { jobs: DEFAULT_RETAIN_JOBS, ageMs: DEFAULT_RETAIN_AGE_MS }, problems)
  const rule = (state: FinalState): CompiledRetain => {
    if (fields[state] === undefined) return general
    return compileRule(
      readFields(fields[state], ['jobs', 'age'], `retain.${state}`, problems),
      `retain.${state}`,
      general,
      problems,
    )
  }
  return Object.freeze({ completed: rule('completed'), cancelled: rule('cancelled'), discarded: rule('discarded') })
}

function compileRule(
  { jobs, age }: { readonly jobs?: unknown; readonly age?: unknown },
  field: string,
  fallback: CompiledRetain,
  problems: Problems,
): CompiledRetain {
  const keptJobs = jobs === undefined ? undefined : wholeNumber(jobs, `${field}.jobs`, problems, { min: 0, infinity: 'no limit' })
  const keptMs = age === undefined ? undefined : durationMs(age, `${field}.age`, problems, { zero: true, infinity: 'no limit' })
  return Object.freeze({ jobs: keptJobs ?? fallback.jobs, ageMs: keptMs ?? fallback.ageMs })
}

const RESOURCE_LIMITS = ['maxYoungGenerationSizeMb', 'maxOldGenerationSizeMb', 'codeRangeSizeMb', 'stackSizeMb'] as const

function compileResourceLimits(value: unknown, problems: Problems): Readonly<ResourceLimits> | undefined {
  if (value === undefined) return undefined
  const fields = readFields(value, RESOURCE_LIMITS, 'resourceLimits', problems)
  const limits: ResourceLimits = {}
  for (const name of RESOURCE_LIMITS) {
    const megabytes = fields[name]
    if (megabytes === undefined) continue
    const lowest = name === 'maxOldGenerationSizeMb' ? THREAD_HEAP_MB_MIN : 1
    if (typeof megabytes === 'number' && megabytes >= lowest && megabytes < Infinity) limits[name] = megabytes
    else
      problems.refuse(
        `resourceLimits.${name}`,
        megabytes,
        `a number of MB of ${lowest} or more`,
        'omit it for the default of Node',
      )
  }
  return Object.freeze(limits)
}

function compileEnv(value: unknown, problems: Problems): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined
  const entries = readEntries(value, 'env', 'an object of strings, such as { ...process.env, NAME: "value" }', problems)
  const env: [string, string][] = []
  for (const [name, text] of entries) {
    if (typeof text === 'string') env.push([name, text])
    else if (text !== undefined) problems.refuse(`env.${name}`, text, 'a string')
  }
  return Object.freeze(Object.fromEntries(env))
}

function compileExecArgv(value: unknown, problems: Problems): readonly string[] | undefined {
  if (value === undefined) return undefined
  const flags = isArray(value) ? items(value, 'execArgv', problems) : [value]
  if (isArray(value) && flags.every((flag) => typeof flag === 'string')) return Object.freeze(flags)
  problems.refuse('execArgv', value, "an array of strings, such as ['--max-semi-space-size=64']")
  return undefined
}
