/** Looks again and again, for as long as whoever watches wants to. */
import type { Clock } from '../../base/clock.js'
import type { Screen } from './screen.js'

export interface WatchOptions {
  readonly clock: Clock
  /** From the end of a look to the next one. */
  readonly intervalMs: number
  /** Resolves when nobody wants to see more; a look that is under way is not waited for. */
  readonly stopped: Promise<void>
  /** Begins with a look, or with the first pause. */
  readonly first: 'look' | 'pause'
  readonly look: () => Promise<void>
}

/** Rejects as a look does. */
export async function watch({ clock, intervalMs, stopped, first, look }: WatchOptions): Promise<void> {
  let isOver = false
  const over = stopped.then(() => {
    isOver = true
  })
  if (first === 'look') await Promise.race([over, look()])
  while (!isOver) {
    await pause(intervalMs, clock, over)
    if (!isOver) await Promise.race([over, look()])
  }
}

async function pause(delayMs: number, clock: Clock, over: Promise<void>): Promise<void> {
  let cancel = (): void => undefined
  const passed = new Promise<void>((resolve) => {
    const timer = clock.after(delayMs, resolve)
    timer.setRef(true)
    cancel = () => timer.cancel()
  })
  await Promise.race([over, passed])
  cancel()
}

/** Resolves at Ctrl-C, at the signal that asks a process to end, and at the keys that quit. */
export function untilStopped(screen: Screen | undefined): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve())
    screen?.onKey(resolve)
  })
}
