/** Which writes and syncs fail, how, and what else goes wrong with a disk. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Scenario } from '../../fixtures/io/program.js'
import type { Prng } from '../../support/prng.js'

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
/** Writes and syncs in which a store is made and opened, and those of the first dozen commits. */
const OPENING_STEPS = 40
const OPEN_STEPS = 64
/** Of each sync: so long that a machine which is busy with other work does not look like a loop that waits. */
const SLOW_MS = 500
const SLOW_TURNS = 1
const SMALL_MAP_BYTES = 4 * 2 ** 20
const SMALL_DISK = '3m'
const FILLER_BYTES = 2 ** 20

/** Every write and sync of a short run, spoiled in every way: the whole sweep, in an order of its own for each seed. */
export function sweep(root: string, prng: Prng): Scenario[] {
  const scenarios: (Scenario & { readonly order: string })[] = []
  for (const way of WAYS) {
    for (const [from, steps] of [
      ['opening', OPENING_STEPS],
      ['open', OPEN_STEPS],
    ] as const) {
      for (let step = 1; step <= steps; step++)
        scenarios.push({ directory: '', seed: prng.below(2 ** 31), from, order: `fail ${step} ${way}` })
    }
  }
  const shuffled = scenarios.map((scenario) => ({ scenario, place: prng.next() })).sort((left, right) => left.place - right.place)
  return shuffled.map(({ scenario }, index) => ({ ...scenario, directory: join(root, `store-${index}`) }))
}

/** Every sync takes long. */
export function slow(root: string, seed: number): Scenario {
  return { directory: join(root, 'slow'), seed, order: `slow ${SLOW_MS}`, turns: SLOW_TURNS }
}

/** The file outgrows its map. */
export function fullMap(root: string, seed: number): Scenario {
  return { directory: join(root, 'map'), seed, fill: { mapSize: SMALL_MAP_BYTES } }
}

export interface SmallDisk {
  readonly scenario: Scenario
  unmount(): void
}

/** A disk that the store, or somebody else, fills up, and that has room again when it is opened next; or why there is none. */
export function smallDisk(seed: number, byOthers = false): SmallDisk | string {
  const mount = mkdtempSync(join(tmpdir(), 'millrace-small-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', mount], { stdio: 'ignore' })
  } catch {
    rmSync(mount, { recursive: true })
    return 'a full disk was not tried: to mount one needs root'
  }
  const filler = join(mount, 'filler')
  const directory = join(mount, 'store')
  writeFileSync(filler, Buffer.alloc(FILLER_BYTES))
  mkdirSync(directory)
  return {
    scenario: { directory, seed, fill: { byOthers }, filler },
    unmount: () => {
      execFileSync('umount', [mount])
      rmSync(mount, { recursive: true })
    },
  }
}
