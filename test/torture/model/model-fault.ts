/** What a fault of the model rung is: where it is planted, in which histories it is looked for, and what shows it. */
import type { StoreKind } from '../../support/executor.js'
import type { Extent } from './history.js'
import type { WorldOptions } from './world.js'

export type Plant = <Value>(run: () => Promise<Value>) => Promise<Value>

export type Spoils = Pick<WorldOptions, 'spoilEngine' | 'spoilExecutor' | 'losesLatest' | 'hangMs'>

export interface ModelFault extends Spoils {
  /** Completes "a store that …" or "an executor that …". */
  readonly name: string
  /** What the model says of it. */
  readonly seenBy: RegExp
  /** In which histories it is looked for. @defaultValue 'all' */
  readonly extent?: Extent
  /** @defaultValue 'memory' */
  readonly store?: StoreKind
  /** Puts methods in the place of the library's own while something runs. */
  readonly plant?: Plant
}
