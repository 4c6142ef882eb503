/** Every argument of every public call: how it is called with a value in that place, and which values it may take. */
import { isMillraceError } from '../../../src/index.js'
import type { Accepts } from './accepted.js'
import {
  aFunction,
  anything,
  both,
  duration,
  either,
  emptyBag,
  instant,
  never,
  oneOf,
  orAbsent,
  printable,
  startBefore,
  text,
  uniqueKey,
  whole,
} from './accepted.js'
import { echo, nothing, type Library, type LooseExecutor, type World } from './world.js'

export interface Call {
  readonly name: string
  readonly takes: Accepts
  /** `throws`: at the call. `rejects`: by the promise that it returns. */
  readonly refuses: 'throws' | 'rejects'
  /** What the caller's own code throws while it is read comes through as it is. */
  readonly passes?: boolean
  readonly call: (world: World, value: unknown) => unknown
}

const module = new URL('../../fixtures/executor/jobs.js', import.meta.url).href
const UNCHANGED = orAbsent(emptyBag)

/** Places of the bag of options that `enqueue` takes. */
const ENQUEUE_OPTIONS: Readonly<Record<string, Accepts>> = {
  queue: oneOf('default'),
  priority: whole(-128, 127),
  maxRetries: whole(0, Number.MAX_SAFE_INTEGER, true),
  backoff: never,
  timeout: duration({ zero: false, infinity: true }),
  // Shorter than the definition's timeout of 15 s.
  softTimeout: (value) => value === Infinity || (typeof value === 'number' && value > 0 && value < 15_000),
  delay: duration({ zero: true, infinity: false }),
  runAt: instant,
  // The key is missing.
  unique: never,
  startBefore,
  weight: whole(1, 1024),
  // Its fields are missing.
  limit: never,
}

const UNIQUES: Readonly<Record<string, readonly [Accepts, (value: unknown) => object]>> = {
  key: [uniqueKey, (value) => ({ key: value })],
  while: [orAbsent(oneOf('waiting', 'incomplete', 'kept')), (value) => ({ key: 'a', while: value })],
  within: [
    orAbsent(
      (value) => duration({ zero: false, infinity: false })(value) && (value === '15s' || Number(value) <= 31_536_000_000),
    ),
    (value) => ({ key: 'a', within: value }),
  ],
  onConflict: [orAbsent(oneOf('return', 'replace', 'reject', 'debounce')), (value) => ({ key: 'a', onConflict: value })],
  unknown: [never, (value) => ({ key: 'a', keys: value })],
}

/** Places of the bag of options that `schedule` takes. */
const SCHEDULE_OPTIONS: Readonly<Record<string, Accepts>> = {
  ...Object.fromEntries(
    Object.entries(ENQUEUE_OPTIONS).filter(([field]) => !['delay', 'runAt', 'unique', 'startBefore'].includes(field)),
  ),
  startBefore: oneOf('15s', Infinity),
  overlap: (value) => typeof value === 'boolean',
  misfire: never,
}

const SCHEDULE_RULES: Readonly<Record<string, Accepts>> = {
  cron: never,
  timezone: orAbsent(never),
  every: (value) => duration({ zero: false, infinity: false })(value) && (value === '15s' || within(value, 1000, 8.64e15)),
  unknown: never,
}

const shortName: Accepts = (value) => printable(value) && Buffer.byteLength(value as string) <= 55

function within(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most
}

function scheduleCalls(): Call[] {
  const hour = { every: '1h' }
  const rejects = (name: string, takes: Accepts, call: Call['call']): Call => ({ name, takes, refuses: 'rejects', call })
  return [
    rejects('schedule(name)', shortName, ({ executor }, value) => executor.schedule(value, hour, nothing)),
    rejects('schedule(…, rule)', never, ({ executor }, value) => executor.schedule('a', value, nothing)),
    rejects('schedule(…, definition)', never, ({ executor }, value) => executor.schedule('a', hour, value)),
    rejects('schedule(…, options)', UNCHANGED, ({ executor }, value) => executor.schedule('a', hour, nothing, undefined, value)),
    ...Object.entries(SCHEDULE_RULES).map(([field, takes]) =>
      rejects(`schedule(…, { ${field} })`, takes, ({ executor }, value) => {
        const base = field === 'timezone' ? { cron: '@daily' } : field === 'unknown' ? hour : {}
        return executor.schedule('a', { ...base, [field]: value }, nothing)
      }),
    ),
    ...Object.entries(SCHEDULE_OPTIONS).map(([field, takes]) =>
      rejects(`schedule(…, { ${field} }) as an option`, orAbsent(takes), ({ executor }, value) =>
        executor.schedule('a', hour, nothing, undefined, { [field]: value }),
      ),
    ),
    ...['delay', 'unknown'].map((field) =>
      rejects(`schedule(…, { ${field} }) as an option`, never, ({ executor }, value) =>
        executor.schedule('a', hour, nothing, undefined, { [field]: value }),
      ),
    ),
    rejects('unschedule(name)', shortName, ({ executor }, value) => executor.unschedule(value)),
  ]
}

const BACKOFFS: Readonly<Record<string, (value: unknown) => object>> = {
  'fixed.delay': (value) => ({ type: 'fixed', delay: value }),
  'linear.step': (value) => ({ type: 'linear', step: value }),
  'exponential.base': (value) => ({ type: 'exponential', base: value }),
  max: (value) => ({ type: 'fixed', delay: 1, max: value }),
  jitter: (value) => ({ type: 'fixed', delay: 1, jitter: value }),
  type: (value) => ({ type: value, delay: 1 }),
  unknown: (value) => ({ type: 'fixed', delay: 1, delays: value }),
}

const BACKOFF_TAKES: Readonly<Record<string, Accepts>> = {
  'fixed.delay': duration({ zero: true, infinity: false }),
  'linear.step': duration({ zero: true, infinity: false }),
  'exponential.base': orAbsent((value) => typeof value === 'number' && value > 0 && value < Infinity),
  max: orAbsent(duration({ zero: true, infinity: true })),
  jitter: orAbsent((value) => typeof value === 'number' && value >= 0 && value <= 1),
}

function optionCalls(): Call[] {
  const calls: Call[] = Object.entries(ENQUEUE_OPTIONS).map(([field, takes]) => ({
    name: `enqueue(…, { ${field} })`,
    takes: orAbsent(takes),
    refuses: 'rejects',
    call: (world, value) => world.executor.enqueue(echo, 1, { [field]: value }),
  }))
  for (const [field, [takes, make]] of Object.entries(UNIQUES)) {
    calls.push({
      name: `enqueue(…, { unique.${field} })`,
      takes,
      refuses: 'rejects',
      call: (world, value) => world.executor.enqueue(echo, 1, { unique: make(value) }),
    })
  }
  for (const [field, make] of Object.entries(BACKOFFS)) {
    calls.push({
      name: `enqueue(…, { backoff: ${field} })`,
      takes: BACKOFF_TAKES[field] ?? never,
      refuses: 'rejects',
      call: (world, value) => world.executor.enqueue(echo, 1, { backoff: make(value) }),
    })
  }
  return calls
}

const EXECUTOR_CALLS: readonly Call[] = [
  ...scheduleCalls(),
  { name: 'enqueue(definition)', takes: never, refuses: 'rejects', call: ({ executor }, value) => executor.enqueue(value, 1) },
  {
    name: 'enqueue(…, options)',
    takes: UNCHANGED,
    refuses: 'rejects',
    call: ({ executor }, value) => executor.enqueue(echo, 1, value),
  },
  {
    name: 'enqueueMany(definition)',
    takes: never,
    refuses: 'rejects',
    call: ({ executor }, value) => executor.enqueueMany(value, [1]),
  },
  {
    name: 'enqueueMany(…, inputs)',
    takes: isIterable,
    refuses: 'rejects',
    passes: true,
    call: ({ executor }, value) => executor.enqueueMany(nothing, value),
  },
  {
    name: 'enqueueMany(…, options)',
    takes: UNCHANGED,
    refuses: 'rejects',
    call: ({ executor }, value) => executor.enqueueMany(echo, [1, 2], value),
  },
  { name: 'get(id)', takes: never, refuses: 'rejects', call: ({ executor }, value) => executor.get(value) },
  { name: 'job(id)', takes: never, refuses: 'throws', call: ({ executor }, value) => executor.job(value) },
  { name: 'cancel(id)', takes: never, refuses: 'rejects', call: ({ executor }, value) => executor.cancel(value) },
  {
    name: 'cancel(…, reason)',
    takes: orAbsent(text),
    refuses: 'rejects',
    call: ({ executor, id }, value) => executor.cancel(id, value),
  },
  {
    name: 'job(id).cancel(reason)',
    takes: orAbsent(text),
    refuses: 'rejects',
    call: ({ executor, id }, value) => executor.job(id).cancel(value),
  },
  { name: 'list(filter)', takes: UNCHANGED, refuses: 'rejects', call: ({ executor }, value) => drained(executor.list(value)) },
  ...listCalls(),
  ...controlCalls(),
  { name: 'on(name)', takes: never, refuses: 'throws', call: ({ executor }, value) => executor.on(value, () => undefined) },
  {
    name: 'on(…, listener)',
    takes: aFunction,
    refuses: 'throws',
    call: ({ executor }, value) => (executor.on('started', value), executor.off('started', value)),
  },
  { name: 'off(name)', takes: never, refuses: 'throws', call: ({ executor }, value) => executor.off(value, () => undefined) },
  {
    name: 'off(…, listener)',
    takes: aFunction,
    refuses: 'throws',
    call: ({ executor }, value) => executor.off('started', value),
  },
]

/** Those that are taken change nothing, or change it back. */
function controlCalls(): Call[] {
  const refused = (name: string, takes: Accepts, call: Call['call']): Call => ({ name, takes, refuses: 'rejects', call })
  const filters: Record<string, Accepts> = {
    state: readable(isEmptyArray),
    queue: text,
    name: text,
    ids: readable((value) => isIterable(value) && Array.from(value as Iterable<unknown>).length === 0),
    olderThan: duration({ zero: true, infinity: false }),
    limit: whole(0, Number.MAX_SAFE_INTEGER, true),
  }
  const inFilters = Object.entries(filters).map(([field, takes]) =>
    refused(`cancelMany({ ${field} })`, orAbsent(takes), ({ executor }, value) =>
      executor.cancelMany({ [field === 'name' ? 'queue' : 'name']: 'echo', [field]: value }, { dryRun: true }),
    ),
  )
  const isThreads = whole(1, 1024)
  // It has a name, which is that of no definition.
  const anError = both(emptyBag, (value) => value instanceof Error)
  return [
    ...inFilters,
    refused('cancelMany(filter)', anError, ({ executor }, value) => executor.cancelMany(value, { dryRun: true })),
    refused('retryMany(filter)', anError, ({ executor }, value) => executor.retryMany(value, { dryRun: true })),
    refused('discardMany({ all })', oneOf(true), ({ executor }, value) => executor.discardMany({ all: value }, { dryRun: true })),
    refused('cancelMany(…, options)', UNCHANGED, ({ executor }, value) => executor.cancelMany({ ids: [] }, value)),
    refused('cancelMany(…, { dryRun })', orAbsent(oneOf(true, false)), ({ executor }, value) =>
      executor.cancelMany({ ids: [] }, { dryRun: value }),
    ),
    refused('cancelMany(…, { onProgress })', orAbsent(aFunction), ({ executor }, value) =>
      executor.cancelMany({ ids: [] }, { onProgress: value }),
    ),
    refused('discardMany(…, { reason })', orAbsent(text), ({ executor }, value) =>
      executor.discardMany({ ids: [] }, { reason: value }),
    ),
    refused('discard(id)', never, ({ executor }, value) => executor.discard(value)),
    refused('discard(…, reason)', orAbsent(text), ({ executor, id }, value) => executor.discard(id, value)),
    refused('retry(id)', never, ({ executor }, value) => executor.retry(value)),
    refused('setThreads(n)', isThreads, async ({ executor }, value) => {
      if (!isThreads(value)) await executor.setThreads(value)
    }),
    { ...refused('queue(name)', oneOf('default'), ({ executor }, value) => executor.queue(value)), refuses: 'throws' },
    refused('pause(options)', UNCHANGED, ({ executor }, value) => pausedFor(executor, value)),
    refused('pause({ interrupt })', orAbsent(oneOf(true, false)), ({ executor }, value) =>
      pausedFor(executor, { interrupt: value }),
    ),
    refused('setConcurrency(n)', orAbsent(whole(1, Number.MAX_SAFE_INTEGER, true)), async ({ executor }, value) => {
      await executor.queue('default').setConcurrency(value)
      await executor.queue('default').setConcurrency(undefined)
    }),
    refused('purge(filter)', UNCHANGED, ({ executor }, value) => executor.queue('default').purge(value, { dryRun: true })),
    refused('purge(…, options)', UNCHANGED, ({ executor }, value) => executor.queue('default').purge({ state: [] }, value)),
  ]
}

async function pausedFor(executor: LooseExecutor, options: unknown): Promise<void> {
  await executor.queue('default').pause(options)
  await executor.queue('default').resume()
}

function listCalls(): Call[] {
  const fields: Record<string, Accepts> = {
    state: isEmptyArray,
    queue: text,
    name: text,
    limit: whole(0, Number.MAX_SAFE_INTEGER, true),
    payloads: oneOf(true, false),
  }
  return Object.entries(fields).map(([field, takes]) => ({
    name: `list({ ${field} })`,
    takes: orAbsent(readable(takes)),
    refuses: 'rejects',
    call: ({ executor }, value) => drained(executor.list({ [field]: value })),
  }))
}

function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** A word; Node itself refuses to start a thread with a flag that it does not know, and none of these is a flag of its own. */
function noFlag(value: unknown): boolean {
  return typeof value === 'string' && !value.startsWith('-')
}

/** What cannot even be looked at is not taken. */
function readable(takes: Accepts): Accepts {
  return (value) => {
    try {
      return takes(value)
    } catch {
      return false
    }
  }
}

function isIterable(value: unknown): boolean {
  try {
    return (
      typeof value === 'object' &&
      value !== null &&
      Symbol.iterator in value &&
      Array.from(value as Iterable<unknown>).length >= 0
    )
  } catch {
    return false
  }
}

/** The first job is enough: it comes when the filter was taken. */
async function drained(items: AsyncGenerator<unknown>): Promise<void> {
  for await (const _item of items) break
}

/** A close that takes its options ends the executor: each has one of its own, in memory. */
export const CLOSE_CALLS: readonly Call[] = [
  { name: 'close(options)', takes: UNCHANGED, refuses: 'throws', call: ({ executor }, value) => executor.close(value) },
  {
    name: 'close({ grace })',
    takes: orAbsent(duration({ zero: true, infinity: false })),
    refuses: 'throws',
    call: ({ executor }, value) => executor.close({ grace: value }),
  },
]

const OPEN_OPTIONS: Readonly<Record<string, Accepts>> = {
  // A string is a directory's name; those are tried apart.
  path: text,
  jobs: readable(isEmptyArray),
  threads: whole(1, 1024),
  queues: emptyBag,
  durability: never,
  retain: emptyBag,
  limits: emptyBag,
  maxCrashes: whole(1, Number.MAX_SAFE_INTEGER, true),
  maxStuckThreads: whole(0, Number.MAX_SAFE_INTEGER),
  abortGrace: duration({ zero: true, infinity: false }),
  recycle: emptyBag,
  resourceLimits: emptyBag,
  env: emptyBag,
  execArgv: readable(isEmptyArray),
  controlSocket: oneOf(true, false),
}

const NESTED_OPEN: Readonly<Record<string, readonly [Accepts, (value: unknown) => object]>> = {
  'limits.payloadBytes': [whole(1, 2 ** 30), (value) => ({ limits: { payloadBytes: value } })],
  'recycle.afterJobs': [whole(1, Number.MAX_SAFE_INTEGER, true), (value) => ({ recycle: { afterJobs: value } })],
  'recycle.heapBytes': [whole(1, Number.MAX_SAFE_INTEGER, true), (value) => ({ recycle: { heapBytes: value } })],
  'retain.jobs': [whole(0, Number.MAX_SAFE_INTEGER, true), (value) => ({ retain: { jobs: value } })],
  'retain.age': [duration({ zero: true, infinity: true }), (value) => ({ retain: { age: value } })],
  'retain.completed': [emptyBag, (value) => ({ retain: { completed: value } })],
  'queues.images': [emptyBag, (value) => ({ queues: { images: value } })],
  'queues.images.concurrency': [
    whole(1, Number.MAX_SAFE_INTEGER, true),
    (value) => ({ queues: { images: { concurrency: value } } }),
  ],
  'queues.images.rate': [never, (value) => ({ queues: { images: { rate: value } } })],
  'queues.images.rate.max': [
    whole(1, Number.MAX_SAFE_INTEGER),
    (value) => ({ queues: { images: { rate: { max: value, per: 1000 } } } }),
  ],
  'queues.images.rate.per': [
    (value) => duration({ zero: false, infinity: false })(value) && !(typeof value === 'number' && value > 366 * 86_400_000),
    (value) => ({ queues: { images: { rate: { max: 1, per: value } } } }),
  ],
  'queues.images.ageing': [duration({ zero: false, infinity: true }), (value) => ({ queues: { images: { ageing: value } } })],
  'reserve.threads': [never, (value) => ({ threads: 1, reserve: { threads: value, priority: 0 } })],
  'reserve.priority': [whole(-128, 127), (value) => ({ threads: 2, reserve: { threads: 1, priority: value } })],
  'resourceLimits.maxOldGenerationSizeMb': [
    (value) => typeof value === 'number' && value >= 16 && value < Infinity,
    (value) => ({ resourceLimits: { maxOldGenerationSizeMb: value } }),
  ],
  'jobs[0]': [never, (value) => ({ jobs: [value] })],
  'execArgv[0]': [noFlag, (value) => ({ execArgv: [value] })],
  unknown: [never, (value) => ({ thread: value })],
}

const BARE = { path: ':memory:', jobs: [], threads: 1 }

/** Fields that a bag must have once it is given at all: there, undefined is as wrong as any other value. */
const REQUIRED = /\b(?:rate\.(?:max|per)|reserve\.(?:threads|priority))\b/

/** Most are refused; an executor that opens is closed at once. */
export function openCalls(): Call[] {
  const call = (name: string, takes: Accepts, make: (value: unknown) => unknown): Call => ({
    name,
    takes: /unknown|options|path|\{ jobs|\[0\]/.test(name) || REQUIRED.test(name) ? takes : orAbsent(takes),
    refuses: 'rejects',
    call: async ({ library }, value) => {
      if (name === 'openExecutor({ path })' && typeof value === 'string') return
      const executor = await library.openExecutor(make(value))
      await executor.close({ grace: 0 })
    },
  })
  return [
    call('openExecutor(options)', never, (value) => value),
    ...Object.entries(OPEN_OPTIONS).map(([field, takes]) =>
      call(`openExecutor({ ${field} })`, takes, (value) => ({ ...BARE, [field]: value })),
    ),
    ...Object.entries(NESTED_OPEN).map(([field, [takes, make]]) =>
      call(`openExecutor({ ${field} })`, takes, (value) => ({ ...BARE, ...make(value) })),
    ),
  ]
}

const DEFINE_OPTIONS: Readonly<Record<string, Accepts>> = {
  name: printable,
  module: never,
  input: never,
  run: aFunction,
  setup: aFunction,
  teardown: aFunction,
  handler: never,
  queue: either(printable, aFunction),
  priority: either(whole(-128, 127), aFunction),
  maxRetries: either(whole(0, Number.MAX_SAFE_INTEGER, true), aFunction),
  backoff: aFunction,
  timeout: either(duration({ zero: false, infinity: true }), aFunction),
  softTimeout: either((value) => value === Infinity || (typeof value === 'number' && value > 0 && value < 15_000), aFunction),
  unique: never,
  startBefore: either(aFunction, startBefore),
  retryIf: aFunction,
  weight: either(whole(1, 1024), aFunction),
  limit: never,
}

/** These need no executor, and throw at the call. */
function pureCalls(): Call[] {
  const pure = (name: string, takes: Accepts, call: (library: Library, value: unknown) => unknown): Call => ({
    name,
    takes,
    refuses: 'throws',
    call: ({ library }, value) => call(library, value),
  })
  const nonNegative = duration({ zero: true, infinity: false })
  return [
    pure('defineJob(spec)', never, (library, value) => library.defineJob(value)),
    ...Object.entries(DEFINE_OPTIONS).map(([field, takes]) =>
      pure(`defineJob({ ${field} })`, field === 'name' || field === 'module' ? takes : orAbsent(takes), (library, value) =>
        library.defineJob({ name: 'a', module, run: () => 1, [field]: value }),
      ),
    ),
    ...Object.entries(UNIQUES).map(([field, [takes, make]]) =>
      pure(`defineJob({ unique.${field} })`, field === 'key' ? either(takes, aFunction) : takes, (library, value) =>
        library.defineJob({ name: 'a', module, run: () => 1, unique: make(value) }),
      ),
    ),
    pure('defineJob({ unknown })', never, (library, value) =>
      library.defineJob({ name: 'a', module, run: () => 1, retry: value }),
    ),
    pure('snooze(duration)', nonNegative, (library, value) => library.snooze(value)),
    pure('snooze(…, reason)', orAbsent(text), (library, value) => library.snooze(1, value)),
    pure('cancel(reason)', orAbsent(text), (library, value) => library.cancel(value)),
    // Thrown by handlers: whatever is to be said must not keep the error from being the one that was meant.
    pure('new FatalError(message)', anything, (library, value) => new library.FatalError(value)),
    pure('new FatalError(…, options)', anything, (library, value) => new library.FatalError('why', value)),
    pure('new RetryError(message)', anything, (library, value) => new library.RetryError(value)),
    pure('new RetryError(…, options)', UNCHANGED, (library, value) => new library.RetryError('why', value)),
    pure(
      'new RetryError(…, { after })',
      orAbsent(nonNegative),
      (library, value) => new library.RetryError('why', { after: value }),
    ),
    pure('isMillraceError(error)', anything, (_library, value) => isMillraceError(value)),
    pure('isMillraceError(…, code)', anything, (_library, value) => isMillraceError(new Error('x'), value as never)),
  ]
}

export const CALLS: readonly Call[] = [...pureCalls(), ...EXECUTOR_CALLS, ...optionCalls()].map((call) => ({
  ...call,
  takes: both(readable(call.takes)),
}))
