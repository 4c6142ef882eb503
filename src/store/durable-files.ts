/** Files and directories put in place so that a power cut finds them whole or not at all: synced, then renamed. */
import { open } from 'node:fs/promises'

/** Makes a file's bytes, or the names in a directory, durable. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } catch (error) {
    // Windows cannot sync a directory, and keeps its names by itself.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
  } finally {
    await file.close()
  }
}
