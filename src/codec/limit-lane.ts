/**
 * Which lane a limit key has: 48 bits of the SHA-256 of its text, never 0, which stands for jobs without a key.
 *
 * Keys that agree in them (one chance in 560 among a million keys) share a lane: each job still counts against its own numbers, so
 * that no limit is ever exceeded, but those of both keys count together.
 */
import { createHash } from 'node:crypto'
import { readOverrides } from './page.js'

export function laneOf(limitKey: string): number {
  return createHash('sha256').update(limitKey).digest().readUIntBE(0, 6) || 1
}

/** The lane that a page's jobs go to. They all have the same limit key, or all have none. */
export function laneOfPage(bytes: Buffer): number {
  if (bytes.readUInt32LE(4) === 0) return 0
  const [first] = readOverrides(bytes)
  return first?.limitKey === undefined ? 0 : laneOf(first.limitKey)
}
