/** Lets the thread's event loop turn once: messages leave, and what was left behind unheard is reported. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
