/**
 * A file system that takes no writes: everything that would write there says so, and what only reads goes on. It is mounted in a name
 * space of the process's own, which root may make, and where the system allows it everybody; it goes with the process.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openExecutor } from '../../../src/index.js'
import { echo } from './world.js'

const PROGRAM = fileURLToPath(new URL('./read-only-program.js', import.meta.url))
const MOUNT = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"'

export interface Attempt {
  readonly wrong: readonly string[]
  /** What could not be tried, and why. */
  readonly skipped: readonly string[]
}

/** @param fault - one of the faults of the library that tries it (`spoilt-doors.ts`) */
export async function tryReadOnly(fault = ''): Promise<Attempt> {
  const spaces = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount']
  const root = await mkdtemp(join(tmpdir(), 'millrace-read-only-'))
  const [source, mount] = [join(root, 'source'), join(root, 'mount')]
  const inside = (script: string): string =>
    execFileSync('unshare', [...spaces, '/bin/sh', '-c', script, 'sh', source, mount, process.execPath, PROGRAM, fault], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
  try {
    await mkdir(mount)
    const executor = await openExecutor({ path: join(source, 'store'), jobs: [echo], threads: 1 })
    await (await executor.enqueue(echo, 1)).result()
    await executor.close()
    try {
      inside(MOUNT)
    } catch (error) {
      return {
        wrong: [],
        skipped: [`a read-only file system: it cannot be mounted here (${String(error).split('\n')[1] ?? String(error)})`],
      }
    }
    return { wrong: JSON.parse(inside(`${MOUNT} && exec "$3" "$4" "$2" "$5"`)) as string[], skipped: [] }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
