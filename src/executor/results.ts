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
import { formatJobId } from '../job/job-id.js'
import type { PageRef } from '../store/page-ref.js'

/** How a job ended. */
export type Outcome =
  | { readonly state: 'completed'; readonly output: Buffer | undefined }
  | { readonly state: 'cancelled'; readonly reason: string | undefined }
  | { readonly state: 'discarded'; readonly error: ErrorRecord }

export const COMPLETED_WITHOUT_OUTPUT: Outcome = { state: 'completed', output: undefined }

/** Outputs above this are kept for handles of single enqueues only while somebody awaits them. */
const SHARED_OUTPUT_BYTES = 2048

interface Waiter {
  readonly promise: Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

function newWaiter(): Waiter {
  let resolve!: Waiter['resolve']
  let reject!: Waiter['reject']
  const promise = new Promise<unknown>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
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
  readonly #waiters = new Map<number, { waiter: Waiter; name: string }>()

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
  async result(index: number, name: string): Promise<unknown> {
    const outcome = this.#outcomes[index]
    if (outcome === 'stored') return await this.registry.fromStore(this.id(index))
    if (outcome !== undefined) return unwrap(outcome, this.id(index), name)
    this.registry.assertOpen()
    let entry = this.#waiters.get(index)
    if (entry === undefined) {
      entry = { waiter: newWaiter(), name }
      this.#waiters.set(index, entry)
      this.registry.pin(this)
    }
    return await entry.waiter.promise
  }

  settle(index: number, outcome: Outcome): void {
    const entry = this.#waiters.get(index)
    const large = outcome.state === 'completed' && (outcome.output?.length ?? 0) > SHARED_OUTPUT_BYTES
    this.#outcomes[index] = large && !this.together && entry === undefined ? 'stored' : outcome
    if (entry === undefined) return
    this.#waiters.delete(index)
    if (this.#waiters.size === 0) this.registry.unpin(this)
    settleWaiter(entry.waiter, outcome, this.id(index), entry.name)
  }

  /** The executor is closing, or has failed: whoever still waits is told. */
  abandon(failure?: Error): void {
    for (const [index, { waiter }] of this.#waiters) waiter.reject(failure ?? pendingError(this.id(index)))
    this.#waiters.clear()
  }
}

function pendingError(id: string): MillraceError {
  return new MillraceError(
    'MILLRACE_RESULT_PENDING',
    `The executor closed before job ${id} was over. The job lives on: open the store again, and ask executor.job(id).result().`,
  )
}

function settleWaiter(waiter: Waiter, outcome: Outcome, id: string, name: string): void {
  try {
    waiter.resolve(unwrap(outcome, id, name))
  } catch (error) {
    waiter.reject(error as Error)
  }
}

/** The output, or the error that `result()` rejects with. */
function unwrap(outcome: Outcome, id: string, name: string): unknown {
  switch (outcome.state) {
    case 'completed':
      return outcome.output === undefined ? undefined : readPayload(outcome.output)
    case 'cancelled':
      throw new MillraceError(
        'MILLRACE_JOB_CANCELLED',
        `Job ${id} ("${name}") was cancelled${outcome.reason === undefined ? '' : `: ${outcome.reason}`}.`,
      )
    case 'discarded': {
      const { error } = outcome
      throw new JobFailedError(`Job ${id} ("${name}") failed: ${error.name}: ${error.message}`, id, name, error)
    }
  }
}

export interface ResultSource {
  /** The output of a job that is over, by id, from the store. Rejects when there is none, or the record was pruned. */
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
  readonly #bySeq = new Map<number, { waiter: Waiter; id: string; name: string }>()
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
      entry = { waiter: newWaiter(), id, name }
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
    settleWaiter(entry.waiter, outcome, entry.id, entry.name)
  }

  /** No job of the page is left in it. */
  pageOver(page: PageRef): void {
    if (!page.header.solo) this.#pages.delete(page.header.firstSeq)
  }

  #forget({ firstSeq, jobs }: { readonly firstSeq: number; readonly jobs: number }): void {
    this.#pages.delete(firstSeq)
    for (let seq = firstSeq; this.#moved.size > 0 && seq < firstSeq + jobs; seq++) this.#moved.delete(seq)
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
