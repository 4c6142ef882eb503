/** A seeded sequence of numbers from 0 up to 1 (mulberry32): the same arrivals in every round and for every contestant. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Instants of random arrivals (a Poisson process) in ms, `perSecond` of them in each second, until `durationMs`. */
export function arrivals(perSecond: number, durationMs: number, random: () => number): number[] {
  const instants: number[] = []
  let at = 0
  for (;;) {
    at += (-Math.log(1 - random()) * 1000) / perSecond
    if (at >= durationMs) return instants
    instants.push(at)
  }
}
