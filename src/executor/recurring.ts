/**
 * Recurring jobs as the executor sees them: makes and removes schedules, and turns what is due into pages of jobs. The pages are stored
 * by the turn like those of any enqueue, in the same commit as the schedule's next run, so that a process that dies in between
 * neither loses a run nor repeats one.
 */
import type { Clock } from '../base/clock.js'
import { MillraceError } from '../base/errors.js'
import { MAX_SCHEDULES, SCHEDULE_INPUT_BYTES } from '../base/limits.js'
import { Problems } from '../base/problems.js'
import { ByteWriter } from '../codec/byte-writer.js'
import { rankOf } from '../codec/keys.js'
import { laneOf } from '../codec/limit-lane.js'
import { PageBuilder } from '../codec/page.js'
import { isSamePlain, readPayload, writePayload } from '../codec/payload.js'
import type { ScheduleSettings } from '../codec/schedule-record.js'
import type { CompiledDefinition } from '../job/define-job.js'
import type { ScheduleInfo } from '../job/schedule-info.js'
import { formatJobId } from '../job/job-id.js'
import { resolveEnqueue } from '../options/resolve-enqueue.js'
import { checkScheduleName, compileSchedule, refuseInstant } from '../options/schedule-options.js'
import type { DueRun, Schedule, Schedules } from '../scheduler/schedules.js'
import type { WriteBatch } from '../store/engine.js'
import { accept, refuseAsyncChange, runSchema, unknownQueue } from './check-input.js'
import type { GatheredPage } from './intake.js'
import type { LocateOptions } from './locate.js'
import { withoutKey } from './job-moves.js'
import { locate } from './locate.js'
import type { ResultRegistry } from './results.js'
import { PageHandles } from './results.js'
import type { TurnRequest } from './turn-calls.js'

export interface RecurringOptions extends LocateOptions {
  readonly clock: Clock
  readonly schedules: Schedules
  readonly results: ResultRegistry
  readonly queues: ReadonlyMap<string, unknown>
  readonly definitions: ReadonlyMap<string, CompiledDefinition>
  readonly payloadBytes: number
  /** Throws when no call is taken any more. */
  readonly assertOpen: () => void
}

/** Takes what is to be done in the next turn. */
interface Requests {
  request(request: TurnRequest): void
}

/** A run on its way into the store. */
export interface RunPage extends GatheredPage {
  readonly run: DueRun
}

export class Recurring {
  readonly #options: RecurringOptions

  constructor(options: RecurringOptions) {
    this.#options = options
  }

  /** When there is something to do, in epoch ms. */
  get nextAt(): number {
    return this.#options.schedules.nextAt
  }

  /** The runs that are due, for the turn that begins: nothing may have changed in it yet. */
  due(now: number): RunPage[] {
    const { schedules } = this.#options
    if (schedules.size === 0) return []
    return schedules.due(now, (job) => locate(job, this.#options) === undefined).map((run) => this.#page(run))
  }

  /** The runs have their numbers: stores what follows for their schedules. */
  stored(pages: readonly RunPage[], writes: WriteBatch): void {
    const { schedules } = this.#options
    for (const { run, handles, queueId, rank } of pages) schedules.ran(run, { seq: handles.firstSeq, queueId, rank })
    schedules.write(writes)
  }

  /** Makes or changes a schedule. Resolves with it, once it is durable. */
  async schedule(
    name: unknown,
    rule: unknown,
    definition: CompiledDefinition,
    input: unknown,
    options: unknown,
    turns: Requests,
  ): Promise<ScheduleInfo> {
    const { clock, schedules, assertOpen } = this.#options
    const compiled = compileSchedule(name, rule, options, systemZone, clock.now())
    const checked = runSchema(definition.schema ?? ANY, input)
    const parsed = accept(checked instanceof Promise ? await checked : checked, definition.name)
    assertOpen()
    if (checked instanceof Promise && parsed !== input && !isSamePlain(input, parsed)) refuseAsyncChange(definition)
    const { queue, priority, overrides } = resolveEnqueue(definition, parsed, compiled.enqueue, clock.now())
    if (!this.#options.queues.has(queue)) throw unknownQueue(definition.name, queue, [...this.#options.queues.keys()])
    if ((overrides?.startBefore ?? Infinity) !== Infinity) refuseDeadline(definition)
    const { name: checkedName, enqueue: _enqueue, ...rest } = compiled
    const settings = {
      ...rest,
      definition: definition.name,
      queue,
      priority,
      // A run is decided about by its schedule, and holds no key.
      overrides: withoutKey(overrides),
      input: this.#encode(input),
    }
    return await new Promise((resolve, reject) => {
      const run: TurnRequest['run'] = ({ tidings }, _writes, now) => {
        if (schedules.find(checkedName) === undefined && schedules.size >= MAX_SCHEDULES) {
          reject(tooMany(checkedName))
          return
        }
        schedules.set(checkedName, settings, now)
        const schedule = schedules.find(checkedName)
        if (schedule !== undefined) tidings.add(() => resolve(this.#info(schedule)))
      }
      turns.request({ run, reject })
    })
  }

  /** Resolves once it is durable: with whether there was one. */
  async unschedule(name: unknown, turns: Requests): Promise<boolean> {
    const checked = checkScheduleName(name)
    return await new Promise((resolve, reject) => {
      const run: TurnRequest['run'] = ({ tidings }, writes) => {
        const was = this.#options.schedules.remove(checked, writes)
        tidings.add(() => resolve(was))
      }
      turns.request({ run, reject })
    })
  }

  /** Every schedule, by name. Called within a turn. */
  list(): ScheduleInfo[] {
    const infos = Array.from(this.#options.schedules.all, (schedule) => this.#info(schedule))
    return infos.sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  #encode(input: unknown): Buffer {
    const writer = new ByteWriter(256)
    writePayload(writer, input, this.#options.payloadBytes, 'input')
    if (writer.position <= SCHEDULE_INPUT_BYTES) return Buffer.from(writer.buffer.subarray(0, writer.position))
    throw new MillraceError(
      'MILLRACE_PAYLOAD_TOO_LARGE',
      `The input of a schedule is too large: ${writer.position} bytes encoded, and ${SCHEDULE_INPUT_BYTES} is the limit. Store the data in a file and pass its path.`,
    )
  }

  #page(run: DueRun): RunPage {
    const { store, results } = this.#options
    const { schedule, plannedAt } = run
    const { name, definition, queue, priority, overrides, input } = schedule.record
    const queueId = store.queueId(queue)
    const rank = rankOf(priority)
    const builder = new PageBuilder()
    // An earlier process may have checked the input: the thread does it again.
    builder.begin(store.definitionId(definition), 0, { ...overrides, schedule: { name, plannedAt } })
    builder.writer.bytes(input)
    builder.end()
    const lane = overrides?.limitKey === undefined ? 0 : laneOf(overrides.limitKey)
    return { queueId, rank, lane, runAt: 0, builder, handles: new PageHandles(results, queueId, rank, false), externals: [], run }
  }

  #info(schedule: Schedule): ScheduleInfo {
    const { store } = this.#options
    const { name, rule, definition, queue, input, overlap, misfire, nextRunAt, lastRunAt, last, skippedAt } = schedule.record
    const waitsFor = this.#waitsFor(schedule)
    return {
      name,
      ...('everyMs' in rule ? { every: rule.everyMs } : rule),
      definition,
      queue,
      input: readPayload(input),
      overlap,
      misfire,
      ...(lastRunAt !== undefined && { lastRunAt }),
      ...(last !== undefined && { lastJobId: formatJobId(last.seq, last.queueId, last.rank, store.mark) }),
      ...(nextRunAt !== Infinity && { nextRunAt }),
      ...(waitsFor !== undefined && { waitsFor }),
      ...(skippedAt !== undefined && { skippedAt }),
    }
  }

  #waitsFor({ record, canRun, isHeld }: Schedule): ScheduleInfo['waitsFor'] {
    if (!canRun) return this.#options.definitions.has(record.definition) ? 'queue' : 'definition'
    return isHeld ? 'lastRun' : undefined
  }
}

function systemZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** Of a definition without a schema: every input fits. */
const ANY = { '~standard': { version: 1, vendor: 'millrace', validate: (value: unknown) => ({ value }) } } as const

/** Whether an executor with these definitions and queues can run a schedule. */
export function canRunHere(
  definitions: ReadonlyMap<string, unknown>,
  queues: ReadonlyMap<string, unknown>,
): (settings: ScheduleSettings) => boolean {
  return ({ definition, queue }) => definitions.has(definition) && queues.has(queue)
}

/** Schedules named in a warning. */
const NAMES_SHOWN = 5

/** What is to be said of schedules that wait for another executor, in words; undefined when there are none. */
export function waitingSchedules(schedules: Schedules): string | undefined {
  const waiting = Array.from(schedules.all).filter(({ canRun }) => !canRun)
  if (waiting.length === 0) return undefined
  const shown = waiting
    .slice(0, NAMES_SHOWN)
    .map(({ record }) => `"${record.name}" (job "${record.definition}", queue "${record.queue}")`)
  const more = waiting.length > shown.length ? ` and ${waiting.length - shown.length} more` : ''
  return `schedules whose job or queue is not here: ${shown.join(', ')}${more}`
}

/** @throws MillraceError `MILLRACE_INVALID_OPTIONS` */
function refuseDeadline({ name }: CompiledDefinition): void {
  const problems = new Problems()
  refuseInstant('startBefore (of the definition)', problems)
  problems.throwIfAny('MILLRACE_INVALID_OPTIONS', `A schedule of job '${name}' cannot be made`)
}

function tooMany(name: string): MillraceError {
  return new MillraceError(
    'MILLRACE_INVALID_OPTIONS',
    `The store holds ${MAX_SCHEDULES} schedules, and "${name}" is one too many. Remove some with unschedule, or let one schedule do the work of several.`,
  )
}
