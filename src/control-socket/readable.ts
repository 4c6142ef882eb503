/**
 * A job's input or output as JSON, for people: what structured clone carries and JSON does not is written as JSON can, and only so much
 * of it is shown, at a bounded cost.
 */
import { CONTROL_SHOWN_CHARACTERS } from '../base/limits.js'

/** Levels that are shown; what lies deeper is left out. */
const MAX_DEPTH = 32
const CUT = '…'

export interface Readable {
  readonly value: unknown
  /** Something was left out: it is too long or too deep. */
  readonly isCut: boolean
}

export function readable(value: unknown, maxCharacters = CONTROL_SHOWN_CHARACTERS): Readable {
  const reader = new Reader(maxCharacters)
  const shown = reader.read(value, 0)
  return { value: shown, isCut: reader.isCut }
}

class Reader {
  isCut = false
  #left: number
  readonly #above = new Set<object>()

  constructor(maxCharacters: number) {
    this.#left = maxCharacters
  }

  read(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'number':
        this.#left -= 8
        return Number.isFinite(value) ? value : String(value)
      case 'boolean':
        this.#left -= 5
        return value
      case 'bigint':
        return this.#text(`${value}n`)
      case 'object':
        return value === null ? null : this.#object(value, depth)
      default:
        return null
    }
  }

  #text(text: string): string {
    const room = Math.max(0, this.#left)
    this.#left -= text.length
    if (text.length <= room) return text
    this.isCut = true
    return text.slice(0, room) + CUT
  }

  #object(value: object, depth: number): unknown {
    if (value instanceof Date) return this.#text(Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString())
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return this.#text(`(${value.byteLength} bytes)`)
    if (value instanceof RegExp || value instanceof Error) return this.#text(String(value))
    if (this.#above.has(value)) return '(itself, further up)'
    if (depth >= MAX_DEPTH || this.#left <= 0) {
      this.isCut = true
      return CUT
    }
    this.#above.add(value)
    const shown = this.#members(value, depth + 1)
    this.#above.delete(value)
    return shown
  }

  #members(value: object, depth: number): unknown {
    if (Array.isArray(value)) return this.#list(value, (item) => this.read(item, depth))
    if (value instanceof Set) return this.#list(value, (item) => this.read(item, depth))
    if (value instanceof Map) {
      return this.#list(value as Map<unknown, unknown>, ([key, item]) => [this.read(key, depth), this.read(item, depth)])
    }
    const entries: [string, unknown][] = []
    for (const key in value) {
      if (!Object.hasOwn(value, key)) continue
      if (this.#left <= 0) {
        this.isCut = true
        break
      }
      entries.push([this.#text(key), this.read((value as Record<string, unknown>)[key], depth)])
    }
    return Object.fromEntries(entries)
  }

  #list<Item>(items: Iterable<Item>, read: (item: Item) => unknown): unknown[] {
    const shown: unknown[] = []
    for (const item of items) {
      if (this.#left <= 0) {
        this.isCut = true
        break
      }
      this.#left--
      shown.push(read(item))
    }
    return shown
  }
}
