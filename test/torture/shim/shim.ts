/**
 * Builds the shim that records and spoils what a process does to its data file (`shim.c` says how), and makes the environment in
 * which a child process has it. Once per process, into a directory that goes when the process ends.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'

/** Seen from the compiled file: C is not compiled along. */
const SOURCE = fileURLToPath(new URL('../../../../test/torture/shim/shim.c', import.meta.url))

export interface ShimOptions {
  /** Where the recording goes. Without one nothing is recorded, and no orders are taken. */
  readonly log: string
  /** Syncs that answer without being done: of the data file, or of directories. */
  readonly lie?: 'data' | 'names'
  /** Messages of lmdb-js that are too long for their memory are cut. @defaultValue false */
  readonly mends?: boolean
}

/** Why the shim cannot be had here, and how it could; undefined when it can. For the `skip` of a test. */
export function shimMissing(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux: writes and syncs are seen by LD_PRELOAD there'
  if (!existsSync(SOURCE)) return 'needs the sources of the tests, which are not part of the package'
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs a C compiler named cc; install gcc or clang (Debian: apt install gcc libc6-dev, Alpine: apk add build-base)'
  }
}

/** The environment of a process that has the shim. */
export function shimEnvironment({ log, lie, mends = false }: ShimOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LD_PRELOAD: shimLibrary(),
    MILLRACE_SHIM_NAME: DATA_FILE,
    MILLRACE_SHIM_LOG: log,
    ...(lie !== undefined && { MILLRACE_SHIM_LIE: lie }),
    ...(mends && { MILLRACE_SHIM_MENDS: '1' }),
  }
}

let built: string | undefined

function shimLibrary(): string {
  if (built !== undefined) return built
  const directory = mkdtempSync(join(tmpdir(), 'millrace-shim-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const library = join(directory, 'shim.so')
  execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl', '-lpthread'])
  built = library
  return library
}
