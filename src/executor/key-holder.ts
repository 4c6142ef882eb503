/** Who holds a unique key at this point of a turn: the jobs of earlier commits, and those that this turn has ended or moved. */
import type { KeyHolder } from '../codec/unique-entry.js'
import type { Retention } from '../maintenance/retention.js'
import { locate, type LocateOptions, type Place } from './locate.js'
import type { Settlement } from './settlement.js'
import { hasBegun } from './withdraw.js'

export interface KeyHolderOptions extends LocateOptions {
  readonly retention: Retention
}

/** The job that holds the key as things stand now. */
export function keyHolder(hash: string, settlement: Settlement, now: number, options: KeyHolderOptions): KeyHolder | undefined {
  const holder = options.store.uniques.find(hash)
  if (holder === undefined || holder.expiresAt > now) return holder
  if (holder.released) return undefined
  if (holder.over) return isKept(holder.seq, settlement, options) ? holder : undefined
  if (holder.while !== 'waiting') return holder
  const place = placeOfHolder(holder, settlement, options)
  return place === undefined || hasBegun(place, options) ? undefined : holder
}

export function placeOfHolder(
  { seq, queueId, rank }: KeyHolder,
  settlement: Settlement,
  options: LocateOptions,
): Place | undefined {
  return settlement.moves.places.get(seq) ?? locate({ seq, queueId, rank }, options)
}

/** Whether a job that is over is still there for whoever asks. */
function isKept(seq: number, settlement: Settlement, { retention }: KeyHolderOptions): boolean {
  return settlement.moves.ended.has(seq) || retention.find(seq) !== undefined
}
