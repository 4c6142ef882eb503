import { opendir, realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { printable, shorten } from './format-quantity.js'
import { reasonOf } from './measure-file.js'

/** Of a path in a message. */
const PATH_CHARACTERS = 200

/** A folder's real path. What is wrong with one that cannot be walked is said in words. */
export async function openFolder(folder: string): Promise<string> {
  try {
    const path = await realpath(folder)
    const directory = await opendir(path)
    await directory.close()
    return path
  } catch (error) {
    throw new Error(problemOf(shorten(printable(resolve(folder)), PATH_CHARACTERS), error), { cause: error })
  }
}

function problemOf(folder: string, error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return `There is no folder ${folder}.`
    case 'ENOTDIR':
      return `${folder} is a file, not a folder. Give the folder it lies in.`
    case 'EACCES':
    case 'EPERM':
      return `You may not read the folder ${folder} (${(error as NodeJS.ErrnoException).code}).`
    default:
      return `The folder ${folder} cannot be read: ${reasonOf(error) ?? String(error)}.`
  }
}
