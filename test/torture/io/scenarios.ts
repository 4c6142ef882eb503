/** Which writes and syncs fail, and how, in which kinds of scenarios. */
import { join } from 'node:path'

import type { Scenario } from '../../fixtures/io/scenario.js'
import type { Prng } from '../../support/prng.js'
import type { Prepared } from './prepare.js'
import type { Kind } from './starts.js'
import { KINDS, scenarioOf } from './starts.js'

const EIO = 5
const ENOSPC = 28
/** Errno, what becomes of the call, and of those after it. */
const WAYS = [
  `${EIO} refuse once`,
  `${EIO} refuse on`,
  `${ENOSPC} refuse once`,
  `${ENOSPC} refuse on`,
  `${EIO} short once`,
  `${EIO} short on`,
  `${EIO} late once`,
  `${EIO} late on`,
  `${EIO} ghost on`,
] as const
/** So many seeds in a row make the sweep whole: each takes one of the ways for every kind of scenario. */
export const SHARES = 9
/** Of each sync: so long that a machine which is busy with other work does not look like a loop that waits. */
const SLOW_MS = 500
const SLOW_TURNS = 2
const SMALL_MAP_BYTES = 4 * 2 ** 20

/** Which write or sync of which kind of scenario is spoiled, and in which way. */
export interface Spoiled {
  readonly kind: Kind
  readonly step: number
  readonly way: (typeof WAYS)[number]
}

/** A seed's share of the whole sweep, every step of it, in an order of its own. */
export function share(seed: number, { steps }: Prepared, prng: Prng): Spoiled[] {
  const all: Spoiled[] = []
  for (const [place, kind] of KINDS.entries()) {
    const ways = WAYS.filter((_way, index) => (index + place + seed) % SHARES === 0)
    for (const way of ways) for (let step = 1; step <= steps[kind]; step++) all.push({ kind, step, way })
  }
  return all
    .map((spoiled) => ({ spoiled, place: prng.next() }))
    .sort((left, right) => left.place - right.place)
    .map(({ spoiled }) => spoiled)
}

/** So many steps of each kind, over the whole of its length and in any way. */
export function sample(counts: Readonly<Record<Kind, number>>, { steps }: Prepared, prng: Prng): Spoiled[] {
  return KINDS.flatMap((kind) =>
    Array.from({ length: counts[kind] }, (_value, index) => {
      const step = 1 + Math.floor(((index + prng.next()) * steps[kind]) / counts[kind])
      return { kind, step, way: prng.pick(WAYS) }
    }),
  )
}

/** Each of the last steps of a kind, refused once. */
export function lastOf(kind: Kind, count: number, { steps }: Prepared): Spoiled[] {
  return Array.from({ length: count }, (_value, index) => ({ kind, step: steps[kind] - index, way: WAYS[0] }))
}

export function spoiledScenario(root: string, number: number, { starts }: Prepared, { kind, step, way }: Spoiled): Scenario {
  return scenarioOf(kind, join(root, `scenario-${number}`, 'store'), starts.seed, `fail ${step} ${way}`)
}

/** Which step an order of these spoils. */
export function stepOf({ order = '' }: Scenario): number {
  return Number(/^fail (\d+)/.exec(order)?.[1] ?? 0)
}

/** Every sync takes long. */
export function slow(root: string, seed: number): Scenario {
  return { directory: join(root, 'slow', 'store'), seed, order: `slow ${SLOW_MS}`, turns: SLOW_TURNS }
}

/** The file outgrows its map. */
export function fullMap(root: string, seed: number): Scenario {
  return { directory: join(root, 'map', 'store'), seed, fill: { mapSize: SMALL_MAP_BYTES } }
}
