/** Faults that the model must see: in the store, and between the callers and the executor. */
import type { EnqueueOptions, Executor, JobInfo } from '../../../src/index.js'
import { FAULT_NAMES, withFault } from '../../fixtures/crash/faults.js'
import type { WorldOptions } from './world.js'

export interface ModelFault extends Pick<WorldOptions, 'spoilEngine' | 'spoilExecutor'> {
  /** Completes "a store that …" or "an executor that …". */
  readonly name: string
}

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

function returning(options: EnqueueOptions): EnqueueOptions {
  const { unique } = options
  return unique === undefined || unique.onConflict === 'reject'
    ? options
    : { ...options, unique: { ...unique, onConflict: 'return' } }
}

export const FAULTS: readonly ModelFault[] = [
  ...FAULT_NAMES.map(
    (fault) =>
      ({ name: `store that ${fault}`, spoilEngine: async (engine) => await withFault(engine, fault) }) satisfies ModelFault,
  ),
  {
    name: 'executor that acknowledges cancellations it does not store',
    spoilExecutor: (executor) => changed(executor, { cancel: async () => true }),
  },
  {
    name: 'executor that acknowledges an enqueue it does not store',
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
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, withoutUnique(options as EnqueueOptions)),
      }),
  },
  {
    name: 'executor that says of every job that it is new',
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
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, returning(options as EnqueueOptions)),
      }),
  },
  {
    name: 'executor that stores part of an enqueueMany',
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueueMany: async (...[definition, inputs, options]: Parameters<Executor['enqueueMany']>) =>
          await executor.enqueueMany(definition, Array.from(inputs).slice(1), options),
      }),
  },
  {
    name: 'executor that forgets the latest attempt',
    spoilExecutor: (executor) =>
      shown(executor, (info) => [{ ...info, attempts: info.attempts.slice(0, Math.max(1, info.attempts.length - 1)) }]),
  },
  {
    name: 'executor that lists a job in two states',
    spoilExecutor: (executor) =>
      shown(executor, (info) => (info.state === 'completed' ? [info, { ...info, state: 'available' }] : [info])),
  },
  {
    name: 'executor that counts a completed job twice',
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
    spoilExecutor: (executor) =>
      changed(executor, {
        enqueue: async (...[definition, input, options]: Parameters<Executor['enqueue']>) =>
          await executor.enqueue(definition, input, loosened(options ?? {})),
        enqueueMany: async (...[definition, inputs, options]: Parameters<Executor['enqueueMany']>) =>
          await executor.enqueueMany(definition, inputs, loosened(options ?? {})),
      }),
  },
  {
    name: 'executor that ignores priorities',
    spoilExecutor: (executor) => shown(executor, (info) => [{ ...info, priority: 0 }]),
  },
]
