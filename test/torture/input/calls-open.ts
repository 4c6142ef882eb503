/** What `openExecutor` and `close` are given. */
import type { CloseOptions, ExecutorOptions } from '../../../src/index.js'
import type { Accepts } from './accepted.js'
import { anything, duration, emptyBag, never, oneOf, orAbsent, text, whole } from './accepted.js'
import { isEmptyArray, noFlag, readable, rejects, throws, UNCHANGED, type Call } from './call.js'

/** A close that takes its options ends the executor: each has one of its own, in memory. */
const CLOSE_OPTIONS: Readonly<Record<keyof CloseOptions, Accepts>> = { grace: duration({ zero: true, infinity: false }) }

export const CLOSE_CALLS: readonly Call[] = [
  rejects('asyncDispose(stray)', anything, ({ opened }, value) => Reflect.apply(opened[Symbol.asyncDispose], opened, [value])),
  throws('close(options)', UNCHANGED, ({ executor }, value) => executor.close(value)),
  ...Object.entries(CLOSE_OPTIONS).map(([field, takes]) =>
    throws(`close({ ${field} })`, orAbsent(takes), ({ executor }, value) => executor.close({ [field]: value })),
  ),
]

const OPEN_OPTIONS: Readonly<Record<keyof ExecutorOptions, Accepts>> = {
  // A string is a directory's name; those are tried apart.
  path: text,
  jobs: readable(isEmptyArray),
  threads: whole(1, 1024),
  queues: emptyBag,
  // Its fields are missing.
  reserve: never,
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
  'limits.memoryBytes': [whole(1, Number.MAX_SAFE_INTEGER, true), (value) => ({ limits: { memoryBytes: value } })],
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
