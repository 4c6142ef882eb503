/**
 * What a rung of the torture ladder is. Each promise has one that tries to break it, and each rung has faults planted on purpose that
 * it must see: a check that cannot fail proves nothing.
 *
 * A rung lies in `torture/<name>/rung.ts` and exports `rung`. Its quick form runs in `npm test` (`torture/<name>/*.test.ts`), its long
 * form by `npm run torture -- <name>`.
 */
export interface RungOptions {
  /** Everything that is random follows from it. */
  readonly seed: number
  /** How long the rung goes on, as nearly as its steps allow; a rung with a fixed amount of work ignores it. */
  readonly minutes: number
  /** Tells how it goes. */
  readonly progress: (line: string) => void
  /** Options of this rung alone, by name. */
  readonly extra?: Readonly<Record<string, string>>
}

/** Figures of a run, in the order they are to be printed. */
export type RungFigures = Readonly<Record<string, string | number>>

export interface RungReport {
  readonly figures: RungFigures
  /** What was found broken, each with what repeats it. Empty: the promise held. */
  readonly violations: readonly string[]
}

/** A fault planted on purpose. */
export interface PlantedFault {
  /** Completes the sentence "a store (or thread, or host) that …". */
  readonly name: string
  /** Runs the rung against it and gives the violations that it reports: none means that the rung is blind to this fault. */
  readonly run: (options: RungOptions) => Promise<readonly string[]>
}

export interface Rung {
  readonly name: string
  /** One line: the promise, and how it is attacked. */
  readonly summary: string
  /** How long `npm run torture -- <name>` takes unless told otherwise. */
  readonly defaultMinutes: number
  readonly run: (options: RungOptions) => Promise<RungReport>
  readonly faults: readonly PlantedFault[]
}
