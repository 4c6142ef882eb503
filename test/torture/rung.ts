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
  /** Why the rung, or a part of it, could not run here: no compiler, no right to mount. What did not run has not held. */
  readonly skipped?: readonly string[]
}

/** A fault planted on purpose. */
export interface PlantedFault {
  /** Completes the sentence "a store (or thread, or host) that …". */
  readonly name: string
  /** What a violation says that shows this fault. Others, such as a hang on a machine with too much to do, prove nothing. */
  readonly seenBy?: RegExp
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
  /** Figures that a run has to reach: below them too little happened to prove anything. */
  readonly least?: Readonly<Record<string, number>>
  /** What the faults are planted in, with none of them: nothing may be found. */
  readonly control?: (options: RungOptions) => Promise<readonly string[]>
  readonly faults: readonly PlantedFault[]
}

/** The figures of a report that are below the least of its rung, as violations. */
export function tooFew({ least = {} }: Pick<Rung, 'least'>, figures: RungFigures): string[] {
  return Object.entries(least)
    .filter(([name, wanted]) => !(Number(figures[name]) >= wanted))
    .map(
      ([name, wanted]) =>
        `too little happened: ${name} is ${figures[name] ?? 'not told'}, and ${wanted} is the least that proves anything`,
    )
}

/** Of what was found with a fault planted, the first that shows it. */
export function showing({ seenBy }: Pick<PlantedFault, 'seenBy'>, violations: readonly string[]): string | undefined {
  return seenBy === undefined ? violations[0] : violations.find((violation) => seenBy.test(violation))
}
