/** What a place of a public call is: how it is called with a value there, and which values it may take. */
import type { Accepts } from './accepted.js'
import { emptyBag, orAbsent } from './accepted.js'
import type { World } from './world.js'

export interface Call {
  /** The call as it is written, with the place in question named; what comes before its last bracket is the call itself. */
  readonly name: string
  readonly takes: Accepts
  /** `throws`: at the call. `rejects`: by the promise that it returns. */
  readonly refuses: 'throws' | 'rejects'
  /** What the caller's own code throws while it is read comes through as it is. */
  readonly passes?: boolean
  readonly call: (world: World, value: unknown) => unknown
}

/** A bag of options of which none is given, or none. */
export const UNCHANGED = orAbsent(emptyBag)

export function rejects(name: string, takes: Accepts, call: Call['call']): Call {
  return { name, takes, refuses: 'rejects', call }
}

export function throws(name: string, takes: Accepts, call: Call['call']): Call {
  return { name, takes, refuses: 'throws', call }
}

/** Which call a place belongs to: `job(id).cancel(reason)` to `job().cancel`, `new FatalError(…, options)` to `new FatalError`. */
export function callOf({ name }: Pick<Call, 'name'>): string {
  let bare = name
  for (let before = ''; before !== bare;) [before, bare] = [bare, bare.replace(/\([^()]+\)/g, '()')]
  return bare.slice(0, bare.lastIndexOf('()'))
}

export function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** A word; Node itself refuses to start a thread with a flag that it does not know, and none of these is a flag of its own. */
export function noFlag(value: unknown): boolean {
  return typeof value === 'string' && !value.startsWith('-')
}

/** What cannot even be looked at is not taken. */
export function readable(takes: Accepts): Accepts {
  return (value) => {
    try {
      return takes(value)
    } catch {
      return false
    }
  }
}

export function isIterable(value: unknown): boolean {
  try {
    return (
      typeof value === 'object' &&
      value !== null &&
      Symbol.iterator in value &&
      Array.from(value as Iterable<unknown>).length >= 0
    )
  } catch {
    return false
  }
}

/** The first job is enough: it comes when the filter was taken. */
export async function drained(items: AsyncGenerator<unknown>): Promise<void> {
  for await (const _item of items) break
}
