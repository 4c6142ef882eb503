/** Finds the files of a folder, in steps, holding no more than the folders still to be read and one step of files. */
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FoundFile } from './measure-file.js'
import { reasonOf } from './measure-file.js'

/** Files given at a time. Small enough that the threads start at once, large enough for one commit to carry many. */
const STEP_FILES = 256

export interface WalkOptions {
  /** A folder that is passed over: the demo's own store may lie inside. */
  readonly skip: string
  /** Ends the walk. */
  readonly aborted: AbortSignal
  /** A file or folder that cannot be looked at. The rest goes on. */
  readonly onFailure: (path: string, reason: string) => void
  /** A symbolic link, which is not followed, or something else that is no file: a socket, a pipe, a device. */
  readonly onLeftOut: (path: string) => void
}

export async function* walkFolder(root: string, options: WalkOptions): AsyncGenerator<FoundFile[], void> {
  const folders = [root]
  let paths: string[] = []
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for await (const entry of await opendir(folder, { bufferSize: STEP_FILES })) {
        if (options.aborted.aborted) return
        const path = join(folder, entry.name)
        if (entry.isDirectory()) {
          if (path !== options.skip) folders.push(path)
        } else if (entry.isFile()) {
          paths.push(path)
        } else {
          options.onLeftOut(path)
        }
        if (paths.length < STEP_FILES) continue
        yield await lookAt(paths, options)
        paths = []
      }
    } catch (error) {
      options.onFailure(folder, failure(folder, error))
    }
  }
  if (paths.length > 0) yield await lookAt(paths, options)
}

async function lookAt(paths: readonly string[], { onFailure }: WalkOptions): Promise<FoundFile[]> {
  const looked = await Promise.all(
    paths.map(async (path): Promise<FoundFile | undefined> => {
      try {
        const { size, mtimeMs } = await lstat(path)
        return { path, sizeBytes: size, modifiedMs: mtimeMs }
      } catch (error) {
        onFailure(path, failure(path, error))
        return undefined
      }
    }),
  )
  return looked.filter((file) => file !== undefined)
}

function failure(path: string, error: unknown): string {
  if (path.includes('\uFFFD')) return 'its name is not valid UTF-8'
  return reasonOf(error) ?? String(error)
}
