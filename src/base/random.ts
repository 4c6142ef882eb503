/** The only home of randomness. Everything else is handed a `Random`, so that tests repeat. */
export interface Random {
  /** A number from 0, inclusive, to 1, exclusive. */
  next(): number
}

/** The platform's generator. Not for secrets. */
export const systemRandom: Random = { next: () => Math.random() }
