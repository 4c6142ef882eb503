/** What tells a process that hangs from one that the machine keeps waiting. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/**
 * When a process hangs: it makes no step for so long, and then while so many fresh processes come and go, one after another. The clock
 * alone cannot tell: with too much to do, the system has kept one from its next step for longer.
 */
export interface Silence {
  readonly ms: number
  readonly processes: number
}

export const SILENCE: Silence = { ms: 180_000, processes: 5 }

/** Whether fresh processes come and go while the child neither ends nor makes a step. A step begins another silence. */
export async function allGo(child: ChildProcess, processes: number, isHeard: () => boolean): Promise<boolean> {
  for (let gone = 0; gone < processes; gone++) {
    await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'close')
    if (isHeard() || child.exitCode !== null || child.signalCode !== null) return false
  }
  return true
}
