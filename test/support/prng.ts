/** A seeded generator for tests: the same seed gives the same history. Mulberry32; not for statistics. */
export interface Prng {
  /** From 0, inclusive, to 1, exclusive. */
  next(): number
  /** A whole number from 0, inclusive, to `bound`, exclusive. */
  below(bound: number): number
  pick<Item>(items: readonly Item[]): Item
  bytes(length: number): Buffer
}

export function createPrng(seed: number): Prng {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    pick: (items) => items[below(items.length)] as (typeof items)[number],
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  }
}

/** The seed of this run: given as MILLRACE_SEED to repeat one (CI does, to judge the change and not the dice), fresh otherwise. */
export function seedOfRun(): number {
  const given = process.env['MILLRACE_SEED']
  return given === undefined ? Math.floor(performance.timeOrigin * 1000) % 2 ** 32 : Number(given)
}
