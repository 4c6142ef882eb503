/** Faults that the model must see: in the store, and between the callers and the executor. */
import type { WorldOptions } from './world.js'

interface ModelFault extends Pick<WorldOptions, 'spoilEngine' | 'spoilExecutor'> {
  readonly name: string
}

export const FAULTS: readonly ModelFault[] = []
