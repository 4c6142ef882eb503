/** What is asked of a turn from outside. Types only. */
import type { Batch, Stop } from '../dispatcher/batch.js'
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

/** What waits for the end of a run. */
export interface PendingEnd {
  readonly batch: Batch
  readonly index: number
  readonly seq: number
  /** Told what the job was ended as because somebody asked for it, if it was. */
  readonly resolve: (state: Stop['state'] | undefined) => void
  readonly reject: (error: Error) => void
}
