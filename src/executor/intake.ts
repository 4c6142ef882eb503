/**
 * The door: checks and encodes what is enqueued, and gathers it until the next commit.
 *
 * Jobs go straight from the caller's value into the bytes of a page, once. Everything enqueued between two commits becomes one
 * commit; an `enqueueMany` fills pages of its own, which join the gathering only when its last input was fine. A job with a unique
 * key goes in a page of its own, about which the turn decides.
 */
import { assert } from '../base/assert.js'
import type { InputIssue } from '../base/errors.js'
import { MillraceError } from '../base/errors.js'
import { BACKPRESSURE_BYTES, BACKPRESSURE_CALLS, COMMIT_BYTES, INLINE_PAYLOAD_BYTES } from '../base/limits.js'
import { rankOf } from '../codec/keys.js'
import { laneOf } from '../codec/limit-lane.js'
import { ENTRY_EXTERNAL, ENTRY_SAME, PageBuilder } from '../codec/page.js'
import { isSamePlain, writePayload } from '../codec/payload.js'
import { uniqueHash } from '../codec/unique-entry.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { toInputIssues } from '../job/input-issues.js'
import type { CompiledEnqueueOptions } from '../options/enqueue-options.js'
import type { JobOverrides } from '../job/job-overrides.js'
import type { ResolvedEnqueue } from '../options/resolve-enqueue.js'
import { resolveEnqueue } from '../options/resolve-enqueue.js'
import type { JobStore } from '../store/job-store.js'
import { accept, atIndex, MAX_ISSUES, refusal, refuseAsyncChange, runSchema, unknownQueue } from './check-input.js'
import { JobHandle } from './job-handle.js'
import type { ResultRegistry } from './results.js'
import { PageHandles } from './results.js'
import { UniqueCall, type UniqueTicket } from './unique-call.js'

/** A page ready to be stored. */
export interface GatheredPage {
  readonly queueId: number
  readonly rank: number
  /** Of the limit key; 0 for jobs without one. */
  readonly lane: number
  /** Epoch ms; 0 for at once. */
  readonly runAt: number
  readonly builder: PageBuilder
  readonly handles: PageHandles
  readonly externals: readonly External[]
  /** Of the one job in it that has a unique key: it is stored only if nobody else holds the key. */
  readonly ticket?: UniqueTicket
}

interface External {
  readonly index: number
  readonly bytes: Buffer
}

/** A page being filled. */
interface OpenPage {
  readonly queueId: number
  readonly rank: number
  readonly lane: number
  readonly runAt: number
  readonly builder: PageBuilder
  readonly handles: PageHandles
  readonly externals: External[]
  ticket?: UniqueTicket
}

/** What was gathered for one commit. */
export interface Gathered {
  readonly pages: readonly GatheredPage[]
  /** Some of the pages have a ticket. */
  readonly hasTickets: boolean
  resolve(): void
  reject(error: Error): void
}

export interface IntakeOptions {
  readonly store: JobStore
  readonly results: ResultRegistry
  readonly payloadBytes: number
  readonly queues: ReadonlyMap<string, unknown>
  readonly now: () => number
  /** Something waits to be committed. */
  readonly onGathered: () => void
  /** Throws when nothing may be enqueued any more. */
  readonly assertOpen: () => void
  /** Lets the event loop turn. */
  readonly yieldToLoop: () => Promise<void>
}

/** How many inputs of an `enqueueMany` are checked and encoded before the event loop turns: about two milliseconds. */
const MANY_CHUNK = 1000

class Gathering {
  readonly pages: GatheredPage[] = []
  hasTickets = false
  bytes = 0
  readonly promise: Promise<void>
  resolve!: () => void
  reject!: (error: Error) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Every caller awaits it; when there is none left, nobody needs to hear.
    this.promise.catch(() => undefined)
  }
}

export class Intake {
  readonly #options: IntakeOptions
  /** What the coming commits will store, the next one first. Never empty; the last one is still being filled. */
  #gatherings: Gathering[] = [new Gathering()]
  #open = new Map<string, OpenPage>()
  /** Encoded and not yet durable. */
  #pendingBytes = 0
  /** Bytes of the job written last. */
  #written = 0
  /** Calls that wait for the bytes to become fewer, oldest first; those before `#admitted` wait no longer. */
  #held: (() => void)[] = []
  #admitted = 0

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  get hasPending(): boolean {
    return this.#gatherings.length > 1 || this.#filling.pages.length > 0 || this.#open.size > 0
  }

  hasPendingOf(queueId: number): boolean {
    const isOf = (page: { readonly queueId: number }): boolean => page.queueId === queueId
    return this.#gatherings.some(({ pages }) => pages.some(isOf)) || [...this.#open.values()].some(isOf)
  }

  async enqueue(
    definition: CompiledDefinition,
    input: unknown,
    options: CompiledEnqueueOptions | undefined,
  ): Promise<JobHandle<unknown>> {
    this.#options.assertOpen()
    if (this.#isCrowded) await this.#hold()
    let gathering: Gathering
    let handle: JobHandle<unknown>
    let call: UniqueCall | undefined
    try {
      let same = true
      let parsed = input
      if (definition.schema !== undefined) {
        const checked = runSchema(definition.schema, input)
        const result = checked instanceof Promise ? await checked : checked
        parsed = accept(result, definition.name)
        same = parsed === input || isSamePlain(input, parsed)
        if (checked instanceof Promise) {
          this.#options.assertOpen()
          if (!same) refuseAsyncChange(definition)
        }
      }
      const resolved = this.#resolve(definition, parsed, options)
      if (resolved.unique !== undefined) call = new UniqueCall()
      gathering = this.#filling
      handle = this.#write(this.#open, gathering.pages, definition, resolved, input, same, call, false)
      gathering.hasTickets ||= call !== undefined
      this.#count(gathering, this.#written)
    } finally {
      this.#admit()
    }
    this.#options.onGathered()
    await gathering.promise
    return call === undefined ? handle : (call.handles()[0] ?? handle)
  }

  async enqueueMany(
    definition: CompiledDefinition,
    inputs: Iterable<unknown>,
    options: CompiledEnqueueOptions | undefined,
  ): Promise<JobHandle<unknown>[]> {
    this.#options.assertOpen()
    if (this.#isCrowded) await this.#hold()
    let gathering: Gathering
    const open = new Map<string, OpenPage>()
    const pages: GatheredPage[] = []
    const handles: JobHandle<unknown>[] = []
    let call: UniqueCall | undefined
    try {
      const refused: InputIssue[] = []
      let bytes = 0
      let index = 0
      for (const input of inputs) {
        if (index > 0 && index % MANY_CHUNK === 0) {
          await this.#options.yieldToLoop()
          this.#options.assertOpen()
        }
        let same = true
        let parsed = input
        if (definition.schema !== undefined) {
          const checked = runSchema(definition.schema, input)
          const result = checked instanceof Promise ? await checked : checked
          if (result.issues !== undefined) {
            const at = index++
            refused.push(...toInputIssues(result.issues).map(({ message, path }) => ({ message, path: [at, ...path] })))
            if (refused.length >= MAX_ISSUES) break
            continue
          }
          parsed = result.value
          same = parsed === input || isSamePlain(input, parsed)
          if (checked instanceof Promise && !same) refuseAsyncChange(definition)
        }
        if (refused.length === 0) {
          try {
            const resolved = this.#resolve(definition, parsed, options)
            if (resolved.unique !== undefined) call ??= new UniqueCall()
            handles.push(this.#write(open, pages, definition, resolved, input, same, call, true))
          } catch (error) {
            throw atIndex(error, index)
          }
          bytes += this.#written
        }
        index++
      }
      if (refused.length > 0) throw refusal(definition.name, refused)
      this.#options.assertOpen()
      if (handles.length === 0) return handles
      // Single enqueues of this turn came first: seal their pages, so that order holds across both.
      gathering = this.#filling
      this.#seal(this.#open, gathering.pages)
      this.#seal(open, pages)
      for (const page of pages) gathering.pages.push(page)
      gathering.hasTickets ||= call !== undefined
      this.#count(gathering, bytes)
    } finally {
      this.#admit()
    }
    this.#options.onGathered()
    await gathering.promise
    return call === undefined ? handles : call.handles()
  }

  /** Hands over what was gathered first, for the commit being put together. */
  take(): Gathered {
    if (this.#gatherings.length === 1) this.#closeFilling()
    const [first = new Gathering(), ...rest] = this.#gatherings
    this.#gatherings = rest
    return first
  }

  /** What was taken is durable, or refused: its bytes are no longer pending. */
  release(bytes: number): void {
    this.#pendingBytes = Math.max(0, this.#pendingBytes - bytes)
    this.#admit()
  }

  /** Rejects everything that waits. */
  fail(error: Error): void {
    while (this.hasPending) this.take().reject(error)
    // The held ones find the executor closed when they go on.
    this.#pendingBytes = 0
    for (const resolve of this.#held.splice(0).slice(this.#admitted)) resolve()
    this.#admitted = 0
  }

  get #filling(): Gathering {
    const last = this.#gatherings.at(-1)
    assert(last !== undefined, 'something is always being filled')
    return last
  }

  /** One commit takes so much and no more: a larger one would hold up the outcomes and claims that share it. */
  #count(gathering: Gathering, bytes: number): void {
    gathering.bytes += bytes
    this.#pendingBytes += bytes
    if (gathering.bytes >= COMMIT_BYTES) this.#closeFilling()
  }

  #closeFilling(): void {
    this.#seal(this.#open, this.#filling.pages)
    this.#gatherings.push(new Gathering())
  }

  /** Who comes now has to wait, if only behind those who wait already. */
  get #isCrowded(): boolean {
    return this.#pendingBytes > BACKPRESSURE_BYTES || this.#held.length > 0
  }

  /** Lets in the call that has waited longest, which lets in the next one when its own bytes are counted. */
  #admit(): void {
    if (this.#pendingBytes > BACKPRESSURE_BYTES || this.#held.length === 0) return
    const resolve = this.#held[this.#admitted++]
    if (this.#admitted === this.#held.length) {
      this.#held = []
      this.#admitted = 0
    }
    resolve?.()
  }

  async #hold(): Promise<void> {
    if (this.#held.length - this.#admitted >= BACKPRESSURE_CALLS) {
      throw new MillraceError(
        'MILLRACE_BACKPRESSURE',
        `${BACKPRESSURE_CALLS} calls of enqueue wait for ${Math.round(this.#pendingBytes / 2 ** 20)} MB of earlier ones to reach the disk. Await enqueue, or use enqueueMany: awaiting slows the producer down to the disk's pace.`,
      )
    }
    await new Promise<void>((resolve) => this.#held.push(resolve))
    try {
      this.#options.assertOpen()
    } catch (error) {
      this.#admit()
      throw error
    }
  }

  #resolve(definition: CompiledDefinition, input: unknown, options: CompiledEnqueueOptions | undefined): ResolvedEnqueue {
    const resolved = resolveEnqueue(definition, input, options, this.#options.now())
    const { queues } = this.#options
    if (!queues.has(resolved.queue)) throw unknownQueue(definition.name, resolved.queue, [...queues.keys()])
    return resolved
  }

  /** Encodes a job into a page of its lane; the jobs of a page have one limit. Nothing has changed when it throws. */
  #write(
    open: Map<string, OpenPage>,
    sealed: GatheredPage[],
    definition: CompiledDefinition,
    resolved: ResolvedEnqueue,
    input: unknown,
    same: boolean,
    call: UniqueCall | undefined,
    together: boolean,
  ): JobHandle<unknown> {
    const { store, results, payloadBytes } = this.#options
    const queueId = store.queueId(resolved.queue)
    const rank = rankOf(resolved.priority)
    const runAt = resolved.runAt ?? 0
    const { overrides } = resolved
    const limit = overrides?.limitKey === undefined ? '' : limitName(overrides)
    const place = `${queueId}.${rank}.${runAt}.${together ? definition.name : ''}${limit}`
    let page = open.get(place)
    if (page === undefined || page.builder.isFull || call !== undefined) {
      if (page !== undefined) sealed.push(page)
      page = {
        queueId,
        rank,
        lane: overrides?.limitKey === undefined ? 0 : laneOf(overrides.limitKey),
        runAt,
        builder: new PageBuilder(),
        handles: new PageHandles(results, queueId, rank, together),
        externals: [],
      }
      open.set(place, page)
    }
    const { builder } = page
    builder.begin(store.definitionId(definition.name), same ? ENTRY_SAME : 0, overrides)
    const { writer } = builder
    const from = writer.position
    try {
      writePayload(writer, input, payloadBytes, 'input')
    } catch (error) {
      builder.abandon()
      if (builder.count === 0) open.delete(place)
      throw error
    }
    const index = builder.count
    if (writer.position - from > INLINE_PAYLOAD_BYTES) {
      page.externals.push({ index, bytes: Buffer.from(writer.buffer.subarray(from, writer.position)) })
      this.#written = writer.position - from
      writer.position = from
      writer.u32(this.#written)
      builder.flag(ENTRY_EXTERNAL)
    } else {
      this.#written = builder.entryBytes
    }
    builder.end()
    const handle = new JobHandle(page.handles, index, definition.name, true)
    if (call === undefined || resolved.unique === undefined) return handle
    const hash = uniqueHash(definition.name, resolved.unique.key)
    page.ticket = call.add({ hash, unique: resolved.unique, bytes: this.#written, own: handle })
    sealed.push(page)
    open.delete(place)
    return handle
  }

  #seal(open: Map<string, OpenPage>, into: GatheredPage[]): void {
    if (open.size === 0) return
    for (const page of open.values()) if (page.builder.count > 0) into.push(page)
    open.clear()
  }
}

/** What makes jobs with limit keys share a page: the key, and the same numbers. */
function limitName({ limitKey, limitMax, limitRate }: JobOverrides): string {
  return `\n${limitKey}\n${limitMax}.${limitRate?.max}.${limitRate?.perMs}`
}
