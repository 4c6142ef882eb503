/** What is never answered. A history that hangs is a finding like any other: it is told, and given up. */

/** Something took so long that it will not come. */
export class Hang extends Error {}

/** What `promise` gives. @throws Hang when that takes longer, which says what was waited for */
export async function within<Value>(ms: number, what: string, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Hang(`${what}: hangs, for ${ms / 1000} s by now`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    // Nobody listens to what was given up.
    promise.catch(() => undefined)
  }
}
