/**
 * A page that waits for its instant: the lane it will go to (queue u16 · rank u8, big-endian), then the page's bytes.
 */
import type { PageHeader } from './page.js'
import { readPageHeader } from './page.js'

export interface ScheduledPage {
  readonly key: Buffer
  /** Epoch ms. */
  readonly runAt: number
  readonly queueId: number
  readonly rank: number
  readonly bytes: Buffer
  readonly header: PageHeader
}

export function writeScheduled(queueId: number, rank: number, page: Buffer): Buffer {
  const lane = Buffer.allocUnsafe(3)
  lane.writeUInt16BE(queueId, 0)
  lane[2] = rank
  return Buffer.concat([lane, page])
}

export function readScheduled(key: Buffer, value: Buffer): ScheduledPage {
  // Shorter than the lane, it has no page either, which is what is told.
  const bytes = value.subarray(3)
  const header = readPageHeader(bytes)
  return {
    key,
    // The key holds instants up to the year 10889; later ones sort there, and are what they are.
    runAt: header.runAt,
    queueId: value.readUInt16BE(0),
    rank: value.readUInt8(2),
    bytes,
    header,
  }
}
