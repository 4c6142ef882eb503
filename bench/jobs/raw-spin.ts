import { monotonicMs } from '../support/monotonic.js'

/** What raw Piscina runs: an endless loop, or nothing. Tells when it began. */
export default function rawSpin(endless: boolean): number {
  while (endless);
  return monotonicMs()
}
