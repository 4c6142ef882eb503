/**
 * What the process has at a moment: memory, threads, files, what keeps its event loop alive. Compared before and after a storm, with
 * no executor open: whatever is left then was leaked.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Remains {
  readonly rssBytes: number
  /** Of the system; undefined where it does not tell. */
  readonly threads: number | undefined
  readonly files: number | undefined
  /** Of them, modules: Node leaves one open when a thread is ended while it reads it, and nobody else can close it. */
  readonly modules: number | undefined
  /** What `process.getActiveResourcesInfo` tells, by kind. */
  readonly resources: Readonly<Record<string, number>>
}

/** A thread's stack and arenas stay with the allocator, and memory that was freed is not all given back. */
const RSS_MARGIN_BYTES = 64 * 1024 * 1024
/** Kinds that come and go with the program's own output and turns. */
const PASSING = new Set(['Immediate', 'TTYWrap', 'PipeWrap', 'WriteWrap', 'ShutdownWrap'])

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

export async function remains(): Promise<Remains> {
  // What closed in this turn is released in the next ones.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) if (!PASSING.has(kind)) resources[kind] = (resources[kind] ?? 0) + 1
  return {
    rssBytes: process.memoryUsage.rss(),
    threads: entriesOf('/proc/self/task'),
    files: openFiles(false),
    modules: openFiles(true),
    resources,
  }
}

/**
 * What was leaked, one line each.
 *
 * @param loading - threads that ended while they loaded a module
 */
export function leaks(before: Remains, after: Remains, loading = 0): string[] {
  const found: string[] = []
  const more = (what: string, was: number | undefined, is: number | undefined): void => {
    if (was !== undefined && is !== undefined && is > was) found.push(`leak: ${is} ${what}, ${was} before`)
  }
  more('threads of the system', before.threads, after.threads)
  more('open files', before.files, after.files)
  if (loading === 0) more('open modules, although no thread ended while it loaded one', before.modules, after.modules)
  for (const [kind, count] of Object.entries(after.resources)) more(`active ${kind}`, before.resources[kind] ?? 0, count)
  const grownBytes = after.rssBytes - before.rssBytes
  if (grownBytes > RSS_MARGIN_BYTES) found.push(`leak: ${mib(grownBytes)} MiB of memory more than before`)
  return found
}

export function mib(bytes: number): number {
  return Math.round(bytes / (1024 * 1024))
}

function openFiles(isModule: boolean): number | undefined {
  try {
    return readdirSync('/proc/self/fd').filter((file) => /\.[cm]?js$/.test(linkOf(file)) === isModule).length
  } catch {
    return undefined
  }
}

/** The one that the list itself was read from is closed by now. */
function linkOf(file: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${file}`)
  } catch {
    return ''
  }
}

function entriesOf(directory: string): number | undefined {
  try {
    return readdirSync(directory).length
  } catch {
    return undefined
  }
}
