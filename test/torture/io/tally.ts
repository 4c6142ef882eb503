/** Counts what became of the scenarios of a run. */
import type { RungFigures } from '../rung.js'
import type { Played } from './judge.js'
import { stepOf } from './scenarios.js'
import type { Kind } from './starts.js'
import { KINDS, kindOf } from './starts.js'

/** In the figures, and with what is spoiled in it. */
const NAMES: Readonly<Record<Kind, string>> = {
  new: 'a new store',
  killed: 'one that a kill left',
  finished: 'one to be pruned',
  old: 'one of format 1',
  backup: 'backup',
  compact: 'compact',
  repair: 'repair',
}

export class Tally {
  readonly #played: Played[] = []
  readonly #violations: string[] = []
  /** By kind: writes and syncs when nothing fails, and which of them were spoiled. */
  readonly #steps = new Map<Kind, { all: number; readonly reached: Set<number> }>()

  expect(steps: Readonly<Record<Kind, number>>): void {
    for (const kind of KINDS) {
      const known = this.#steps.get(kind)
      if (known === undefined) this.#steps.set(kind, { all: steps[kind], reached: new Set() })
      else known.all = Math.max(known.all, steps[kind])
    }
  }

  add(played: readonly Played[], others: readonly string[] = []): void {
    this.#played.push(...played)
    this.#violations.push(...others, ...played.flatMap(({ violations }) => violations))
    for (const { scenario, faulted } of played) if (faulted) this.#steps.get(kindOf(scenario))?.reached.add(stepOf(scenario))
  }

  get scenarios(): number {
    return this.#played.length
  }

  get violations(): readonly string[] {
    return this.#violations
  }

  get figures(): RungFigures {
    const reached = KINDS.map((kind) => {
      const { all = 0, reached = new Set<number>() } = this.#steps.get(kind) ?? {}
      return [`spoiled, ${NAMES[kind]}`, `${[...reached].filter((step) => step <= all).length} of ${all}`] as const
    })
    return {
      scenarios: this.#played.length,
      ...Object.fromEntries(reached),
      'faults reached': this.#sum(({ faulted }) => faulted),
      'executors that failed': this.#sum(({ failure }) => failure !== undefined),
      'stores that did not open': this.#sum(({ unopened }) => unopened !== undefined),
      'chores that failed': this.#sum(({ chore }) => chore?.done === false),
      'full disks tried': this.#sum(({ scenario }) => scenario.filler !== undefined),
      acknowledged: this.#played.reduce((total, { acknowledged }) => total + acknowledged, 0),
      'calls refused': this.#played.reduce((total, { refused }) => total + refused, 0),
      'messages too long for lmdb-js': this.#sum(({ overrun }) => overrun),
      'deaths in lmdb-js': this.#sum(({ died }) => died),
      'slow syncs': this.#played.find(({ loop, scenario }) => loop !== undefined && isSlow(scenario.order))?.syncs ?? 0,
      'loop late with slow syncs, ms': (this.#played.find(({ scenario }) => isSlow(scenario.order))?.loop?.lateMs ?? 0).toFixed(
        1,
      ),
    }
  }

  #sum(is: (one: Played) => boolean): number {
    return this.#played.filter(is).length
  }
}

function isSlow(order: string | undefined): boolean {
  return order?.startsWith('slow') === true
}
