/**
 * Who waits for which job's outcome.
 *
 * Handles of one page share one `PageHandles`, which the registry holds weakly: as long as a program holds a handle, it gets the
 * outcome, however many jobs have finished since; and handles nobody holds cost nothing per job. A `result()` that is being
 * awaited pins it. Outcomes are told after the commit that made them durable.
 */
import type { ErrorRecord } from '../base/errors.js'
import { JobFailedError, MillraceError } from '../base/errors.js'
import { readPayload } from '../codec/payload.js'
import { formatJobId, type JobAddress } from '../job/job-id.js'
import type { PageRef } from '../store/page-ref.js'

/** How a job ended. */
export type Outcome =
  | { readonly state: 'completed'; readonly output: Buffer | undefined }
  | { readonly state: 'cancelled'; readonly reason: string | undefined }
  | { readonly state: 'discarded'; readonly error: ErrorRecord }

export const COMPLETED_WITHOUT_OUTPUT: Outcome = { state: 'completed', output: undefined }

/** Outputs above this are kept for handles of single enqueues only while somebody awaits them. */
const SHARED_OUTPUT_BYTES = 2048

/** Somebody who awaits the outcome of a job, of which there may be very many: one object, and no promises but the one. */
class Waiter {
  /** The name of the job's definition. */
  readonly name: string
  readonly promise: Promise<unknown>
  resolve!: (value: unknown) => void
  reject!: (error: Error) => void

  constructor(name: string) {
    this.name = name
    this.promise = new Promise<unknown>((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }
}

/** The handles of the jobs of one page. */
export class PageHandles {
  readonly registry: ResultRegistry
  /** Of the page's first job; known when the page is sealed. */
  firstSeq = 0
  readonly queueId: number
  readonly rank: number
  /** The handles belong to one `enqueueMany`: whoever holds one is likely to hold them all. */
  readonly together: boolean
  readonly #outcomes: (Outcome | 'stored')[] = []
  readonly #waiters = new Map<number, Waiter>()

  constructor(registry: ResultRegistry, queueId: number, rank: number, together: boolean) {
    this.registry = registry
    this.queueId = queueId
    this.rank = rank
    this.together = together
  }

  id(index: number): string {
    return formatJobId(this.firstSeq + index, this.queueId, this.rank, this.registry.storeMark)
  }

  /** The promise of a job's output; the same one at every call until the outcome is there. */
  result(index: number, name: string): Promise<unknown> {
    const known = this.#waiters.get(index)
    if (known !== undefined) return known.promise
    const waiter = new Waiter(name)
    const outcome = this.#outcomes[index]
    if (outcome !== undefined) {
      if (outcome === 'stored') waiter.resolve(this.registry.fromStore(this.id(index)))
      else this.#tell(waiter, outcome, index)
      return waiter.promise
    }
    try {
      this.registry.assertOpen()
      this.#waiters.set(index, waiter)
      this.registry.pin(this)
    } catch (error) {
      waiter.reject(error as Error)
    }
    return waiter.promise
  }

  settle(index: number, outcome: Outcome): void {
    const waiter = this.#waiters.get(index)
    const large = outcome.state === 'completed' && (outcome.output?.length ?? 0) > SHARED_OUTPUT_BYTES
    this.#outcomes[index] = large && !this.together && waiter === undefined ? 'stored' : outcome
    if (waiter === undefined) return
    this.#waiters.delete(index)
    if (this.#waiters.size === 0) this.registry.unpin(this)
    this.#tell(waiter, outcome, index)
  }

  /** The job was over before anybody held this handle. */
  isInStore(index: number): void {
    this.#outcomes[index] = 'stored'
  }

  /** The executor is closing, or has failed: whoever still waits is told. */
  abandon(failure?: Error): void {
    for (const [index, waiter] of this.#waiters) waiter.reject(failure ?? pendingError(this.id(index)))
    this.#waiters.clear()
  }

  #tell(waiter: Waiter, outcome: Outcome, index: number): void {
    settleWaiter(waiter, outcome, () => this.id(index))
  }
}

function pendingError(id: string): MillraceError {
  return new MillraceError(
    'MILLRACE_RESULT_PENDING',
    `The executor closed before job ${id} was over. The job lives on: open the store again, and ask executor.job(id).result().`,
  )
}

/** Resolves with the output, or rejects with what stands for the outcome. */
function settleWaiter(waiter: Waiter, outcome: Outcome, id: () => string): void {
  if (outcome.state !== 'completed') {
    waiter.reject(errorOf(outcome, id(), waiter.name))
    return
  }
  try {
    waiter.resolve(outcome.output === undefined ? undefined : readPayload(outcome.output))
  } catch (error) {
    waiter.reject(error as Error)
  }
}

/** The error that `result()` rejects with. */
function errorOf(outcome: Exclude<Outcome, { state: 'completed' }>, id: string, name: string): MillraceError {
  if (outcome.state === 'cancelled') {
    const reason = outcome.reason === undefined ? '' : `: ${outcome.reason}`
    return new MillraceError('MILLRACE_JOB_CANCELLED', `Job ${id} ("${name}") was cancelled${reason}.`)
  }
  const { error } = outcome
  return new JobFailedError(`Job ${id} ("${name}") failed: ${error.name}: ${error.message}`, id, name, error)
}

export interface ResultSource {
  /** The output of a job that was over, by id, from the store, or when it is over again. Rejects when there is none, or the record was pruned. */
  fromStore(id: string): Promise<unknown>
  /** Throws when the executor is closed. */
  assertOpen(): void
  /** Somebody began to wait, or nobody waits any more. */
  onWaiting(waiting: boolean): void
}

export class ResultRegistry {
  readonly storeMark: number
  readonly #source: ResultSource
  readonly #pages = new Map<number, WeakRef<PageHandles>>()
  /** Jobs that left their page, by number. */
  readonly #moved = new Map<number, { handles: WeakRef<PageHandles>; index: number }>()
  readonly #pinned = new Set<PageHandles>()
  /** Waiters of handles made from an id, by job number. */
  readonly #bySeq = new Map<number, { waiter: Waiter; id: string }>()
  /** Handles that nobody holds any more: their jobs may wait for months, and must not cost memory. */
  readonly #unheld = new FinalizationRegistry<{ readonly firstSeq: number; readonly jobs: number }>((page) => this.#forget(page))

  constructor(storeMark: number, source: ResultSource) {
    this.storeMark = storeMark
    this.#source = source
  }

  get waiting(): boolean {
    return this.#pinned.size > 0 || this.#bySeq.size > 0
  }

  assertOpen(): void {
    this.#source.assertOpen()
  }

  async fromStore(id: string): Promise<unknown> {
    return await this.#source.fromStore(id)
  }

  /** A page with handles, of so many jobs, becomes part of a commit. */
  register(firstSeq: number, jobs: number, handles: PageHandles): void {
    handles.firstSeq = firstSeq
    this.#pages.set(firstSeq, new WeakRef(handles))
    this.#unheld.register(handles, { firstSeq, jobs })
  }

  /** The handles of a job that was enqueued alone in its page: those that somebody holds, or new ones. */
  handlesOfOne({ seq, queueId, rank }: JobAddress, at: 'page' | 'solo' | 'over'): PageHandles {
    const known = at === 'page' ? this.#pages.get(seq) : at === 'solo' ? this.#moved.get(seq)?.handles : undefined
    const held = known?.deref()
    if (held !== undefined) return held
    const handles = new PageHandles(this, queueId, rank, false)
    handles.firstSeq = seq
    if (at !== 'over') this.#unheld.register(handles, { firstSeq: seq, jobs: 1 })
    if (at === 'page') this.#pages.set(seq, new WeakRef(handles))
    else if (at === 'solo') this.#moved.set(seq, { handles: new WeakRef(handles), index: 0 })
    else handles.isInStore(0)
    return handles
  }

  pin(handles: PageHandles): void {
    const before = this.waiting
    this.#pinned.add(handles)
    if (!before) this.#source.onWaiting(true)
  }

  unpin(handles: PageHandles): void {
    this.#pinned.delete(handles)
    if (!this.waiting) this.#source.onWaiting(false)
  }

  /** The promise of a job's outcome, by number; the caller has made sure that it is not over. */
  async wait(seq: number, id: string, name: string): Promise<unknown> {
    let entry = this.#bySeq.get(seq)
    if (entry === undefined) {
      const before = this.waiting
      entry = { waiter: new Waiter(name), id }
      this.#bySeq.set(seq, entry)
      if (!before) this.#source.onWaiting(true)
    }
    return await entry.waiter.promise
  }

  /** The handles of a page, if anybody holds one. */
  handlesOf(page: PageRef): PageHandles | undefined {
    if (page.header.solo) return undefined
    return this.#pages.get(page.header.firstSeq)?.deref()
  }

  /** The place of a job with a page of its own, if anybody holds its handle. */
  movedHandle(seq: number): { handles: PageHandles; index: number } | undefined {
    const moved = this.#moved.get(seq)
    const handles = moved?.handles.deref()
    if (moved === undefined || handles === undefined) return undefined
    return { handles, index: moved.index }
  }

  /** Whether anybody waits by number, so that each outcome has to be looked up. */
  get waitsByNumber(): boolean {
    return this.#bySeq.size > 0
  }

  /** A job leaves its page. */
  moved(page: PageRef, index: number): void {
    const handles = this.handlesOf(page)
    if (handles !== undefined) this.#moved.set(page.seqOf(index), { handles: new WeakRef(handles), index })
  }

  /** Tells the outcome of a job, after its commit. */
  settle(seq: number, target: { handles: PageHandles; index: number } | undefined, outcome: Outcome): void {
    target?.handles.settle(target.index, outcome)
    this.settleBySeq(seq, outcome)
    if (this.#moved.size > 0) this.#moved.delete(seq)
  }

  settleBySeq(seq: number, outcome: Outcome): void {
    if (this.#bySeq.size === 0) return
    const entry = this.#bySeq.get(seq)
    if (entry === undefined) return
    this.#bySeq.delete(seq)
    if (!this.waiting) this.#source.onWaiting(false)
    settleWaiter(entry.waiter, outcome, () => entry.id)
  }

  /** No job of the page is left in it. */
  pageOver(page: PageRef): void {
    if (!page.header.solo) this.#pages.delete(page.header.firstSeq)
  }

  /** Of a job whose unique key led to it there may be other handles by now, which somebody holds. */
  #forget({ firstSeq, jobs }: { readonly firstSeq: number; readonly jobs: number }): void {
    if (this.#pages.get(firstSeq)?.deref() === undefined) this.#pages.delete(firstSeq)
    for (let seq = firstSeq; this.#moved.size > 0 && seq < firstSeq + jobs; seq++) {
      if (this.#moved.get(seq)?.handles.deref() === undefined) this.#moved.delete(seq)
    }
  }

  /** The executor is closing, or has failed. */
  abandon(failure?: Error): void {
    for (const handles of this.#pinned) handles.abandon(failure)
    this.#pinned.clear()
    for (const { waiter, id } of this.#bySeq.values()) waiter.reject(failure ?? pendingError(id))
    this.#bySeq.clear()
    this.#source.onWaiting(false)
  }
}
