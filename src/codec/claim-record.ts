/**
 * A claim: which jobs a thread was handed, so that a crash can be blamed on somebody. One record a batch.
 *
 *   0   f64  claimedAt, epoch ms
 *   8   u8   1: a suspect, run with nothing else in flight
 *   9        per run of consecutive jobs: the page's key (11 bytes) · u16 index of the first · u16 index behind the last
 */
import { MillraceError } from '../base/errors.js'
import { PAGE_KEY_BYTES } from './keys.js'

const HEADER_BYTES = 9
const SLICE_BYTES = PAGE_KEY_BYTES + 4

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
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + claim.slices.length * SLICE_BYTES)
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
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % SLICE_BYTES !== 0) {
    throw new MillraceError(
      'MILLRACE_STORE_CORRUPT',
      `The claim of batch ${batchId} has ${bytes.length} bytes, which no claim has.`,
    )
  }
  for (let at = HEADER_BYTES; at < bytes.length; at += SLICE_BYTES) {
    const to = at + PAGE_KEY_BYTES
    slices.push({ key: Buffer.from(bytes.subarray(at, to)), from: bytes.readUInt16LE(to), to: bytes.readUInt16LE(to + 2) })
  }
  return { batchId, claimedAt: bytes.readDoubleLE(0), alone: bytes[8] === 1, slices }
}
