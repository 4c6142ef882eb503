/** Milliseconds of a clock that every thread of the process reads alike (`performance.now()` starts anew in each). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
