/**
 * A buffer that grows as it is written to. Owned by whoever is encoding; `finish` hands the bytes over and starts afresh, so
 * that bytes already handed to a commit are never written to again (LMDB reads them by address until the commit ends).
 */
export class ByteWriter {
  buffer: Buffer
  /** Where the next byte goes. */
  position = 0
  readonly #grownBytes: number

  /** @param grownBytes - the least it grows to, when `initialBytes` are not enough */
  constructor(initialBytes: number, grownBytes: number = initialBytes) {
    this.#grownBytes = grownBytes
    this.buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    const needed = this.position + bytes
    if (needed <= this.buffer.length) return
    let size = Math.max(this.#grownBytes, this.buffer.length * 2)
    while (size < needed) size *= 2
    const larger = Buffer.allocUnsafeSlow(size)
    this.buffer.copy(larger, 0, 0, this.position)
    this.buffer = larger
  }

  bytes(source: Uint8Array): void {
    this.reserve(source.length)
    this.buffer.set(source, this.position)
    this.position += source.length
  }

  /** Copies a part of another buffer, without making a view of it. */
  slice(source: Buffer, from: number, to: number): void {
    this.reserve(to - from)
    source.copy(this.buffer, this.position, from, to)
    this.position += to - from
  }

  u8(value: number): void {
    this.reserve(1)
    this.buffer[this.position++] = value
  }

  u16(value: number): void {
    this.reserve(2)
    this.position = this.buffer.writeUInt16LE(value, this.position)
  }

  u32(value: number): void {
    this.reserve(4)
    this.position = this.buffer.writeUInt32LE(value, this.position)
  }

  f64(value: number): void {
    this.reserve(8)
    this.position = this.buffer.writeDoubleLE(value, this.position)
  }

  /** The bytes written so far, given away. */
  finish(): Buffer {
    let bytes = this.buffer.subarray(0, this.position)
    // A few bytes in a large buffer: a copy is cheaper than pinning the rest of it.
    if (this.position * 2 < this.buffer.length) bytes = Buffer.from(bytes)
    else this.buffer = EMPTY
    this.position = 0
    return bytes
  }
}

const EMPTY = Buffer.alloc(0)
