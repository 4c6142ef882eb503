/**
 * A job's input or output as bytes. Encoded once, at the door; the main thread never decodes it on the way to a thread.
 *
 * Layout: one byte that tells the kind, then the value.
 *
 *   kind  value
 *   0     undefined; nothing follows (an empty payload means the same)
 *   1     JSON, ASCII only: one byte a character, the fastest to read back
 *   2     JSON, UTF-8
 *   3     V8's structured clone format: Date, Map, Set, BigInt, typed arrays, cycles, undefined fields, -0, NaN …
 *   4     the bytes of a Uint8Array
 *   5     the bytes of a Buffer
 *
 * JSON is used only for values that it carries without loss; telling them apart costs one walk over the value, which is
 * cheaper than V8's serializer by a factor of four for a record of a few fields. Class instances become plain objects of
 * their own fields, as with `structuredClone`.
 */
import { deserialize } from 'node:v8'
import { MillraceError } from '../base/errors.js'
import { describeThrown } from '../base/problems.js'
import type { ByteWriter } from './byte-writer.js'
import { corrupt } from './corrupt.js'
import { isDetached, serializeV8, unencodable } from './structured-clone.js'

const KIND_UNDEFINED = 0
const KIND_JSON_ASCII = 1
const KIND_JSON = 2
const KIND_V8 = 3
const KIND_BYTES = 4
const KIND_BUFFER = 5

/** Deeper values go to V8's serializer, which also knows cycles. */
const MAX_PLAIN_DEPTH = 64

/** Whether JSON carries the value without loss. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      break
    default:
      return false
  }
  if (value === null) return true
  if (depth > MAX_PLAIN_DEPTH) return false
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isPlain(value[index], depth + 1)) return false
    // Named fields, as the result of a match has them, are not in JSON.
    return Object.keys(value).length === value.length
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  const record = value as Record<string, unknown>
  for (const key in record) if (!isPlain(record[key], depth + 1)) return false
  return true
}

/** Whether two values are the same to every reader: used to see that a schema changed nothing. Says no when in doubt. */
export function isSamePlain(left: unknown, right: unknown, depth = 0): boolean {
  if (left === right) {
    if (left === 0) return Object.is(left, right)
    return typeof left !== 'object' || left === null || depth > 0 || isPlain(left, 0)
  }
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
  if (depth > MAX_PLAIN_DEPTH) return false
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false
    for (let index = 0; index < left.length; index++) if (!isSamePlain(left[index], right[index], depth + 1)) return false
    return true
  }
  if (Array.isArray(right)) return false
  if (Object.getPrototypeOf(left) !== Object.prototype || Object.getPrototypeOf(right) !== Object.prototype) return false
  const leftRecord = left as Record<string, unknown>
  const rightRecord = right as Record<string, unknown>
  let fields = 0
  for (const key in leftRecord) {
    fields++
    if (!Object.hasOwn(rightRecord, key) || !isSamePlain(leftRecord[key], rightRecord[key], depth + 1)) return false
  }
  for (const _key in rightRecord) fields--
  return fields === 0
}

/**
 * Appends the encoded value.
 * @param what - `input` or `output`, for messages
 * @throws MillraceError `MILLRACE_PAYLOAD_UNENCODABLE`, `MILLRACE_PAYLOAD_TOO_LARGE`; the writer's position is then unchanged
 */
export function writePayload(writer: ByteWriter, value: unknown, maxBytes: number, what: 'input' | 'output'): void {
  const start = writer.position
  if (value === undefined) {
    writer.u8(KIND_UNDEFINED)
    return
  }
  if (value instanceof Uint8Array && (Buffer.isBuffer(value) || Object.getPrototypeOf(value) === Uint8Array.prototype)) {
    if (isDetached(value)) throw unencodable(what, `${what} is a view of a detached buffer`)
    checkSize(value.length, maxBytes, what)
    writer.u8(Buffer.isBuffer(value) ? KIND_BUFFER : KIND_BYTES)
    writer.bytes(value)
    return
  }
  if (isReadablePlain(value, what)) {
    const text = asJson(value, maxBytes, what)
    checkSize(text.length, maxBytes, what)
    writer.reserve(1 + text.length * 3)
    const written = writer.buffer.write(text, start + 1, 'utf8')
    writer.buffer[start] = written === text.length ? KIND_JSON_ASCII : KIND_JSON
    checkSize(written, maxBytes, what)
    writer.position = start + 1 + written
    return
  }
  const bytes = serializeV8(value, what)
  checkSize(bytes.length, maxBytes, what)
  writer.u8(KIND_V8)
  writer.bytes(bytes)
}

/** As `isPlain`; a getter or a proxy that throws is told as what it is. */
function isReadablePlain(value: unknown, what: string): boolean {
  try {
    return isPlain(value, 0)
  } catch (thrown) {
    throw unencodable(what, `reading it threw ${describeThrown(thrown)}`, thrown)
  }
}

/** A string holds half a GiB at most: what is longer as JSON is too large, whatever the limit. */
function asJson(value: unknown, maxBytes: number, what: string): string {
  try {
    return JSON.stringify(value)
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw unencodable(what, `reading it threw ${describeThrown(thrown)}`, thrown)
    throw tooLarge('more than half a GiB', maxBytes, what)
  }
}

function checkSize(sizeBytes: number, maxBytes: number, what: string): void {
  if (sizeBytes > maxBytes) throw tooLarge(`${sizeBytes} bytes`, maxBytes, what)
}

function tooLarge(size: string, maxBytes: number, what: string): MillraceError {
  return new MillraceError(
    'MILLRACE_PAYLOAD_TOO_LARGE',
    `The job's ${what} is too large: ${size} encoded, and limits.payloadBytes is ${maxBytes}. ` +
      'Raise the limit when opening the executor, or store the data in a file and pass its path.',
  )
}

/**
 * Reads back what `writePayload` wrote.
 * @throws MillraceError `MILLRACE_STORE_CORRUPT`
 * @param owned - the bytes are the reader's alone, so binary payloads may be views of them instead of copies
 */
export function readPayload(bytes: Buffer, from = 0, to = bytes.length, owned = false): unknown {
  try {
    return readValue(bytes, from, to, owned)
  } catch (error) {
    throw corrupt('A stored payload', error)
  }
}

function readValue(bytes: Buffer, from: number, to: number, owned: boolean): unknown {
  if (from >= to) return undefined
  const kind = bytes[from]
  switch (kind) {
    case KIND_UNDEFINED:
      return undefined
    case KIND_JSON_ASCII:
      return JSON.parse(bytes.toString('latin1', from + 1, to))
    case KIND_JSON:
      return JSON.parse(bytes.toString('utf8', from + 1, to))
    case KIND_V8:
      // Typed arrays come out as views of what is read, so it must be a buffer of its own, and aligned.
      return deserialize(copyOf(bytes, from + 1, to))
    case KIND_BYTES:
      return owned ? new Uint8Array(bytes.buffer, bytes.byteOffset + from + 1, to - from - 1) : copyOf(bytes, from + 1, to)
    case KIND_BUFFER: {
      const view = owned ? bytes.subarray(from + 1, to) : copyOf(bytes, from + 1, to)
      return Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    }
    default:
      throw new MillraceError('MILLRACE_STORE_CORRUPT', `A stored payload has the unknown kind ${kind}.`)
  }
}

/** A copy in an ArrayBuffer of its own; Buffer's would lie in a pool that other values share. */
function copyOf(bytes: Buffer, from: number, to: number): Uint8Array {
  const copy = new Uint8Array(to - from)
  copy.set(bytes.subarray(from, to))
  return copy
}
