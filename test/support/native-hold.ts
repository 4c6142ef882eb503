/** Holds threads in native code, beyond their termination, until the test lets them go: they open a pipe that has no writer yet. */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { newDirectory } from './open.js'

export class NativeHold {
  /** To be given to `fixtures/threads/piped`. */
  readonly pipe: string
  #writer: number | undefined

  constructor(t: TestContext) {
    // Before the directory goes, and the executor closes.
    t.after(() => this.#close())
    this.pipe = join(newDirectory(t), 'pipe')
    execFileSync('mkfifo', [this.pipe])
  }

  /** Lets go of all that it holds, and of those that come later. */
  release(): void {
    // Open for both, it waits for no reader.
    this.#writer ??= openSync(this.pipe, 'r+')
  }

  #close(): void {
    this.release()
    if (this.#writer !== undefined) closeSync(this.#writer)
  }
}
