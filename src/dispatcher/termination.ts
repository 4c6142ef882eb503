/** What was asked of a worker when it was terminated, and what its end makes of the batches that it held. */
import type { Batch, TerminationCause } from './batch.js'

export interface Termination {
  readonly cause: TerminationCause
  readonly batch: Batch | undefined
  /** The job for whose sake it was, by index in that batch. */
  readonly target: number | undefined
}

/** The worker is gone. Without a termination nobody asked for it. */
export function endBatches(
  batches: readonly Batch[],
  termination: Termination | undefined,
  exitCode: number,
  error: Error | undefined,
): void {
  for (const batch of batches) {
    const target = termination?.batch === batch ? termination.target : undefined
    // No worker can begin any more of it, wherever its task may still lie.
    batch.control.steal()
    batch.end = { kind: 'died', cause: termination?.cause, target, exitCode, error }
  }
}
