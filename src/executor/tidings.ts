/** What a commit makes true and is to be told once it is durable: results first to whoever awaits them, then events. */
import { PAGE_HEADER_BYTES, readEntry } from '../codec/page.js'
import { formatJobId } from '../job/job-id.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'
import type { EventHub, EventJob, EventName, ExecutorEvents } from './events.js'
import type { Outcome, PageHandles, ResultRegistry } from './results.js'

export class Tidings {
  readonly #store: JobStore
  readonly #results: ResultRegistry
  readonly #events: EventHub
  readonly #after: (() => void)[] = []

  constructor(store: JobStore, results: ResultRegistry, events: EventHub) {
    this.#store = store
    this.#results = results
    this.#events = events
  }

  /** Something to do once the commit is durable, in this order. */
  add(callback: () => void): void {
    this.#after.push(callback)
  }

  /** Tells the outcome of a job to the handles that somebody holds of it. */
  outcome(page: PageRef, index: number, outcome: Outcome): void {
    const seq = page.seqOf(index)
    const handles = this.#results.handlesOf(page)
    const target: { handles: PageHandles; index: number } | undefined =
      handles === undefined ? this.#results.movedHandle(seq) : { handles, index }
    this.#after.push(() => this.#results.settle(seq, target, outcome))
  }

  /** The jobs of a page were stored. */
  enqueued(page: PageRef): void {
    if (!this.#events.has('enqueued')) return
    const { data, header } = page
    const runAt = header.runAt === 0 ? undefined : header.runAt
    let offset = PAGE_HEADER_BYTES
    for (let index = 0; index < header.count; index++) {
      const { definitionId, end } = readEntry(data, offset)
      this.event('enqueued', page, index, definitionId, () => ({ runAt }))
      offset = end
    }
  }

  /** An event about a job, if anybody listens. */
  event<Name extends JobEventName>(
    name: Name,
    page: PageRef,
    index: number,
    definitionId: number,
    rest: () => Omit<ExecutorEvents[Name], 'job'>,
  ): void {
    if (!this.#events.has(name)) return
    const event = { job: this.eventJob(page, index, definitionId), ...rest() } as ExecutorEvents[Name]
    this.#after.push(() => this.#events.emit(name, event))
  }

  problem(error: Error, page: PageRef, index: number): void {
    const jobId = formatJobId(page.seqOf(index), page.queueId, page.rank, this.#store.mark)
    this.#after.push(() => this.#events.emit('error', { error, jobId }))
  }

  eventJob(page: PageRef, index: number, definitionId: number): EventJob {
    return {
      id: formatJobId(page.seqOf(index), page.queueId, page.rank, this.#store.mark),
      name: this.#store.definitionName(definitionId),
      queue: this.#store.queueName(page.queueId),
    }
  }

  tell(): void {
    for (const callback of this.#after) callback()
  }
}

type JobEventName = {
  [Name in EventName]: ExecutorEvents[Name] extends { readonly job: EventJob } ? Name : never
}[EventName]
