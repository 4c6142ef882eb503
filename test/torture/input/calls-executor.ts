/** What an executor, its queues and the handles of its jobs are given. Those calls that are taken change nothing, or change it back. */
import { join } from 'node:path'
import type { BulkFilter, BulkStopOptions, ListFilter, PauseOptions } from '../../../src/index.js'
import type { Accepts } from './accepted.js'
import { aFunction, anything, both, duration, emptyBag, never, oneOf, orAbsent, text, whole } from './accepted.js'
import { drained, isEmptyArray, isIterable, readable, rejects, throws, UNCHANGED, type Call } from './call.js'
import { echo, nothing, type LooseExecutor } from './world.js'

/** A name in a directory; the longest that systems take has 255 bytes. */
const isFileName: Accepts = (value) => typeof value === 'string' && value !== '' && !value.includes('\0') && value.length < 200

let backups = 0

export const EXECUTOR_CALLS: readonly Call[] = [
  rejects('enqueueMany(definition)', never, ({ executor }, value) => executor.enqueueMany(value, [1])),
  {
    ...rejects('enqueueMany(…, inputs)', isIterable, ({ executor }, value) => executor.enqueueMany(nothing, value)),
    passes: true,
  },
  rejects('enqueueMany(…, options)', UNCHANGED, ({ executor }, value) => executor.enqueueMany(echo, [1, 2], value)),
  rejects('get(id)', never, ({ executor }, value) => executor.get(value)),
  rejects('cancel(id)', never, ({ executor }, value) => executor.cancel(value)),
  rejects('cancel(…, reason)', orAbsent(text), ({ executor, id }, value) => executor.cancel(id, value)),
  rejects('discard(id)', never, ({ executor }, value) => executor.discard(value)),
  rejects('discard(…, reason)', orAbsent(text), ({ executor, id }, value) => executor.discard(id, value)),
  rejects('retry(id)', never, ({ executor }, value) => executor.retry(value)),
  ...listCalls(),
  ...bulkCalls(),
  ...handleCalls(),
  ...queueCalls(),
  ...strayCalls(),
  rejects('setThreads(n)', whole(1, 1024), async ({ executor }, value) => {
    if (!whole(1, 1024)(value)) await executor.setThreads(value)
  }),
  // A string is a name in a directory of the world's own; each copy has another parent.
  rejects('backup(path)', isFileName, ({ executor, directory }, value) =>
    executor.backup(typeof value === 'string' && value !== '' ? join(directory, 'copies', String(backups++), value) : value),
  ),
  throws('on(name)', never, ({ executor }, value) => executor.on(value, () => undefined)),
  throws('on(…, listener)', aFunction, ({ executor }, value) => (executor.on('started', value), executor.off('started', value))),
  throws('off(name)', never, ({ executor }, value) => executor.off(value, () => undefined)),
  throws('off(…, listener)', aFunction, ({ executor }, value) => executor.off('started', value)),
]

function listCalls(): Call[] {
  const fields: Readonly<Record<keyof ListFilter, Accepts>> = {
    state: isEmptyArray,
    queue: text,
    name: text,
    limit: whole(0, Number.MAX_SAFE_INTEGER, true),
    payloads: oneOf(true, false),
  }
  return [
    rejects('list(filter)', UNCHANGED, ({ executor }, value) => drained(executor.list(value))),
    ...Object.entries(fields).map(([field, takes]) =>
      rejects(`list({ ${field} })`, orAbsent(readable(takes)), ({ executor }, value) =>
        drained(executor.list({ [field]: value })),
      ),
    ),
  ]
}

function bulkCalls(): Call[] {
  const filters: Readonly<Record<Exclude<keyof BulkFilter, 'all'>, Accepts>> = {
    state: readable(isEmptyArray),
    queue: text,
    name: text,
    ids: readable((value) => isIterable(value) && Array.from(value as Iterable<unknown>).length === 0),
    olderThan: duration({ zero: true, infinity: false }),
    limit: whole(0, Number.MAX_SAFE_INTEGER, true),
  }
  const options: Readonly<Record<Exclude<keyof BulkStopOptions, 'reason'>, Accepts>> = {
    dryRun: oneOf(true, false),
    onProgress: aFunction,
  }
  // It has a name, which is that of no definition.
  const anError = both(emptyBag, (value) => value instanceof Error)
  return (['cancelMany', 'discardMany', 'retryMany'] as const).flatMap((many) => [
    rejects(`${many}(filter)`, anError, ({ executor }, value) => executor[many](value, { dryRun: true })),
    rejects(`${many}({ all })`, oneOf(true), ({ executor }, value) => executor[many]({ all: value }, { dryRun: true })),
    ...Object.entries(filters).map(([field, takes]) =>
      rejects(`${many}({ ${field} })`, orAbsent(takes), ({ executor }, value) =>
        executor[many]({ [field === 'name' ? 'queue' : 'name']: 'echo', [field]: value }, { dryRun: true }),
      ),
    ),
    rejects(`${many}(…, options)`, UNCHANGED, ({ executor }, value) => executor[many]({ ids: [] }, value)),
    ...Object.entries(options).map(([field, takes]) =>
      rejects(`${many}(…, { ${field} })`, orAbsent(takes), ({ executor }, value) =>
        executor[many]({ ids: [] }, { [field]: value }),
      ),
    ),
    rejects(`${many}(…, { reason })`, many === 'retryMany' ? never : orAbsent(text), ({ executor }, value) =>
      executor[many]({ ids: [] }, { reason: value }),
    ),
  ])
}

function handleCalls(): Call[] {
  return [
    throws('job(id)', never, ({ executor }, value) => executor.job(value)),
    rejects('job(id).cancel(reason)', orAbsent(text), ({ executor, id }, value) => executor.job(id).cancel(value)),
    rejects('job(id).info(stray)', anything, ({ executor, id }, value) => executor.job(id).info(value)),
    rejects('job(id).result(stray)', anything, ({ executor, id }, value) => executor.job(id).result(value)),
    rejects('enqueue(…).result(stray)', anything, async ({ executor }, value) =>
      (await executor.enqueue(nothing, undefined)).result(value),
    ),
  ]
}

function queueCalls(): Call[] {
  const pauses: Readonly<Record<keyof PauseOptions, Accepts>> = { interrupt: oneOf(true, false) }
  return [
    throws('queue(name)', oneOf('default'), ({ executor }, value) => executor.queue(value)),
    rejects('queue(name).pause(options)', UNCHANGED, ({ executor }, value) => pausedFor(executor, value)),
    ...Object.entries(pauses).map(([field, takes]) =>
      rejects(`queue(name).pause({ ${field} })`, orAbsent(takes), ({ executor }, value) =>
        pausedFor(executor, { [field]: value }),
      ),
    ),
    rejects('queue(name).setConcurrency(n)', orAbsent(whole(1, Number.MAX_SAFE_INTEGER, true)), async ({ executor }, value) => {
      await executor.queue('default').setConcurrency(value)
      await executor.queue('default').setConcurrency(undefined)
    }),
    rejects('queue(name).purge(filter)', UNCHANGED, ({ executor }, value) =>
      executor.queue('default').purge(value, { dryRun: true }),
    ),
    rejects('queue(name).purge(…, options)', UNCHANGED, ({ executor }, value) =>
      executor.queue('default').purge({ state: [] }, value),
    ),
    ...(['resume', 'drain', 'info'] as const).map((name) =>
      rejects(`queue(name).${name}(stray)`, anything, ({ executor }, value) => executor.queue('default')[name](value)),
    ),
  ]
}

/** They take nothing: what they are given all the same changes nothing. */
function strayCalls(): Call[] {
  return [
    ...(['schedules', 'counts', 'drain'] as const).map((name) =>
      rejects(`${name}(stray)`, anything, ({ executor }, value) => executor[name](value)),
    ),
    ...(['stats', 'metrics'] as const).map((name) =>
      throws(`${name}(stray)`, anything, ({ executor }, value) => executor[name](value)),
    ),
  ]
}

async function pausedFor(executor: LooseExecutor, options: unknown): Promise<void> {
  await executor.queue('default').pause(options)
  await executor.queue('default').resume()
}
