import { defineJob } from '../../src/index.js'
import { compute } from '../support/compute.js'
import { monotonicMs } from '../support/monotonic.js'

export interface StampInput {
  readonly iterations: number
  /** Makes the payload as large as a usual one. */
  readonly file: string
}

/** Tells when its handler began, on a clock that all threads share; then does its arithmetic. */
export const stamp = defineJob({
  name: 'stamp',
  module: import.meta.url,
  run({ iterations }: StampInput) {
    const startedMs = monotonicMs()
    compute(iterations)
    return startedMs
  },
})

export function stampInput(iterations: number): StampInput {
  return { iterations, file: 'images/somebody/2024/12/photo-00012345.original.jpg' }
}
