/** An error as a plain, bounded record: what crosses threads and lies in the store. Never throws, whatever was thrown at it. */
import type { ErrorRecord } from '../base/errors.js'
import { ERROR_TEXT } from '../base/limits.js'

const UNSHOWABLE = 'a thrown value that cannot be shown'

function bounded(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length} characters)`
}

function attempt(read: () => unknown): unknown {
  try {
    return read()
  } catch {
    return undefined // A getter or a proxy that throws.
  }
}

function textOf(read: () => unknown): string | undefined {
  const value = attempt(read)
  return typeof value === 'string' ? value : undefined
}

/** Own fields that fit into JSON, without those that have a place of their own. */
function ownData(error: object): Record<string, unknown> | undefined {
  const data: Record<string, unknown> = {}
  let left = ERROR_TEXT.data
  for (const key of (attempt(() => Object.keys(error)) ?? []) as string[]) {
    if (key === 'name' || key === 'message' || key === 'stack' || key === 'code' || key === 'cause') continue
    try {
      const value = (error as Record<string, unknown>)[key]
      const text = JSON.stringify(value) as string | undefined
      if (text === undefined || text.length + key.length > left) continue
      left -= text.length + key.length
      Object.defineProperty(data, key, { value: JSON.parse(text), enumerable: true, configurable: true, writable: true })
    } catch {
      // A getter that throws, a cycle, a BigInt: the field is left out.
    }
  }
  return Object.keys(data).length === 0 ? undefined : data
}

/** @param code - used when the error has no code of its own */
export function errorRecord(thrown: unknown, code?: string, depth = 0): ErrorRecord {
  if (typeof thrown !== 'object' || thrown === null) {
    const shown = textOf(() => (typeof thrown === 'bigint' ? `${thrown}n` : String(thrown)))
    return {
      name: thrown === null ? 'null' : typeof thrown,
      message: bounded(shown ?? UNSHOWABLE, ERROR_TEXT.message),
      ...(code !== undefined && { code }),
    }
  }
  const error = thrown as { name?: unknown; message?: unknown; stack?: unknown; code?: unknown; cause?: unknown }
  const name = textOf(() => error.name) ?? textOf(() => thrown.constructor.name) ?? 'Object'
  const message = textOf(() => error.message) ?? textOf(() => JSON.stringify(thrown)) ?? UNSHOWABLE
  const stack = textOf(() => error.stack)
  const ownCode = textOf(() => (typeof error.code === 'number' ? String(error.code) : error.code)) ?? code
  const cause = attempt(() => error.cause)
  const data = ownData(thrown)
  return {
    name: bounded(name, 200),
    message: bounded(message, ERROR_TEXT.message),
    ...(stack !== undefined && { stack: bounded(stack, ERROR_TEXT.stack) }),
    ...(ownCode !== undefined && { code: bounded(ownCode, 200) }),
    ...(cause !== undefined && depth < ERROR_TEXT.causes && { cause: errorRecord(cause, undefined, depth + 1) }),
    ...(data !== undefined && { data }),
  }
}
