/** Asks a running job to stop, and ends its thread if it does not within `abortGrace`. */
import type { Clock } from '../base/clock.js'
import type { Batch, Stop, TerminationCause } from '../dispatcher/batch.js'
import type { ThreadSlot } from '../dispatcher/thread-slot.js'
import type { Turns } from './turns.js'

export interface StopRunOptions {
  readonly turns: Turns
  readonly clock: Clock
  readonly abortGraceMs: number
}

/** Where a running job is. */
export interface Running {
  readonly batch: Batch
  readonly slot: ThreadSlot
  readonly index: number
  readonly seq: number
}

/** Told when the run has really ended and what became of the job is durable: what it was ended as, if that is why it ended. */
export interface StopAnswer {
  resolve(state: Stop['state'] | undefined): void
  reject(error: Error): void
}

/** What is to become of the job is in the batch's `stops` or `interrupted`. */
export function stopRun(
  { batch, slot, index, seq }: Running,
  cause: TerminationCause,
  reason: string,
  answer: StopAnswer,
  { turns, clock, abortGraceMs }: StopRunOptions,
): void {
  slot.abort(batch, index, reason)
  const timer = clock.after(abortGraceMs, () => {
    if (batch.end === undefined && batch.running === index) slot.terminate(cause, batch, index)
  })
  timer.setRef(true)
  turns.awaitEnd({
    batch,
    index,
    seq,
    resolve: (state) => {
      timer.cancel()
      answer.resolve(state)
    },
    reject: (error) => {
      timer.cancel()
      answer.reject(error)
    },
  })
}
