/**
 * The keys of the store's tables: big-endian, so that they order as the numbers do. Monotonic numbers keep neighbouring
 * records on neighbouring pages of the tree.
 *
 *   pages, marks  queue u16 · rank u8 · ord u48 · sub u16     run order: queue, priority, arrival
 *                 0x8000 | queue u16 · rank u8 · lane u48 · ord u48 · sub u16     … of jobs with a limit key, lane by lane
 *   scheduled     runAt u48 · seq u48                         due order: time, then enqueueing
 *   index         kind u8 · seq u48                           where a job is that left the page it was enqueued in
 *                 kinds 3 and 4                               who holds a unique key: see `unique-entry`
 *   claims        batch u48
 *   finished      state u8 · block u48
 *   payloads      seq u48 · kind u8
 *
 * `rank` is the priority turned round, so that a higher priority comes first. `ord` is the place in the order of arrival;
 * for a page it is the number of its first job. `sub` is 0 for a page, and index + 1 for a job put back behind its page.
 * `lane` is a hash of the limit key, never 0; keys that agree in it share a lane.
 */
import type { FinalState } from '../job/job-info.js'

export const PAGE_KEY_BYTES = 11
/** Of a page in the lane of a limit key. */
export const KEYED_PAGE_KEY_BYTES = 17
const KEYED = 0x8000
const U48 = 2 ** 48 - 1

export function rankOf(priority: number): number {
  return 127 - priority
}

export function priorityOf(rank: number): number {
  return 127 - rank
}

export function pageKey(queueId: number, rank: number, ord: number, sub: number): Buffer {
  const key = Buffer.allocUnsafe(PAGE_KEY_BYTES)
  key.writeUInt16BE(queueId, 0)
  key[2] = rank
  key.writeUIntBE(ord, 3, 6)
  key.writeUInt16BE(sub, 9)
  return key
}

/** The key of a page in the lane of a limit key; lane 0 is that of jobs without one. */
export function lanePageKey(queueId: number, rank: number, lane: number, ord: number, sub: number): Buffer {
  if (lane === 0) return pageKey(queueId, rank, ord, sub)
  const key = Buffer.allocUnsafe(KEYED_PAGE_KEY_BYTES)
  key.writeUInt16BE(KEYED | queueId, 0)
  key[2] = rank
  key.writeUIntBE(lane, 3, 6)
  key.writeUIntBE(ord, 9, 6)
  key.writeUInt16BE(sub, 15)
  return key
}

/** Whether a page's key, which begins at `offset`, is that of a page in the lane of a limit key. */
export function isKeyed(bytes: Buffer, offset = 0): boolean {
  return ((bytes[offset] ?? 0) & 0x80) !== 0
}

/** The smallest key behind a place in a lane. */
export function keyAfter(queueId: number, rank: number, { ord, sub }: { ord: number; sub: number }, lane = 0): Buffer {
  return Buffer.concat([lanePageKey(queueId, rank, lane, ord, sub), Buffer.of(0)])
}

/** The first key behind a lane. */
export function laneEnd(queueId: number, rank: number, lane = 0): Buffer {
  if (lane !== 0)
    return lane < U48 ? lanePageKey(queueId, rank, lane + 1, 0, 0) : keyAfter(queueId, rank, { ord: U48, sub: 0xffff }, lane)
  return rank < 255 ? pageKey(queueId, rank + 1, 0, 0) : Buffer.from([(queueId + 1) >> 8, (queueId + 1) & 0xff])
}

/** The first key behind all lanes of a queue's limit keys. */
export function keyedEnd(queueId: number): Buffer {
  const next = (KEYED | queueId) + 1
  return next <= 0xffff ? Buffer.of(next >> 8, next & 0xff) : Buffer.alloc(KEYED_PAGE_KEY_BYTES + 1, 0xff)
}

export interface PageKeyParts {
  readonly queueId: number
  readonly rank: number
  /** 0: of jobs without a limit key. */
  readonly lane: number
  readonly ord: number
  readonly sub: number
}

export function readPageKey(key: Buffer): PageKeyParts {
  const isLong = key.length === KEYED_PAGE_KEY_BYTES
  const at = isLong ? 9 : 3
  return {
    queueId: key.readUInt16BE(0) & (isLong ? ~KEYED : 0xffff),
    rank: key.readUInt8(2),
    lane: isLong ? key.readUIntBE(3, 6) : 0,
    ord: key.readUIntBE(at, 6),
    sub: key.readUInt16BE(at + 6),
  }
}

/**
 * A page that waits for its instant, by the number of its first job. The page of one that left others behind has a key of its own: it
 * may become due at the very instant of those, and bear the number of their first. Older stores hold some without the last byte.
 */
export function scheduledKey(runAt: number, seq: number, isSolo: boolean): Buffer {
  const key = Buffer.allocUnsafe(isSolo ? 13 : 12)
  key.writeUIntBE(Math.max(0, Math.min(U48, Math.ceil(runAt))), 0, 6)
  key.writeUIntBE(seq, 6, 6)
  if (isSolo) key[12] = 1
  return key
}

export function readScheduledKey(key: Buffer): { runAt: number; seq: number } {
  return { runAt: key.readUIntBE(0, 6), seq: key.readUIntBE(6, 6) }
}

/** A job that lives in a page of its own, by its number. */
export const INDEX_SOLO = 0
/** A page of jobs enqueued with a delay or with a limit key, by the number of its first job. */
export const INDEX_GROUP = 1
/** A job that was in flight when the process died, to be run alone. */
export const INDEX_SUSPECT = 2
/** Who holds a unique key, by its hash. */
export const INDEX_UNIQUE = 3
/** Until when a unique key is held whatever becomes of its job, by that instant. */
export const INDEX_UNIQUE_EXPIRY = 4

export function indexKey(kind: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = kind
  key.writeUIntBE(seq, 1, 6)
  return key
}

export function numberKey(value: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(value, 0, 6)
  return key
}

const FINAL_STATES: readonly FinalState[] = ['completed', 'cancelled', 'discarded']

export function finishedKey(state: FinalState, block: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = FINAL_STATES.indexOf(state)
  key.writeUIntBE(block, 1, 6)
  return key
}

/** The first key behind all blocks of a state. */
export function finishedEnd(state: FinalState): Buffer {
  return Buffer.from([FINAL_STATES.indexOf(state) + 1])
}

export const PAYLOAD_INPUT = 0
export const PAYLOAD_OUTPUT = 1

export function payloadKey(seq: number, kind: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key.writeUIntBE(seq, 0, 6)
  key[6] = kind
  return key
}

export function metaKey(name: string): Buffer {
  return Buffer.from(name, 'utf8')
}
