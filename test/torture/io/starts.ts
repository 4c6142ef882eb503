/** The stores that scenarios begin with, made once for many. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { LOCK_FILE } from '../../../src/store/lmdb/directory-lock.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { Line } from '../../fixtures/crash/journal-line.js'
import type { Chore, Kept, Scenario, Start } from '../../fixtures/io/scenario.js'
import { CHORES, STARTS } from '../../fixtures/io/scenario.js'

export type Kind = Start | Chore
export const KINDS: readonly Kind[] = [...STARTS, ...CHORES]

export interface MadeStart {
  readonly directory: string
  /** What the process that made it told. */
  readonly lines: readonly Line[]
}

export interface OldStart {
  readonly directory: string
  readonly kept: readonly Kept[]
  /** What becomes of its jobs when nothing fails. */
  readonly expected: readonly Kept[] | undefined
}

export interface Starts {
  /** Of all scenarios that begin with one of these. */
  readonly seed: number
  readonly killed: MadeStart
  readonly finished: MadeStart
  readonly chores: MadeStart
  readonly old: OldStart
}

/** A scenario of a kind, with an order from its beginning on. */
export function scenarioOf(kind: Kind, directory: string, seed: number, order: string): Scenario {
  const chore = CHORES.find((name) => name === kind)
  const start = STARTS.find((name) => name === kind)
  return { directory, seed, order, ...(chore !== undefined && { chore }), ...(start !== undefined && { start, from: 'opening' }) }
}

export function kindOf({ chore, start = 'new' }: Scenario): Kind {
  return chore ?? start
}

/** Puts the store that a scenario begins with into its directory. */
export function placeStart({ directory, start = 'new', chore }: Scenario, starts: Starts | undefined): void {
  if (chore === undefined && start === 'new') return
  if (starts === undefined) throw new Error('a scenario begins with a store that nobody has made')
  const from = starts[chore !== undefined ? 'chores' : (start as Exclude<Start, 'new'>)].directory
  mkdirSync(directory, { recursive: true })
  for (const name of [DATA_FILE, LOCK_FILE])
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(directory, name))
}
