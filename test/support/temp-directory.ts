/** A directory of the test's own, removed behind everything that is registered for the end of the test later than this call. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export async function tempDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-'))
  // A step behind the other hooks, which run in the order of registration: an executor must not lose its store before it is closed.
  t.after(() => {
    t.after(() => rm(directory, { recursive: true, force: true }))
  })
  return directory
}
