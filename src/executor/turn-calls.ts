/** What is asked of a turn from outside. Types only. */
import type { Batch } from '../dispatcher/batch.js'
import type { WriteBatch } from '../store/engine.js'
import type { Settlement } from './settlement.js'

/** Something to be done while no commit is under way. Its writes join the next commit. */
export interface TurnRequest {
  run(settlement: Settlement, writes: WriteBatch, now: number): void
  /** The commit has failed, or there is none any more. Harmless when the answer was given before. */
  reject(error: Error): void
}

/** A look at the state as of the last commit. */
export interface TurnRead {
  run(): void
  reject(error: Error): void
}

/** A cancellation of a running job, whose answer comes with the end of its run. */
export interface PendingCancel {
  readonly batch: Batch
  readonly index: number
  readonly seq: number
  readonly resolve: (cancelled: boolean) => void
  readonly reject: (error: Error) => void
}
