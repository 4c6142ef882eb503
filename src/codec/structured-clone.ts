/**
 * V8's structured clone format, for payloads that JSON would change; and the words for what it cannot carry either.
 *
 * V8's own words quote the value (of a function its source), so they go into no error: a log must not tell what jobs carry.
 */
import { types } from 'node:util'
import { DefaultSerializer } from 'node:v8'
import { MillraceError } from '../base/errors.js'
import { builtinTag, describeThrown } from '../base/problems.js'

/** Characters shown of a key, and of the way to a value. */
const KEY_SHOWN = 60
const PATH_SHOWN = 300
/** Tags of objects that are no data. */
const UNSTORABLE = new Set([
  'Promise',
  'WeakMap',
  'WeakSet',
  'WeakRef',
  'SharedArrayBuffer',
  'Generator',
  'AsyncGenerator',
  'Module',
])

/** V8 asks for it by name when it meets what it cannot carry. */
class Unclonable extends Error {}

class Serializer extends DefaultSerializer {
  _getDataCloneError = Unclonable

  /** Views of memory. A detached one would be stored as if it had been empty. */
  _writeHostObject(view: object): void {
    if (ArrayBuffer.isView(view) && isDetached(view)) throw new Unclonable()
    const parent = DefaultSerializer.prototype as unknown as { _writeHostObject(view: object): void }
    parent._writeHostObject.call(this, view)
  }
}

/** Whether the view's memory has been given to somebody else: it then looks empty. */
export function isDetached({ buffer, byteLength }: ArrayBufferView): boolean {
  if (byteLength > 0 || buffer.byteLength > 0) return false
  try {
    return new Uint8Array(buffer).length > 0
  } catch {
    return true
  }
}

/** The refusal of an input or output. */
export function unencodable(what: string, reason: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'MILLRACE_PAYLOAD_UNENCODABLE',
    `The job's ${what} cannot be stored: ${reason}. Pass data only: plain objects, arrays, strings, numbers, Date, Map, Set, BigInt, typed arrays, Buffer.`,
    cause === undefined ? undefined : { cause },
  )
}

/** @throws MillraceError `MILLRACE_PAYLOAD_UNENCODABLE` */
export function serializeV8(value: unknown, what: string): Buffer {
  try {
    const serializer = new Serializer()
    serializer.writeHeader()
    serializer.writeValue(value)
    return serializer.releaseBuffer()
  } catch (error) {
    throw refusal(value, what, error)
  }
}

function refusal(value: unknown, what: string, error: unknown): MillraceError {
  let where: string | undefined
  try {
    where = findUnencodable(value, what, new Set())
  } catch {
    // A getter that throws, or a value nested too deeply to look through.
  }
  if (where !== undefined) return unencodable(what, where)
  if (error instanceof Unclonable) return unencodable(what, `${what} holds an object that is no data`)
  if (error instanceof RangeError && /call stack/.test(error.message)) return unencodable(what, `${what} is nested too deeply`)
  return unencodable(what, `reading it threw ${describeThrown(error)}`, error)
}

/** Where the value would have to be changed, for an error that helps. */
function findUnencodable(value: unknown, path: string, seen: Set<object>): string | undefined {
  if (typeof value === 'function') return `${path} is a function`
  if (typeof value === 'symbol') return `${path} is a symbol`
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined
  if (types.isProxy(value)) return `${path} is a proxy`
  const tag = builtinTag(value)
  if (UNSTORABLE.has(tag)) return `${path} is an object (${tag})`
  if (ArrayBuffer.isView(value)) return isDetached(value) ? `${path} is a view of a detached buffer` : undefined
  seen.add(value)
  const entries =
    value instanceof Map ? [...value.entries()] : value instanceof Set ? [...value].entries() : Object.entries(value)
  for (const [key, item] of entries) {
    const found = findUnencodable(item, path.length < PATH_SHOWN ? `${path}${step(key)}` : path, seen)
    if (found !== undefined) return found
  }
  return undefined
}

function step(key: unknown): string {
  const text = String(key)
  const shown = text.length <= KEY_SHOWN ? text : `${text.slice(0, KEY_SHOWN)}…`
  return typeof key === 'string' && /^[a-z_$][\w$]*$/i.test(text) && shown === text ? `.${text}` : `[${shown}]`
}
