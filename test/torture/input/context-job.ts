/**
 * What a handler is handed, with what nobody should give it. Nothing of it may throw: neither a log line nor progress fails a job. The
 * calls are made in a thread, by a job that gives what was wrong.
 */
import { defineJob } from '../../../src/job/define-job.js'
import { VALUES, type Hostile } from './hostile.js'
import { shown } from './judge.js'

type Loose = Readonly<Record<string, (...args: unknown[]) => unknown>>

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** How each place is called with a value. `abort` is not of the interface, and yet within a handler's reach. */
export const CONTEXT_PLACES: Readonly<Record<string, (ctx: Loose, log: Loose, value: unknown) => unknown>> = {
  'ctx.progress(fraction)': (ctx, _log, value) => ctx['progress']?.(value),
  'ctx.progress(…, message)': (ctx, _log, value) => ctx['progress']?.(0.5, value),
  'ctx.abort(stray)': (ctx, _log, value) => ctx['abort']?.(value, value, value),
  ...Object.fromEntries(
    LEVELS.flatMap((level) => [
      [`ctx.log.${level}(message)`, (_ctx: Loose, log: Loose, value: unknown) => log[level]?.(value)],
      [`ctx.log.${level}(…, data)`, (_ctx: Loose, log: Loose, value: unknown) => log[level]?.('data', value)],
    ]),
  ),
}

export interface ContextInput {
  readonly seed: number
  readonly stride: number
}

export interface ContextOutput {
  readonly wrong: readonly string[]
  readonly values: number
  /** What can be called of it, by name. */
  readonly callable: readonly string[]
}

export const contextual = defineJob({
  name: 'contextual',
  module: import.meta.url,
  timeout: Infinity,
  run({ seed, stride }: ContextInput, ctx): ContextOutput {
    const wrong: string[] = []
    const share = shareOf(VALUES, seed, stride)
    for (const [name, call] of Object.entries(CONTEXT_PLACES)) {
      for (const { name: what, make } of share) {
        try {
          call(ctx as unknown as Loose, ctx.log as unknown as Loose, make())
        } catch (thrown) {
          wrong.push(`${name} with ${what}: threw ${shown(thrown)}`)
        }
      }
    }
    return { wrong, values: share.length, callable: [...callables('ctx', ctx), ...callables('ctx.log', ctx.log)] }
  },
})

/** One value in so many; another share for each seed. */
export function shareOf(values: readonly Hostile[], seed: number, stride: number): readonly Hostile[] {
  return values.filter((_, index) => (index + seed) % stride === 0)
}

/** The functions of an object and of its class, as `name.key`. What Node has made, such as a signal, is not looked into. */
export function callables(name: string, object: object): string[] {
  const prototype = Object.getPrototypeOf(object) as object
  const keys = [object, ...(prototype === Object.prototype ? [] : [prototype])].flatMap((owner) =>
    Object.entries(Object.getOwnPropertyDescriptors(owner)).concat(
      Object.getOwnPropertySymbols(owner).map((symbol): [string, PropertyDescriptor] => [
        symbol.description?.split('.').at(-1) ?? '',
        Object.getOwnPropertyDescriptor(owner, symbol) ?? {},
      ]),
    ),
  )
  return keys
    .filter(([key, { value }]) => key !== 'constructor' && typeof value === 'function')
    .map(([key]) => (name === '' ? key : `${name}.${key}`))
}
