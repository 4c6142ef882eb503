/**
 * What may happen in a history, as plain data: so that a failure is printed, shrunk, and kept as a regression as it is. Jobs are
 * meant by a number, modulo those there are.
 */
import * as fc from 'fast-check'
import type { Act, DefinitionName } from '../../fixtures/torture/model-jobs.js'
import { ACTS } from '../../fixtures/torture/model-jobs.js'
import { LIMIT_NAMES, type LimitName } from './limits.js'

export type ModelBackoff =
  | { readonly type: 'fixed'; readonly delay: number }
  | { readonly type: 'linear'; readonly step: number }
  | { readonly type: 'exponential'; readonly base: number }

/** Of an enqueue; of one whose definition says it, what it says. */
export interface ModelUnique {
  readonly key: string
  readonly while: 'waiting' | 'incomplete' | 'kept'
  /** In ms. */
  readonly within?: number | undefined
  readonly onConflict: 'return' | 'replace' | 'reject' | 'debounce'
}
export const QUEUES = ['default', 'narrow', 'other'] as const

export type QueueName = (typeof QUEUES)[number]

export interface Enqueue {
  readonly do: 'enqueue'
  /** 1: `enqueue`. Else `enqueueMany`. */
  readonly jobs: number
  readonly definition: DefinitionName
  readonly act: Act
  readonly times: number
  readonly afterMs: number
  readonly large?: boolean | undefined
  readonly queue?: string | undefined
  readonly priority?: number | undefined
  readonly maxRetries?: number | undefined
  readonly timeout?: number | undefined
  /** Short, and heeded by some; or so long that not every timeout allows it, which refuses the enqueue; or none. */
  readonly softTimeout?: number | undefined
  readonly backoff?: ModelBackoff | undefined
  readonly delay?: number | undefined
  /** From now, in ms; negative: in the past. */
  readonly runAt?: number | undefined
  readonly unique?: ModelUnique | undefined
  readonly limit?: LimitName | undefined
  readonly weight?: number | undefined
  /**
   * By when it must begin: so long after the call, or as a span that counts from when it becomes available. Long: a thread counts by a
   * clock of its own, which is not turned.
   */
  readonly startBefore?: { readonly ms: number; readonly span: boolean } | undefined
}

/** What callers do in one turn. */
export type Call =
  | Enqueue
  /** The last input is refused, so all are. */
  | { readonly do: 'refused'; readonly jobs: number }
  | { readonly do: 'cancel'; readonly jobs: readonly number[] }
  /** Brings back what was cancelled or discarded, and makes due what waits for its instant. One job: `retry`. Else `retryMany`. */
  | { readonly do: 'retry'; readonly jobs: readonly number[] }
  /** Of one queue: what waits and what is over. */
  | { readonly do: 'purge'; readonly queue: QueueName }
  | { readonly do: 'pause'; readonly queue: QueueName; readonly interrupt: boolean }
  | { readonly do: 'resume'; readonly queue: QueueName }
  /** `undefined`: what the options say. */
  | { readonly do: 'concurrency'; readonly queue: QueueName; readonly jobs: number | undefined }
  | { readonly do: 'release'; readonly job: number }

export type Command =
  | Call
  | { readonly do: 'together'; readonly calls: readonly Call[] }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'jump'; readonly ms: number }
  /** Calls are made, and the executor closes before they are answered. */
  | { readonly do: 'reopen'; readonly graceMs: number; readonly calls: readonly Call[] }
  /** Calls are made, and the process dies at the given commit from there; `durable`: behind it, before anybody is told. */
  | { readonly do: 'kill'; readonly calls: readonly Call[]; readonly commit: number; readonly durable: boolean }

export interface History {
  readonly threads: number
  readonly retain: number | 'all'
  readonly commands: readonly Command[]
}

const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined, freq: 2 })

/** Debouncing needs one. */
const DEBOUNCE_MS = 5000

const act = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Act>('return') },
  { weight: 3, arbitrary: fc.constantFrom<Act>('gate', 'heed') },
  { weight: 8, arbitrary: fc.constantFrom(...ACTS) },
)

const backoff: fc.Arbitrary<ModelBackoff> = fc.oneof(
  fc.record({ type: fc.constant('fixed' as const), delay: fc.constantFrom(0, 1, 3000, 3_600_000) }),
  fc.record({ type: fc.constant('linear' as const), step: fc.constantFrom(0, 2000) }),
  fc.record({ type: fc.constant('exponential' as const), base: fc.constantFrom(2, 3, 1e300) }),
)

const unique: fc.Arbitrary<ModelUnique> = fc.record({
  key: fc.constantFrom('x', 'x', 'y'),
  while: fc.constantFrom('waiting', 'incomplete', 'kept'),
  within: fc.option(fc.constantFrom(1000, 60_000), { nil: undefined, freq: 1 }),
  onConflict: fc.constantFrom('return', 'replace', 'reject', 'debounce'),
})

const fields = {
  do: fc.constant('enqueue' as const),
  jobs: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 9 }) }),
  definition: fc.constantFrom<DefinitionName>('work', 'brief', 'shaped', 'single'),
  act,
  times: fc.integer({ min: 1, max: 3 }),
  afterMs: fc.constantFrom(0, 1000, 60_000),
  large: maybe(fc.boolean()),
  queue: maybe(fc.constantFrom('default', 'narrow', 'other')),
  priority: maybe(fc.constantFrom(-128, 0, 1, 127)),
  maxRetries: maybe(fc.constantFrom(0, 1, 4, Infinity)),
  timeout: maybe(fc.constantFrom(50, 180_000, Infinity)),
  softTimeout: fc.option(fc.constantFrom(20, 20, 100_000, 150_000, Infinity), { nil: undefined, freq: 1 }),
  backoff: maybe(backoff),
  unique: maybe(unique),
  limit: maybe(fc.constantFrom<LimitName>('one', ...LIMIT_NAMES)),
  weight: fc.option(fc.constantFrom(2, 9), { nil: undefined, freq: 1 }),
  startBefore: maybe(fc.record({ ms: fc.constantFrom(60_000, 3_600_000), span: fc.boolean() })),
  when: maybe(
    fc.oneof(
      fc.record({ delay: fc.constantFrom(0, 1, 1000, 10_000, 86_400_000) }),
      fc.record({ runAt: fc.constantFrom(-1000, 0, 500, 20_000) }),
    ),
  ),
} as const

const none = fc.constant(undefined)

/** Nothing that an enqueue may say, but what an extent wants. */
const plain = {
  large: none,
  queue: none,
  priority: none,
  maxRetries: none,
  timeout: none,
  softTimeout: none,
  backoff: none,
  unique: none,
  limit: none,
  weight: none,
  startBefore: none,
  when: none,
} as const

type Fields = { readonly [Name in keyof typeof fields]: fc.Arbitrary<FieldOf<Name>> }
type FieldOf<Name extends keyof typeof fields> = (typeof fields)[Name] extends fc.Arbitrary<infer Value> ? Value : never

function enqueueOf(special: Partial<Fields>): fc.Arbitrary<Enqueue> {
  const all: Fields = { ...fields, ...special }
  return fc.record(all).map(({ when, ...rest }) => ({
    ...rest,
    ...(rest.unique?.onConflict === 'debounce' ? { delay: DEBOUNCE_MS } : when),
    afterMs: rest.act === 'snooze' ? Math.max(1000, rest.afterMs) : rest.afterMs,
  }))
}

const chosen = fc.array(fc.nat(100), { minLength: 1, maxLength: 6 })
const cancel = fc.record({ do: fc.constant('cancel' as const), jobs: chosen })
const retry = fc.record({ do: fc.constant('retry' as const), jobs: chosen })
const release = fc.record({ do: fc.constant('release' as const), job: fc.nat(100) })
const pause = fc.record({
  do: fc.constant('pause' as const),
  queue: fc.constantFrom(...QUEUES),
  interrupt: fc.boolean(),
})
const resume = fc.record({ do: fc.constant('resume' as const), queue: fc.constantFrom(...QUEUES) })
const enqueue = enqueueOf({})

const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 6, arbitrary: enqueue },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refused' as const), jobs: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 4, arbitrary: cancel },
  { weight: 3, arbitrary: release },
  { weight: 3, arbitrary: retry },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const), queue: fc.constantFrom(...QUEUES) }) },
  { weight: 1, arbitrary: pause },
  { weight: 2, arbitrary: resume },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('concurrency' as const),
      queue: fc.constantFrom(...QUEUES),
      jobs: fc.constantFrom(undefined, 1, 2, Infinity),
    }),
  },
)

const calls = (max: number): fc.Arbitrary<Call[]> => fc.array(call, { maxLength: max })
const advance = fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 1000, 5000, 60_000, 3_600_000) })
const reopen = fc.record({ do: fc.constant('reopen' as const), graceMs: fc.constantFrom(0, 20), calls: calls(3) })

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 9, arbitrary: call },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('together' as const), calls: calls(5) }) },
  { weight: 4, arbitrary: advance },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(-3_600_000, -1000, 1000, 60_000) }) },
  { weight: 1, arbitrary: reopen },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('kill' as const),
      calls: calls(4),
      commit: fc.integer({ min: 1, max: 6 }),
      durable: fc.boolean(),
    }),
  },
)

const gates = fc.constantFrom<Act>('gate', 'gate', 'heed', 'return')
const work = fc.constantFrom<DefinitionName>('work')
const oneThread = fc.constant(1)

/** Everything, and parts of it in which much of one kind happens. */
export const EXTENTS = {
  all: { threads: fc.constantFrom(2, 1), command },
  /** Jobs of a few priorities and one limit key queue up behind a single thread. */
  order: {
    threads: oneThread,
    command: fc.oneof(
      {
        weight: 6,
        arbitrary: enqueueOf({
          ...plain,
          definition: work,
          act: fc.constantFrom<Act>('return', 'return', 'gate'),
          priority: fc.constantFrom(undefined, -128, 127),
          limit: fc.constantFrom<LimitName | undefined>(undefined, undefined, 'one'),
        }),
      },
      { weight: 4, arbitrary: release },
    ),
  },
  /** Attempts that end in every way, and retries and delays that come due one after the other. */
  attempts: {
    threads: fc.constantFrom(2, 1),
    command: fc.oneof(
      {
        weight: 6,
        arbitrary: enqueueOf({
          ...plain,
          definition: work,
          act: fc.constantFrom<Act>('fail', 'fail', 'snooze', 'retry', 'heed', 'gate', 'return'),
          maxRetries: fc.constantFrom(0, 1, 4),
          softTimeout: fc.constantFrom(undefined, 20),
          backoff: fc.constantFrom<ModelBackoff>({ type: 'fixed', delay: 0 }, { type: 'fixed', delay: 3000 }),
          when: fc.constantFrom(undefined, { delay: 1000 }, { delay: 10_000 }),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1000, 5000, 60_000) }) },
      { weight: 1, arbitrary: reopen },
      { weight: 2, arbitrary: pause },
      { weight: 2, arbitrary: resume },
    ),
  },
  /** Jobs that are cancelled and brought back, and deaths while that is under way. */
  deaths: {
    threads: fc.constantFrom(2, 1),
    command: fc.oneof(
      { weight: 3, arbitrary: enqueueOf({ ...plain, definition: work, act: gates, when: fields.when }) },
      { weight: 1, arbitrary: cancel },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('kill' as const),
          calls: fc.array(fc.oneof({ weight: 3, arbitrary: cancel }, { weight: 1, arbitrary: retry }), { maxLength: 3 }),
          commit: fc.integer({ min: 1, max: 2 }),
          durable: fc.boolean(),
        }),
      },
    ),
  },
  /** Enqueues that meet held keys. */
  unique: {
    threads: fc.constantFrom(2, 1),
    command: fc.oneof(
      {
        weight: 6,
        arbitrary: enqueueOf({ ...plain, definition: work, jobs: fc.constant(1), act: gates, unique, when: fields.when }),
      },
      { weight: 2, arbitrary: release },
      { weight: 1, arbitrary: advance },
    ),
  },
  /** Jobs of the same limit keys that wait at their gates. */
  limits: {
    threads: fc.constant(2),
    command: fc.oneof(
      {
        weight: 6,
        arbitrary: enqueueOf({
          ...plain,
          definition: work,
          act: gates,
          limit: fc.constantFrom<LimitName>('one', 'two', 'paced'),
        }),
      },
      { weight: 3, arbitrary: release },
    ),
  },
} as const satisfies Record<string, { readonly threads: fc.Arbitrary<number>; readonly command: fc.Arbitrary<Command> }>

export type Extent = keyof typeof EXTENTS

/** Histories of up to so many commands. */
export function histories(maxCommands: number, extent: Extent = 'all'): fc.Arbitrary<History> {
  const { threads, command: commands }: { threads: fc.Arbitrary<number>; command: fc.Arbitrary<Command> } = EXTENTS[extent]
  return fc.record({
    threads,
    retain: fc.constantFrom<number | 'all'>('all', 'all', 3, 0),
    commands: fc.array(commands, { minLength: Math.min(4, maxCommands), maxLength: maxCommands, size: 'max' }),
  })
}
