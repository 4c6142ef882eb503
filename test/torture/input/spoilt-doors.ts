/** Ways to open a store with a fault that the rung must see in what becomes of paths, modes and read-only file systems. */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isMillraceError, MillraceError, openExecutor, type Executor } from '../../../src/index.js'

export type Open = typeof openExecutor

type Spoil = (options: Parameters<Open>[0]) => Promise<Executor>

const SPOILT: Readonly<Record<string, Spoil>> = {
  /** As one that gives no modes, with the umask that lets everybody in. */
  'umask modes': async (options) => {
    const executor = await openExecutor(options)
    const path = String(options.path)
    chmodSync(path, 0o777)
    for (const name of readdirSync(path)) chmodSync(join(path, name), 0o666)
    return executor
  },
  'no path': async (options) =>
    await openExecutor(options).catch((error: unknown) => {
      if (!isMillraceError(error)) throw error
      throw new MillraceError(error.code, 'Cannot use the directory as a store: it is not to be used.')
    }),
  'makes first': async (options) => {
    try {
      // Beside the path that it is asked for: as one that makes its temporary directory before it looks.
      mkdirSync(resolve(String(options.path), '..', 'made-before'))
    } catch {
      // Nothing can be made there.
    }
    return await openExecutor(options)
  },
  'memory instead': async (options) =>
    await openExecutor(options).catch(async () => await openExecutor({ ...options, path: ':memory:' })),
}

/** The library's own where no such fault is named. */
export function spoiltOpen(fault: string): Open {
  return SPOILT[fault] ?? openExecutor
}
