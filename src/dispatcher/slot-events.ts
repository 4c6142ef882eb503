/** What a thread slot tells of its worker. Types only. */
import type { ThreadToMain } from '../protocol/messages.js'
import type { Batch } from './batch.js'

/** Told of a slot as it happens. */
export interface SlotEvents<Slot> {
  /** Outcomes can be read, jobs have come back, or a batch has ended. */
  news(slot: Slot): void
  message(slot: Slot, message: ThreadToMain): void
  /** The worker does not end although it was told to. It may be left behind and replaced, now or later. */
  stuck(slot: Slot, batch: Batch | undefined): void
  /** A stuck worker has ended after all. `wasReplaced`: it had been left behind, and its batches have their end now. */
  unstuck(wasReplaced: boolean): void
  /** It has ended for good, as `retire` asked for. */
  retired(slot: Slot): void
  /** Workers die while they start. */
  startFailed(exitCode: number, error: Error | undefined, pauseMs: number): void
}
