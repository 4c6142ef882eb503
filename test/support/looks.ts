/**
 * Counts how often anybody looks at a lane or a limit key, and each step that anybody makes through a set or a map: whoever goes through
 * keys, or lanes, does one of these. The mocks of `node:test` would remember every call, and take minutes where this takes seconds.
 */
import type { TestContext } from 'node:test'
import { Lane } from '../../src/scheduler/lane.js'
import { LimitKey } from '../../src/scheduler/limit-key.js'

export interface Looks {
  lanes: number
  keys: number
  /** Through sets and maps. */
  steps: number
}

export function countedLooks(t: TestContext): Looks {
  const looks: Looks = { lanes: 0, keys: 0, steps: 0 }
  const undo: (() => void)[] = []
  const watch = (target: object, name: string, count: () => void): void => {
    const own = Object.getOwnPropertyDescriptor(target, name)
    const { get, value } = own ?? {}
    if (own === undefined) throw new TypeError(`nobody can look at ${name}`)
    const watched: PropertyDescriptor =
      get === undefined
        ? {
            ...own,
            value(this: unknown, ...args: unknown[]): unknown {
              count()
              return (value as (...args: unknown[]) => unknown).apply(this, args)
            },
          }
        : {
            ...own,
            get(this: unknown): unknown {
              count()
              return get.call(this)
            },
          }
    Object.defineProperty(target, name, watched)
    undo.push(() => Object.defineProperty(target, name, own))
  }
  for (const name of ['hasWork', 'isReadable', 'window', 'readyAt']) watch(Lane.prototype, name, () => looks.lanes++)
  for (const name of ['hasWork', 'threads', 'slots', 'isHeldBy']) watch(LimitKey.prototype, name, () => looks.keys++)
  for (const of of [new Set().values(), new Map().values()])
    watch(Object.getPrototypeOf(of) as object, 'next', () => looks.steps++)
  t.after(() => {
    for (const one of undo) one()
  })
  return looks
}
