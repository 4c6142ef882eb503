/**
 * What tells something that hangs from something that the machine keeps waiting: nothing moves for so long, and then while so many fresh
 * processes come and go, one after another. The clock alone cannot tell: with too much to do, the system has kept a process from its
 * first line for longer.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** How long nothing moves before others are looked at. */
export const SILENCE_MS = 60_000
const SILENCE_PROCESSES = 5

/** Whether fresh processes come and go while nothing `moves`: then it hangs. What moves begins another silence. */
export async function hangs(moves: () => boolean, processes = SILENCE_PROCESSES): Promise<boolean> {
  for (let gone = 0; gone < processes; gone++) {
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'close')
    if (moves()) return false
  }
  return true
}

/** Whether the child has ended. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Watches a child process for a hang. */
export class Silence {
  readonly #child: ChildProcess
  readonly #onHang: () => void
  readonly #limit: NodeJS.Timeout
  #isHeard = false
  #isOver = false

  /** @param onHang - called once, before the child is killed */
  constructor(child: ChildProcess, onHang: () => void) {
    this.#child = child
    this.#onHang = onHang
    this.#limit = setTimeout(() => void this.#silent(), SILENCE_MS)
    child.once('close', () => this.end())
  }

  /** It lives. What is heard begins another silence. */
  heard(): void {
    this.#isHeard = true
    if (!this.#isOver) this.#limit.refresh()
  }

  /** Whatever it does from now on. */
  end(): void {
    this.#isOver = true
    clearTimeout(this.#limit)
  }

  async #silent(): Promise<void> {
    this.#isHeard = false
    if (!(await hangs(() => this.#isHeard || this.#isOver))) return
    this.end()
    this.#onHang()
    this.#child.kill('SIGKILL')
  }
}
