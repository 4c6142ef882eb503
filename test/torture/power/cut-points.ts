/**
 * Where a recording is cut, and what is lost there. A cut where everything was synced proves little, so most fall where something
 * was not; and many right after something was told, which is where a missing sync shows.
 */
import type { Prng } from '../../support/prng.js'
import type { RecordedEvent } from '../shim/recording.js'
import type { Disk, Loss } from './disk.js'
import { LOSSES } from './disk.js'

export interface CutPoint {
  /** The cut comes after this event. */
  readonly at: number
  readonly loss: Loss
  /** Names that were not synced are gone, too. */
  readonly unnamed: boolean
}

/** Told to somebody: from here on it must not be untold. */
const TOLD: ReadonlySet<string> = new Set(['ack', 'result', 'outcome', 'failed', 'start', 'scheduled'])

/** `count` moments, in order. `disk` is fed with the whole recording. */
export function cutPoints(events: readonly RecordedEvent[], disk: Disk, count: number, prng: Prng): CutPoint[] {
  const pending: number[] = []
  const told: number[] = []
  const opening: number[] = []
  const unnamed = new Set<number>()
  let isOpen = false
  for (const [at, event] of events.entries()) {
    disk.apply(event)
    if (disk.isPending) pending.push(at)
    if (!disk.isNamed) unnamed.add(at)
    if (!isOpen) opening.push(at)
    if (event.kind !== 'note') continue
    isOpen ||= event.note.is === 'open'
    if (TOLD.has(event.note.is)) told.push(at)
  }
  // The first acknowledgement and the last: what is never synced at all shows at either.
  const acks = [...events.keys()].filter((at) => noteOf(events[at]) === 'ack')
  const points = [acks[0], acks.at(-1)].flatMap((at) => (at === undefined ? [] : [point(at, 'nothing is kept')]))
  while (points.length < count) {
    const roll = prng.next()
    if (roll < 0.3 && told.length > 0)
      points.push(point(prng.pick(told), prng.next() < 0.5 ? 'nothing is kept' : prng.pick(LOSSES)))
    else if (roll < 0.5 && opening.length > 0) points.push(point(prng.pick(opening), prng.pick(LOSSES)))
    else if (pending.length > 0) points.push(point(prng.pick(pending), prng.pick(LOSSES)))
    else points.push(point(prng.below(events.length), prng.pick(LOSSES)))
  }
  return points.sort((left, right) => left.at - right.at)

  function point(at: number, loss: Loss): CutPoint {
    return { at, loss, unnamed: unnamed.has(at) && (loss === 'nothing is kept' || prng.next() < 0.5) }
  }
}

function noteOf(event: RecordedEvent | undefined): string | undefined {
  return event?.kind === 'note' ? event.note.is : undefined
}
