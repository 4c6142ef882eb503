/**
 * A page that waits for its instant: the lane it will go to (queue u16 · rank u8, big-endian), then the page's bytes.
 */
import { readScheduledKey } from './keys.js'
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
  const bytes = value.subarray(3)
  return {
    key,
    runAt: readScheduledKey(key).runAt,
    queueId: value.readUInt16BE(0),
    rank: value.readUInt8(2),
    bytes,
    header: readPageHeader(bytes),
  }
}
