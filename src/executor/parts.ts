/** Everything an executor is made of, put together by `openExecutor`. */
import type { Clock } from '../base/clock.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { MemoryWatch } from '../maintenance/memory-watch.js'
import type { Retention } from '../maintenance/retention.js'
import type { CompiledExecutorOptions } from '../options/executor-options.js'
import type { DueTimer } from '../scheduler/due-timer.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { RunTimes } from '../scheduler/run-times.js'
import type { JobStore } from '../store/job-store.js'
import type { Claims } from './claims.js'
import type { EventHub } from './events.js'
import type { Intake } from './intake.js'
import type { QueueControl } from './queue-control.js'
import type { Recurring } from './recurring.js'
import type { Registry } from './registry.js'
import type { ResultRegistry } from './results.js'
import type { Turns } from './turns.js'

export interface ExecutorParts {
  readonly options: CompiledExecutorOptions
  readonly abortGraceMs: number
  readonly clock: Clock
  readonly store: JobStore
  readonly registry: Registry
  readonly retention: Retention
  readonly results: ResultRegistry
  readonly events: EventHub
  readonly intake: Intake
  readonly ready: ReadyQueues
  readonly runTimes: RunTimes
  readonly due: DueTimer
  readonly recurring: Recurring
  readonly dispatcher: Dispatcher
  readonly claims: Claims
  readonly turns: Turns
  readonly queueControl: QueueControl
  /** Undefined without `limits.memoryBytes`. */
  readonly memory: MemoryWatch | undefined
  /** Releases the directory. */
  readonly release: () => void | Promise<void>
  /** Set by the executor. */
  onQuiet: () => void
  /** Set by the executor: the store has failed. */
  onFailure: (error: Error) => void
  /** Set by the executor: throws when no call is taken any more. */
  assertOpen: () => void
}
