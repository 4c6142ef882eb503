import { readFileSync } from 'node:fs'

export interface Memory {
  /** The main thread's own: heap in use, and what it holds outside, array buffers included; after a collection. */
  readonly mainBytes: number
  /** Of the whole process: memory of its own, without the pages of the store's file that the system keeps mapped. */
  readonly privateBytes: number
  /** Resident, mapped pages included. */
  readonly rssBytes: number
}

/** After two collections. Needs `--expose-gc`. */
export async function readMemory(): Promise<Memory> {
  for (let times = 0; times < 2; times++) {
    globalThis.gc?.()
    // Finalizers run between the two.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { mainBytes: heapUsed + external, privateBytes: rssAnonBytes() ?? rss, rssBytes: rss }
}

/** Linux only: elsewhere a process's own pages are not told apart. */
function rssAnonBytes(): number | undefined {
  try {
    const found = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))
    return found === null ? undefined : Number(found[1]) * 1024
  } catch {
    return undefined
  }
}

/** With its sign. */
export function megabytesMore(bytes: number): string {
  return `${bytes < 0 ? '−' : '+'}${megabytes(Math.abs(bytes))}`
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`
}
