import { compute } from '../support/compute.js'

/** What raw Piscina runs: the same arithmetic. Tells how long it took, in ms. */
export default function rawArithmetic(iterations: number): number {
  const began = performance.now()
  compute(iterations)
  return performance.now() - began
}
