/**
 * A claim: which jobs a thread was handed, so that a crash can be blamed on somebody. One record a batch.
 *
 *   0   f64  claimedAt, epoch ms
 *   8   u8   1: a suspect, run with nothing else in flight
 *   9        per run of consecutive jobs: the page's key (17 bytes if its first bit is set, else 11) · u16 index of the first ·
 *            u16 index behind the last
 */
import { MillraceError } from '../base/errors.js'
import { isKeyed, KEYED_PAGE_KEY_BYTES, PAGE_KEY_BYTES } from './keys.js'

const HEADER_BYTES = 9
const RANGE_BYTES = 4

/** One run of consecutive jobs in a claim. */
export interface ClaimedSlice {
  readonly key: Buffer
  readonly from: number
  readonly to: number
}

export interface Claim {
  readonly batchId: number
  /** Epoch ms. */
  readonly claimedAt: number
  /** The batch was a suspect, run with nothing else in flight. */
  readonly alone: boolean
  readonly slices: readonly ClaimedSlice[]
}

export function writeClaim(claim: Claim): Buffer {
  let size = HEADER_BYTES
  for (const { key } of claim.slices) size += key.length + RANGE_BYTES
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeDoubleLE(claim.claimedAt, 0)
  bytes[8] = claim.alone ? 1 : 0
  let at = HEADER_BYTES
  for (const { key, from, to } of claim.slices) {
    at += key.copy(bytes, at)
    at = bytes.writeUInt16LE(from, at)
    at = bytes.writeUInt16LE(to, at)
  }
  return bytes
}

export function readClaim(batchId: number, bytes: Buffer): Claim {
  const slices: ClaimedSlice[] = []
  let at = HEADER_BYTES
  while (at < bytes.length) {
    const to = at + (isKeyed(bytes, at) ? KEYED_PAGE_KEY_BYTES : PAGE_KEY_BYTES)
    if (to + RANGE_BYTES > bytes.length) break
    slices.push({ key: Buffer.from(bytes.subarray(at, to)), from: bytes.readUInt16LE(to), to: bytes.readUInt16LE(to + 2) })
    at = to + RANGE_BYTES
  }
  if (at !== bytes.length) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `The claim of batch ${batchId} has ${bytes.length} bytes, which no claim has.`,
    )
  }
  return { batchId, claimedAt: bytes.readDoubleLE(0), alone: bytes[8] === 1, slices }
}
