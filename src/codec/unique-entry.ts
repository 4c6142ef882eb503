/**
 * Who holds which unique key: two kinds of records in the table `index`.
 *
 *   kind u8 (3) · hash (16 bytes)                     the job that holds the key
 *   kind u8 (4) · expiresAt u48 · hash (16 bytes)     empty; there exactly when the holder's `expiresAt` is not 0
 *
 * The hash is the beginning of SHA-256 over the definition's name, a zero byte, and the key. Two keys of one hash are not told
 * apart: among 10^12 of them the chance of it is 10^-15.
 *
 * A holder, big-endian:
 *   0   u48  job number
 *   6   u16  queue, 8 u8 rank: as in its id
 *   9   u8   while: 0 waiting, 1 incomplete, 2 kept
 *   10  u8   flags: 1 released, so that only its time holds the key; 2 the job is over
 *   11  u48  expiresAt, epoch ms: until then the key is held whatever becomes of the job; 0 for none
 */
import { createHash } from 'node:crypto'
import { UNIQUE_WHILES, type UniqueWhile } from '../job/unique.js'
import { corrupt } from './corrupt.js'
import { INDEX_UNIQUE, INDEX_UNIQUE_EXPIRY } from './keys.js'

const HASH_BYTES = 16
const HOLDER_BYTES = 17
const RELEASED = 1
const OVER = 2

export interface KeyHolder {
  readonly seq: number
  readonly queueId: number
  readonly rank: number
  readonly while: UniqueWhile
  /** The job has left the states in which it holds the key; it is held until `expiresAt` alone. */
  readonly released: boolean
  readonly over: boolean
  /** Epoch ms; 0 for none. */
  readonly expiresAt: number
}

/** Of a definition's key, as the index knows it: one character a byte. */
export function uniqueHash(definitionName: string, key: string): string {
  return createHash('sha256').update(`${definitionName}\0${key}`).digest().toString('latin1', 0, HASH_BYTES)
}

export function uniqueIndexKey(hash: string): Buffer {
  const key = Buffer.allocUnsafe(1 + HASH_BYTES)
  key[0] = INDEX_UNIQUE
  key.write(hash, 1, 'latin1')
  return key
}

export function uniqueExpiryKey(expiresAt: number, hash: string): Buffer {
  const key = Buffer.allocUnsafe(7 + HASH_BYTES)
  key[0] = INDEX_UNIQUE_EXPIRY
  key.writeUIntBE(expiresAt, 1, 6)
  key.write(hash, 7, 'latin1')
  return key
}

/** The first key of those that expire at `expiresAt` or later. */
export function uniqueExpiryStart(expiresAt: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = INDEX_UNIQUE_EXPIRY
  key.writeUIntBE(expiresAt, 1, 6)
  return key
}

export function readUniqueExpiryKey(key: Buffer): { expiresAt: number; hash: string } {
  return { expiresAt: key.readUIntBE(1, 6), hash: key.toString('latin1', 7) }
}

export function writeHolder(holder: KeyHolder): Buffer {
  const bytes = Buffer.allocUnsafe(HOLDER_BYTES)
  bytes.writeUIntBE(holder.seq, 0, 6)
  bytes.writeUInt16BE(holder.queueId, 6)
  bytes[8] = holder.rank
  bytes[9] = UNIQUE_WHILES.indexOf(holder.while)
  bytes[10] = (holder.released ? RELEASED : 0) | (holder.over ? OVER : 0)
  bytes.writeUIntBE(holder.expiresAt, 11, 6)
  return bytes
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readHolder(bytes: Buffer): KeyHolder {
  const until = UNIQUE_WHILES[bytes[9] ?? UNIQUE_WHILES.length]
  if (bytes.length !== HOLDER_BYTES || until === undefined)
    throw corrupt('Who holds a unique key', new Error(`it has ${bytes.length} bytes`))
  const flags = bytes.readUInt8(10)
  return {
    seq: bytes.readUIntBE(0, 6),
    queueId: bytes.readUInt16BE(6),
    rank: bytes.readUInt8(8),
    while: until,
    released: (flags & RELEASED) !== 0,
    over: (flags & OVER) !== 0,
    expiresAt: bytes.readUIntBE(11, 6),
  }
}
