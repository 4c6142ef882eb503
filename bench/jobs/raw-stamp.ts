import { compute } from '../support/compute.js'
import { monotonicMs } from '../support/monotonic.js'
import type { StampInput } from './stamp.js'

/** What raw Piscina runs: the same as the job `stamp`. */
export default function rawStamp({ iterations }: StampInput): number {
  const startedMs = monotonicMs()
  compute(iterations)
  return startedMs
}
