/** What the process that works tells the one that watches it: a line of JSON for each step it makes, and none when it makes none. */
import { writeSync } from 'node:fs'
import type { Sample } from './samples.js'

/** Where the watcher listens. */
export const LINES_FD = 3

export type Line =
  /** Where it is from here on; completes "it hung in …". */
  | { readonly is: 'at'; readonly stage: string }
  /** Jobs have come to their end. Told now and then, and only then. */
  | { readonly is: 'ended' }
  | { readonly is: 'violation'; readonly text: string }
  | { readonly is: 'sample'; readonly sample: Sample }
  /** The load is over, and everything closed. */
  | { readonly is: 'done'; readonly figures: Readonly<Record<string, number>> }

export function tell(line: Line): void {
  writeSync(LINES_FD, `${JSON.stringify(line)}\n`)
}
