/** A disk that is too small, for as long as a scenario lasts. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Scenario } from '../../fixtures/io/scenario.js'

const SMALL_DISK = '3m'
const FILLER_BYTES = 2 ** 20

export interface SmallDisk {
  readonly scenario: Scenario
  unmount(): void
}

/** Disks, every second of them filled by somebody else; or why there are none. */
export function smallDisks(seed: number, count: number): SmallDisk[] | string {
  const disks: SmallDisk[] = []
  for (let number = 0; number < count; number++) {
    const disk = smallDisk(seed + number, number % 2 === 1)
    if (typeof disk === 'string') return disk
    disks.push(disk)
  }
  return disks
}

/** A disk that the store, or somebody else, fills up, and that has room again when it is opened next; or why there is none. */
function smallDisk(seed: number, byOthers: boolean): SmallDisk | string {
  const mount = mkdtempSync(join(tmpdir(), 'millrace-small-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', mount], { stdio: 'ignore' })
  } catch {
    rmSync(mount, { recursive: true })
    return 'full disks: to mount one needs root'
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
