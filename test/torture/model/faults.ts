/** Faults that the model must see: in the store, between the callers and the executor, and in what chooses and ends jobs. */
import type { EnqueueOptions, Executor, JobInfo } from '../../../src/index.js'
import { FAULT_NAMES, withFault, type Fault } from '../../fixtures/crash/faults.js'
import { INSIDE_FAULTS } from './inside-faults.js'
import type { ModelFault } from './model-fault.js'

/** How each fault of the store shows. */
const OF_STORE: Readonly<Record<Fault, RegExp>> = {
  'acknowledges before the commit':
    /was over, and ran|is claimed|is lost|although its cancellation|was told to be|ended a run that nobody saw|cannot end so|is not rescued/,
  'tears commits in two': /listed twice|is missing|is stray|recount|are stored|jobs of one call|is in two/,
  'skips recovery': /is not rescued/,
  'loses claims': /is not rescued/,
  'loses marks': /although its cancellation was acknowledged|was over|listed twice|is completed; allowed|recount|nobody enqueued/,
  'loses the removal of pages': /is stray|was over|listed twice|recount/,
  'loses outcomes': /is gone|is lost|recount|block/,
  'loses index entries': /is missing|do not agree/,
  'loses unique keys': /does not hold its unique key|is new, and was to be/,
  'keeps unique keys': /is stray|was to be new/,
  'loses counters': /counter \w+ is \d+, a recount gives/,
  'garbles large payloads': /shows .* instead of|with another output/,
}

/** Whose harm is in what a death leaves: these are looked for over LMDB, too. */
const OVER_LMDB: readonly Fault[] = ['skips recovery', 'loses claims', 'loses marks']

/** An executor some of whose methods are others. */
function changed(executor: Executor, methods: Partial<Record<keyof Executor, unknown>>): Executor {
  return new Proxy(executor, {
    get(target, name) {
      const own: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name, target)
      return typeof own === 'function' ? (own.bind(target) as unknown) : own
    },
  })
}

/** What `list` and `get` show, changed in the same way. */
function shown(executor: Executor, change: (info: JobInfo) => readonly JobInfo[]): Executor {
  return changed(executor, {
    async *list() {
      for await (const info of executor.list()) yield* change(info)
    },
    get: async (id: string) => {
      const info = await executor.get(id)
      return info === undefined ? undefined : change(info)[0]
    },
  })
}

/** It says that it has its limit, and has not. */
function loosened({ limit, ...options }: EnqueueOptions): EnqueueOptions {
  return limit === undefined ? options : { ...options, limit: { key: limit.key, max: Infinity } }
}

function withoutUnique({ unique: _unique, ...options }: EnqueueOptions): EnqueueOptions {
  return options
}

function withoutSoftTimeout({ softTimeout: _softTimeout, ...options }: EnqueueOptions): EnqueueOptions {
  return options
}

function returning(options: EnqueueOptions): EnqueueOptions {
  const { unique } = options
  return unique === undefined || unique.onConflict === 'reject'
    ? options
    : { ...options, unique: { ...unique, onConflict: 'return' } }
}

export const FAULTS: readonly ModelFault[] = [
  ...FAULT_NAMES.map((fault) => ofStore(fault)),
  ...OVER_LMDB.map((fault) => ({ ...ofStore(fault), name: `store over LMDB that ${fault}`, store: 'lmdb' as const })),
  {
    name: 'store over LMDB that a death takes the latest commit from',
    losesLatest: true,
    store: 'lmdb',
    seenBy:
      /is lost|although its cancellation|was told to be|was over|had the attempts|is not rescued|ended a run|was brought back|and may be/,
  },
  {
    name: 'executor that acknowledges cancellations it does not store',
    seenBy: /although its cancellation was acknowledged/,
    spoilExecutor: (executor) => changed(executor, { cancel: async () => true }),
  },
  {
    name: 'executor that says of a cancel which was cut off that the job was over',
    seenBy: /and cancel\(\) said false/,
    extent: 'deaths',
    spoilExecutor: (executor) =>
      changed(executor, {
        cancel: (...args: Parameters<Executor['cancel']>) => executor.cancel(...args).catch(() => false),
      }),
  },
  {
    name: 'executor that leaves a rejection to nobody',
    seenBy: /was rejected, and nobody heard/,
    extent: 'deaths',
    spoilExecutor: (executor) =>
      changed(executor, {
        cancel: (...args: Parameters<Executor['cancel']>) => {
          const answer = executor.cancel(...args)
          void answer.then(() => undefined)
          return answer
        },
      }),
  },
  {
    name: 'executor that acknowledges an enqueue it does not store',
    seenBy: /nobody enqueued it|is cancelled.*allowed|is lost|is cancelled/,
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...args: Parameters<Executor['enqueue']>) => {
          const handle = await executor.enqueue(...args)
          await executor.cancel(handle.id)
          return handle
        },
      }),
  },
  {
    name: 'executor that stores duplicates',
    seenBy: /is new, and was to be/,
    extent: 'unique',
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, withoutUnique(options as EnqueueOptions)),
      }),
  },
  {
    name: 'executor that says of every job that it is new',
    seenBy: /is new, and was to be/,
    extent: 'unique',
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...args: Parameters<Executor['enqueue']>) => {
          const handle = await executor.enqueue(...args)
          return { id: handle.id, isNew: true, result: () => handle.result() }
        },
      }),
  },
  {
    name: 'executor that returns where it was to replace',
    seenBy: /was to take the place of/,
    extent: 'unique',
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, returning(options as EnqueueOptions)),
      }),
  },
  {
    name: 'executor that stores part of an enqueueMany',
    seenBy: /inputs gave \d+ handles/,
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueueMany: async (...[definition, inputs, options]: Parameters<Executor['enqueueMany']>) =>
          await executor.enqueueMany(definition, Array.from(inputs).slice(1), options),
      }),
  },
  {
    name: 'executor that forgets the latest attempt',
    seenBy: /shows attempt|had the attempts|ended a run/,
    spoilExecutor: (executor) =>
      shown(executor, (info) => [{ ...info, attempts: info.attempts.slice(0, Math.max(1, info.attempts.length - 1)) }]),
  },
  {
    name: 'executor that lists a job in two states',
    seenBy: /listed twice/,
    spoilExecutor: (executor) =>
      shown(executor, (info) => (info.state === 'completed' ? [info, { ...info, state: 'discarded' }] : [info])),
  },
  {
    name: 'executor that counts a completed job twice',
    seenBy: /counts\(\) says/,
    spoilExecutor: (executor) =>
      changed(executor, {
        counts: async () => {
          const counts = await executor.counts()
          return { ...counts, completed: counts.completed * 2 }
        },
      }),
  },
  {
    name: 'executor that ignores limits',
    seenBy: /jobs of (one|two) in \w+ run, and|began within/,
    extent: 'limits',
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, loosened(options ?? {})),
        enqueueMany: async (...[definition, inputs, options]: Parameters<Executor['enqueueMany']>) =>
          await executor.enqueueMany(definition, inputs, loosened(options ?? {})),
      }),
  },
  {
    name: 'executor that ignores soft timeouts',
    extent: 'attempts',
    seenBy: /runs and does not end/,
    hangMs: 10_000,
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, withoutSoftTimeout(options ?? {})),
        enqueueMany: async (...[definition, inputs, options]: Parameters<Executor['enqueueMany']>) =>
          await executor.enqueueMany(definition, inputs, withoutSoftTimeout(options ?? {})),
      }),
  },
  {
    name: 'executor that shows no priorities',
    seenBy: /shows 0 instead of/,
    spoilExecutor: (executor) => shown(executor, (info) => [{ ...info, priority: 0 }]),
  },
  {
    name: 'executor that never answers a cancel',
    seenBy: /hangs, for/,
    hangMs: 3000,
    spoilExecutor: (executor) => changed(executor, { cancel: () => new Promise(() => undefined) }),
  },
  ...INSIDE_FAULTS,
]

function ofStore(fault: Fault): ModelFault {
  return {
    name: `store that ${fault}`,
    seenBy: OF_STORE[fault],
    spoilEngine: async (engine) => await withFault(engine, fault),
  }
}
