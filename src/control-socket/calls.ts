/**
 * The calls that the control socket takes, and what each makes of the executor. They use its public API alone. What a client gives is
 * checked here like any other argument; the executor checks the rest.
 */
import type { Clock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { CONTROL_ITEMS } from '../base/limits.js'
import { nearestName, Problems, readFields } from '../base/problems.js'
import type { BulkFilter, BulkOptions, BulkReport } from '../executor/bulk-options.js'
import type { Executor } from '../executor/executor.js'
import type { ListFilter } from '../executor/inspect.js'
import type { JobDefinition } from '../job/define-job.js'
import type { EnqueueOptions } from '../options/enqueue-options.js'
import type { Calls, Reply } from './protocol.js'
import { queueRows } from './queue-rows.js'
import { type JobRow, jobDetail, jobRow, scheduleRow } from './shapes.js'
import { readStatus, type StatusFacts } from './status.js'

export interface CallOptions extends StatusFacts {
  readonly clock: Clock
  readonly executor: Executor
  /** By name. Undefined where no definition is at hand: nothing can be enqueued. */
  readonly definitions: ReadonlyMap<string, JobDefinition> | undefined
}

const INVALID = 'MILLRACE_INVALID_OPTIONS'
const LIST_FIELDS = ['state', 'queue', 'name', 'limit', 'payloads'] as const
const BULK_FIELDS = ['filter', 'dryRun'] as const
const STOP_FIELDS = [...BULK_FIELDS, 'reason'] as const
const NO_THREADS =
  'No executor has the store open, and how many threads there are is not stored. Start the program with the option threads.'

/** The calls of one executor. */
export function controlCalls(options: CallOptions): Calls {
  const { executor } = options
  return {
    status: async () => await readStatus(executor, options),
    metrics: async () => executor.metrics(),
    jobs: async (given, reply) => await list(fieldsOf(given, LIST_FIELDS, 'jobs') as ListFilter, reply, options),
    job: async (given) => {
      const { id } = fieldsOf(given, ['id'], 'job')
      const job = await executor.get(id as string)
      return job === undefined ? null : jobDetail(job)
    },
    retry: async (given, reply) => {
      return await changeMany(fieldsOf(given, BULK_FIELDS, 'retry'), reply, (...of) => executor.retryMany(...of))
    },
    cancel: async (given, reply) => {
      return await changeMany(fieldsOf(given, STOP_FIELDS, 'cancel'), reply, (...of) => executor.cancelMany(...of))
    },
    discard: async (given, reply) => {
      return await changeMany(fieldsOf(given, STOP_FIELDS, 'discard'), reply, (...of) => executor.discardMany(...of))
    },
    queues: async () => queueRows(executor, options.queues, executor.stats()),
    pause: async (given) => {
      const { queue, interrupt } = fieldsOf(given, ['queue', 'interrupt'], 'pause')
      await executor.queue(queue as string).pause(interrupt === undefined ? {} : { interrupt: interrupt as boolean })
    },
    resume: async (given) => await executor.queue(fieldsOf(given, ['queue'], 'resume').queue as string).resume(),
    concurrency: async (given) => {
      const { queue, concurrency } = fieldsOf(given, ['queue', 'concurrency'], 'concurrency')
      const found = executor.queue(queue as string)
      const said = concurrency === 'default' ? undefined : concurrency === 'none' ? Infinity : (concurrency as number)
      await found.setConcurrency(said)
      return { queue: found.name, concurrency: found.concurrency === Infinity ? null : found.concurrency }
    },
    threads: async (given) => {
      const { threads } = fieldsOf(given, ['threads'], 'threads')
      if (options.running === undefined) throw new MillraceError('MILLRACE_CLOSED', NO_THREADS)
      await executor.setThreads(threads as number)
      return { threads }
    },
    schedules: async () =>
      Array.from(await executor.schedules(), (schedule) => scheduleRow(schedule, options.running !== undefined)),
    unschedule: async (given) => await executor.unschedule(fieldsOf(given, ['name'], 'unschedule').name as string),
    enqueue: async (given) => await enqueue(given, options),
    backup: async (given) => {
      const { path } = fieldsOf(given, ['path'], 'backup')
      return await executor.backup(path as string)
    },
  }
}

/** Tells jobs in small groups. Gives how many there were. */
async function list(
  { payloads = false, ...filter }: ListFilter,
  reply: Reply,
  { executor, clock }: CallOptions,
): Promise<{ readonly jobs: number }> {
  let group: JobRow[] = []
  let jobs = 0
  const send = async (): Promise<void> => {
    jobs += group.length
    await reply.items(group)
    group = []
    // Also where the client takes everything at once, the host's loop turns.
    await new Promise<void>((resolve) => clock.after(1, resolve))
  }
  for await (const job of executor.list({ ...filter, payloads })) {
    group.push(jobRow(job, payloads))
    if (group.length === CONTROL_ITEMS) await send()
  }
  if (group.length > 0) await send()
  return { jobs }
}

/** Changes every job that fits, step by step. It ends when the client has gone. */
async function changeMany(
  { filter, ...manner }: { readonly filter?: unknown },
  reply: Reply,
  change: (filter: BulkFilter, manner: BulkOptions) => Promise<BulkReport>,
): Promise<BulkReport> {
  return await change(filter as BulkFilter, { ...manner, onProgress: (soFar) => reply.progress(soFar) })
}

async function enqueue(given: unknown, { executor, definitions }: CallOptions): Promise<{ readonly id: string }> {
  const { name, input, options } = fieldsOf(given, ['name', 'input', 'options'], 'enqueue')
  const definition = definitions?.get(name as string)
  if (definition === undefined) throw unknownDefinition(name, definitions)
  const job = await executor.enqueue(definition as JobDefinition<unknown>, input, options as EnqueueOptions)
  return { id: job.id }
}

function unknownDefinition(name: unknown, definitions: ReadonlyMap<string, JobDefinition> | undefined): MillraceError {
  if (definitions === undefined) {
    const message =
      'No executor has the store open, and without its definition nobody can tell whether the input is right and where the job is to wait. ' +
      'Start the program, and enqueue then.'
    return new MillraceError('MILLRACE_UNKNOWN_DEFINITION', message)
  }
  const known = [...definitions.keys()]
  const nearest = typeof name === 'string' ? nearestName(name, known) : undefined
  const wayOut = nearest === undefined ? `It has ${known.join(', ')}.` : `Did you mean '${nearest}'?`
  return new MillraceError('MILLRACE_UNKNOWN_DEFINITION', `The executor has no job named '${String(name)}'. ${wayOut}`)
}

function fieldsOf<Key extends string>(given: unknown, known: readonly Key[], call: string): { readonly [Name in Key]?: unknown } {
  const problems = new Problems()
  const fields = readFields(given, known, '', problems)
  problems.throwIfAny(INVALID, `The call ${call} cannot be used like this`)
  return fields
}
