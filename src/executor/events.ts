/**
 * What an executor tells of its jobs. Events follow the commit that made them true; a listener that throws breaks nothing.
 */
import type { ErrorRecord } from '../base/errors.js'
import type { MemoryAction } from '../maintenance/memory-watch.js'
import type { LogLevel } from '../protocol/messages.js'

/** The job an event is about. */
export interface EventJob {
  readonly id: string
  /** The definition's name. */
  readonly name: string
  readonly queue: string
}

/** Event names and what listeners are called with. */
export interface ExecutorEvents {
  /** A job was stored. */
  enqueued: { readonly job: EventJob; readonly runAt: number | undefined }
  /** A thread began an attempt. Not preceded by a commit of its own: the claim was durable before. */
  started: { readonly job: EventJob; readonly attempt: number; readonly threadId: number; readonly at: number }
  /** A handler called `ctx.progress()`. Not stored. */
  progress: { readonly job: EventJob; readonly fraction: number; readonly message: string | undefined }
  /** A handler called `ctx.log`. Not stored. Without a listener, warnings and errors go to stderr. */
  log: {
    readonly jobId: string
    readonly name: string
    readonly level: LogLevel
    readonly message: string
    readonly data: unknown
  }
  completed: { readonly job: EventJob; readonly attempt: number; readonly runMs: number }
  /** An attempt failed or timed out. `retried` or `discarded` follows. */
  failed: { readonly job: EventJob; readonly attempt: number; readonly error: ErrorRecord; readonly timedOut: boolean }
  /** The job waits for its next attempt: after a failure, or a snooze. */
  retried: { readonly job: EventJob; readonly runAt: number; readonly snoozed: boolean }
  discarded: { readonly job: EventJob; readonly error: ErrorRecord }
  cancelled: { readonly job: EventJob; readonly reason: string | undefined }
  /** A run was stopped for a reason that is not the job's. It is available again, uncharged. */
  interrupted: { readonly job: EventJob }
  /** At open: the job was in flight when the process died, and is available again. */
  rescued: { readonly id: string; readonly suspect: boolean }
  /** A thread was told to end and does not: native code holds it. */
  stuck: { readonly threadId: number; readonly job: EventJob | undefined }
  /**
   * The process's memory went above `limits.memoryBytes` or came back below it. `paused`: no job is claimed, those that run go on.
   * `recycling`: the thread that holds the most is replaced when it has finished what it has. `slowed`: nothing runs and memory is
   * still above; one thread goes on with a batch at a time. `resumed`: memory is below the limit again, every thread takes jobs.
   */
  memory: {
    readonly action: MemoryAction
    readonly rssBytes: number
    readonly limitBytes: number
    readonly threadId: number | undefined
  }
  /** Something went wrong that no call reports: the store failed, a thread cannot start, an exception nobody caught. */
  error: { readonly error: Error; readonly jobId: string | undefined }
  /** Nothing is available or running any more. */
  idle: Record<string, never>
}

export type EventName = keyof ExecutorEvents

const NAMES: Readonly<Record<EventName, true>> = {
  enqueued: true,
  started: true,
  progress: true,
  log: true,
  completed: true,
  failed: true,
  retried: true,
  discarded: true,
  cancelled: true,
  interrupted: true,
  rescued: true,
  stuck: true,
  memory: true,
  error: true,
  idle: true,
}
export const EVENT_NAMES = Object.keys(NAMES) as readonly EventName[]

export type EventListener<Name extends EventName> = (event: ExecutorEvents[Name]) => void

type Listeners = { [Name in EventName]?: Set<EventListener<Name>> }

export class EventHub {
  readonly #listeners: Listeners = {}

  on<Name extends EventName>(name: Name, listener: EventListener<Name>): void {
    const listeners: Set<EventListener<Name>> | undefined = this.#listeners[name]
    if (listeners === undefined) this.#listeners[name] = new Set([listener]) as Listeners[Name]
    else listeners.add(listener)
  }

  off<Name extends EventName>(name: Name, listener: EventListener<Name>): void {
    this.#listeners[name]?.delete(listener)
  }

  /** Whether anybody listens: events are made only then. */
  has(name: EventName): boolean {
    return (this.#listeners[name]?.size ?? 0) > 0
  }

  emit<Name extends EventName>(name: Name, event: ExecutorEvents[Name]): void {
    const listeners: Set<EventListener<Name>> | undefined = this.#listeners[name]
    if (listeners === undefined) return
    // A copy: a listener that takes itself off and on again would be met for ever.
    for (const listener of Array.from(listeners)) {
      try {
        const returned = listener(event) as unknown
        if (returned instanceof Promise) returned.catch((error: unknown) => warn(name, error))
      } catch (error) {
        warn(name, error)
      }
    }
  }
}

/** Not thrown: the executor is in the middle of its work. Not swallowed either. */
function warn(name: EventName, error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), {
    type: 'MillraceListenerError',
    detail: `a listener of "${name}" threw`,
  })
}
