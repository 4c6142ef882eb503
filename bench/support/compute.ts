/** Arithmetic that nothing can shorten: every step needs the one before. Takes the same time for the same count on an idle core. */
export function compute(iterations: number): number {
  let state = 0x2545f491
  for (let step = 0; step < iterations; step++) state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + step) | 0
  return state
}
