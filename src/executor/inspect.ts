/** Builds what users are shown of a job from what the store holds of it. Called while no commit is under way. */
import { PAYLOAD_INPUT, PAYLOAD_OUTPUT, priorityOf } from '../codec/keys.js'
import { ENTRY_EXTERNAL, ENTRY_RETRY, PAGE_HEADER_BYTES, readEntry, readHistory } from '../codec/page.js'
import { readPayload } from '../codec/payload.js'
import type { JobAddress } from '../job/job-id.js'
import { formatJobId } from '../job/job-id.js'
import type { Attempt, JobInfo, JobProgress, JobState } from '../job/job-info.js'
import { EMPTY_LEDGER, hasBehindIt, shownAttempt } from '../job/job-state.js'
import type { FoundJob, Retention } from '../maintenance/retention.js'
import { FINAL_STATES } from '../maintenance/retention.js'
import { startBeforeOf, type EffectiveSettings } from '../job/effective-settings.js'
import { type JobOverrides } from '../job/job-overrides.js'
import type { PageRef } from '../store/page-ref.js'
import type { LocateOptions } from './locate.js'
import { locate, scheduledPageRef } from './locate.js'
import type { Registry } from './registry.js'

export interface InspectOptions extends LocateOptions {
  readonly retention: Retention
  readonly registry: Registry
}

/** What is shown besides what a job's record says. */
interface View extends InspectOptions {
  readonly payloads: boolean
}

/** Which jobs `list` gives. */
export interface ListFilter {
  /** One state or several. @defaultValue all */
  readonly state?: JobState | readonly JobState[]
  readonly queue?: string
  /** The definition's name. */
  readonly name?: string
  /** At most so many. @defaultValue `Infinity` */
  readonly limit?: number
  /** Whether inputs and outputs are read and decoded. false: `input` and `output` are undefined. @defaultValue true */
  readonly payloads?: boolean
}

/** A filter that was checked, and copied: what the caller changes while the list is read does not matter. */
export interface CompiledFilter {
  readonly states: ReadonlySet<JobState>
  readonly queue: string | undefined
  readonly name: string | undefined
  readonly limit: number
  readonly payloads: boolean
}

/** Pages read per step of `list`. */
const STEP_PAGES = 8

export function inspect(address: JobAddress, options: InspectOptions): JobInfo | undefined {
  const view = { ...options, payloads: true }
  const place = locate(address, options)
  if (place === undefined) {
    const found = options.retention.find(address.seq)
    return found === undefined ? undefined : finishedInfo(found, view)
  }
  if (place.at === 'scheduled') return waitingInfo(place.page, place.index, place.offset, place.scheduled.runAt, view)
  return waitingInfo(place.page, place.index, place.offset, undefined, view)
}

/** Steps of a listing; each is to be called while no commit is under way, and gives some jobs. */
export function* listSteps(filter: CompiledFilter, options: InspectOptions): Generator<JobInfo[], void> {
  const { states, payloads } = filter
  const view = { ...options, payloads }
  const fits = (info: JobInfo): boolean =>
    states.has(info.state) &&
    (filter.queue === undefined || info.queue === filter.queue) &&
    (filter.name === undefined || info.name === filter.name)
  for (const state of FINAL_STATES) {
    if (!states.has(state)) continue
    for (const block of options.retention.blocks(state)) yield block.map((found) => finishedInfo(found, view)).filter(fits)
  }
  if (states.has('running') || states.has('available')) yield* steps((after) => waitingStep(after, view), fits)
  if (states.has('scheduled') || states.has('retryable')) yield* steps((after) => scheduledStep(after, view), fits)
}

function* steps(step: (after: Buffer | undefined) => Step, fits: (info: JobInfo) => boolean): Generator<JobInfo[], void> {
  let after: Buffer | undefined
  do {
    const { infos, last } = step(after)
    yield infos.filter(fits)
    after = last
  } while (after !== undefined)
}

interface Step {
  readonly infos: JobInfo[]
  /** Undefined at the end. */
  readonly last: Buffer | undefined
}

function waitingStep(after: Buffer | undefined, options: View): Step {
  const { store, dispatcher, ready } = options
  const stored = store.readPages(after, STEP_PAGES)
  const infos: JobInfo[] = []
  for (const read of stored) {
    const page = dispatcher.findPage(read.ord, read.sub) ?? ready.findPage(read) ?? read
    eachJob(page, store.bytesOf(page), (index, offset) => infos.push(waitingInfo(page, index, offset, undefined, options)))
  }
  return { infos, last: stored.length < STEP_PAGES ? undefined : stored.at(-1)?.key }
}

function scheduledStep(after: Buffer | undefined, options: View): Step {
  const { store } = options
  const stored = store.scheduled.read(after, STEP_PAGES)
  const infos: JobInfo[] = []
  for (const scheduled of stored) {
    const page = scheduledPageRef(store, scheduled)
    eachJob(page, scheduled.bytes, (index, offset) => infos.push(waitingInfo(page, index, offset, scheduled.runAt, options)))
  }
  return { infos, last: stored.length < STEP_PAGES ? undefined : stored.at(-1)?.key }
}

function eachJob(page: PageRef, bytes: Buffer, visit: (index: number, offset: number) => void): void {
  let offset = PAGE_HEADER_BYTES
  for (let index = 0; index < page.header.count; index++) {
    const { end } = readEntry(bytes, offset)
    if (!page.isDone(index)) visit(index, offset)
    offset = end
  }
}

function waitingInfo(page: PageRef, index: number, offset: number, runAt: number | undefined, options: View): JobInfo {
  const { store, registry, dispatcher, payloads } = options
  const bytes = store.bytesOf(page)
  const entry = readEntry(bytes, offset)
  const ledger = readHistory(bytes, entry) ?? EMPTY_LEDGER
  const overrides = page.overrides(entry.overrides)
  const settings = registry.settings(entry.definitionId, overrides)
  const startBefore = hasBehindIt(ledger) ? undefined : startBeforeOf(settings, page.header)
  const seq = page.seqOf(index)
  const held = runAt === undefined ? dispatcher.find(page, index) : undefined
  const running = held !== undefined && held.index < held.batch.limit
  const state: JobState =
    runAt !== undefined ? ((entry.flags & ENTRY_RETRY) !== 0 ? 'retryable' : 'scheduled') : running ? 'running' : 'available'
  const progress: JobProgress | undefined = running ? held.batch.progress.get(held.index) : undefined
  const apart = (entry.flags & ENTRY_EXTERNAL) !== 0
  return {
    id: formatJobId(seq, page.queueId, page.rank, store.mark),
    name: registry.name(entry.definitionId),
    queue: store.queueName(page.queueId),
    priority: priorityOf(page.rank),
    state,
    attempt: shownAttempt(state, ledger),
    attempts: ledger.attempts,
    maxRetries: settings.maxRetries,
    timeoutMs: settings.timeoutMs,
    ...limitInfo(overrides, settings),
    enqueuedAt: page.header.enqueuedAt,
    ...(runAt !== undefined && { runAt }),
    ...(startBefore !== undefined && { startBefore }),
    ...(overrides?.schedule !== undefined && { schedule: overrides.schedule }),
    input: !payloads
      ? undefined
      : apart
        ? payload(store.readPayload(seq, PAYLOAD_INPUT))
        : readPayload(bytes, entry.payloadFrom, entry.end),
    ...(progress !== undefined && { progress }),
    crashes: ledger.crashes,
  }
}

function finishedInfo({ state, finishedAt, entry }: FoundJob, { store, registry, payloads }: View): JobInfo {
  const settings = registry.settings(entry.definitionId, entry.overrides)
  const { seq, queueId, rank, ledger } = entry
  const only: Attempt = {
    attempt: 1,
    startedAt: entry.startedAt,
    endedAt: Math.round(entry.startedAt + entry.runMs),
    outcome: 'completed',
  }
  const attempts = ledger?.attempts ?? (state === 'completed' ? [only] : [])
  const readOutput = (): unknown =>
    entry.outputApart ? payload(store.readPayload(seq, PAYLOAD_OUTPUT)) : readPayload(entry.output)
  const readInput = (): unknown => (entry.inputApart ? payload(store.readPayload(seq, PAYLOAD_INPUT)) : readPayload(entry.input))
  return {
    id: formatJobId(seq, queueId, rank, store.mark),
    name: registry.name(entry.definitionId),
    queue: store.queueName(queueId),
    priority: priorityOf(rank),
    state,
    attempt: ledger === undefined ? 1 : shownAttempt(state, ledger),
    attempts,
    maxRetries: settings.maxRetries,
    timeoutMs: settings.timeoutMs,
    ...limitInfo(entry.overrides, settings),
    enqueuedAt: entry.enqueuedAt,
    ...(entry.overrides?.schedule !== undefined && { schedule: entry.overrides.schedule }),
    finishedAt,
    input: payloads ? readInput() : undefined,
    ...(state === 'completed' && { output: payloads ? readOutput() : undefined }),
    ...(entry.error !== undefined && { error: entry.error }),
    crashes: ledger?.crashes ?? 0,
  }
}

function payload(bytes: Buffer | undefined): unknown {
  return bytes === undefined ? undefined : readPayload(bytes, 0, bytes.length, true)
}

function limitInfo(
  overrides: JobOverrides | undefined,
  { weight }: EffectiveSettings,
): { readonly limitKey?: string; readonly weight?: number } {
  return {
    ...(overrides?.limitKey !== undefined && { limitKey: overrides.limitKey }),
    ...(weight > 1 && { weight }),
  }
}
