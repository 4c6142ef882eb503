/**
 * Brings jobs back because somebody asks for it: one that was cancelled or discarded begins anew, under its number and with what it has
 * behind it; one that waits for its instant is due at once. Both go to the end of their lane.
 *
 * A job that held a unique key until it ended takes it again. If another one holds it by now, the job stays as it is: there may be one
 * of a key at a time. One that had given its key up before (to a job that replaced it, or with `while: 'waiting'` to its first run) has
 * none any more.
 */
import { INDEX_SOLO, PAYLOAD_INPUT } from '../codec/keys.js'
import { laneOfPage } from '../codec/limit-lane.js'
import {
  buildSolo,
  ENTRY_EXTERNAL,
  ENTRY_RETRY,
  type PageHeader,
  readHistory,
  readPageHeader,
  type SoloParts,
  withRunAt,
} from '../codec/page.js'
import { uniqueHash } from '../codec/unique-entry.js'
import type { FinishedEntry } from '../codec/finished-block.js'
import type { JobAddress } from '../job/job-id.js'
import { EMPTY_LEDGER, revivedLedger, transition } from '../job/job-state.js'
import type { FinalState } from '../job/job-info.js'
import type { Retention } from '../maintenance/retention.js'
import type { WriteBatch } from '../store/engine.js'
import { PageRef } from '../store/page-ref.js'
import { keyHolder } from './key-holder.js'
import type { LocateOptions, Place } from './locate.js'
import { locate } from './locate.js'
import { isRetry, promotePage } from './promotion.js'
import type { ResultRegistry } from './results.js'
import type { Settlement } from './settlement.js'
import { leaveScheduled } from './stop-job.js'
import type { Turns } from './turns.js'

export interface ReviveOptions extends LocateOptions {
  readonly turns: Turns
  readonly retention: Retention
  readonly results: ResultRegistry
}

export type RevivableState = Exclude<FinalState, 'completed'>

/** Resolves with true once the job is durably available, with false when durably there is nothing to be brought back. */
export function retryJob(address: JobAddress, options: ReviveOptions): Promise<boolean> {
  const { seq } = address
  return new Promise((resolve, reject) => {
    const run = (settlement: Settlement, writes: WriteBatch, now: number): void => {
      const place = locate(address, options)
      // This very turn has ended it: the next one finds it among those that are over.
      if (place === undefined && settlement.stopped.has(seq)) {
        options.turns.request({ run, reject })
        return
      }
      let isChanged = false
      if (place?.at === 'scheduled') {
        makeDue([place], settlement, writes, now, options)
        isChanged = true
      } else {
        const found = place === undefined ? options.retention.find(seq) : undefined
        if (found !== undefined && found.state !== 'completed') {
          if (options.retention.isBehind(found.state)) {
            options.turns.request({ run, reject })
            return
          }
          isChanged = bringBack(found.state, found.entry, settlement, writes, now, options)
          if (isChanged) options.retention.take(writes, found.state, found.block, new Set([seq]))
        }
      }
      // Perhaps this very turn has changed what there is to be brought back: nobody is told before that is durable.
      settlement.tidings.add(() => resolve(isChanged))
    }
    options.turns.request({ run, reject })
  })
}

/** Its record is to leave the finished ones in the same commit. False when another job holds its unique key: nothing has changed. */
export function bringBack(
  state: RevivableState,
  entry: FinishedEntry,
  settlement: Settlement,
  writes: WriteBatch,
  now: number,
  options: ReviveOptions,
): boolean {
  const { store } = options
  const { seq, queueId, rank, inputApart } = entry
  if (!takeKeyAgain(entry, settlement, writes, now, options)) return false
  const source = inputApart && entry.input.length < 4 ? sizeOf(store.readPayload(seq, PAYLOAD_INPUT)) : entry.input
  const parts = {
    seq,
    enqueuedAt: entry.enqueuedAt,
    // Nobody knows any more which process has checked its input: it is checked again.
    epoch: 0,
    definitionId: entry.definitionId,
    flags: inputApart ? ENTRY_EXTERNAL : 0,
    overrides: entry.overrides,
    ledger: revivedLedger(entry.ledger ?? EMPTY_LEDGER, state),
    source,
    payloadFrom: 0,
    payloadTo: source.length,
  }
  const page = append(queueId, rank, parts, writes, now, options)
  settlement.moves.revived(page, entry.definitionId, entry.overrides)
  settlement.tellRetried(page, 0, entry.definitionId)
  return true
}

/** False when another job holds the unique key that this one held until it ended. */
function takeKeyAgain(
  { seq, queueId, rank, definitionId, overrides }: FinishedEntry,
  settlement: Settlement,
  writes: WriteBatch,
  now: number,
  options: ReviveOptions,
): boolean {
  const { store } = options
  const unique = overrides?.unique
  if (unique === undefined) return true
  const hash = uniqueHash(store.definitionName(definitionId), unique.key)
  const holder = keyHolder(hash, settlement, now, options)
  if (holder !== undefined && holder.seq !== seq) return false
  // Its own time goes on.
  const own = store.uniques.find(hash)
  const expiresAt = own?.seq === seq ? own.expiresAt : 0
  store.uniques.take(writes, hash, { seq, queueId, rank, while: unique.while, released: false, over: false, expiresAt })
  return true
}

/** Jobs of one page that waits in `scheduled`. They are available from now on: `startBefore` and how long they wait count from here. */
export function makeDue(
  places: readonly (Place & { at: 'scheduled' })[],
  settlement: Settlement,
  writes: WriteBatch,
  now: number,
  options: ReviveOptions,
): void {
  const { store, results } = options
  const [first] = places
  if (first === undefined) return
  const { scheduled, page } = first
  const isWhole = page.doneCount + places.length === page.header.count
  if (isWhole) {
    const promoted = promotePage({ ...scheduled, ...dueAt(scheduled.bytes, now) }, page, writes, options)
    settlement.moves.promoted(promoted)
    store.scheduled.changing(scheduled.key, page)
    settlement.unscheduled.add(scheduled.key.toString('latin1'))
  }
  for (const place of places) {
    const { index } = place
    const { entry, overrides } = settlement.open(place)
    const seq = page.seqOf(index)
    transition(isRetry(scheduled.bytes) ? 'retryable' : 'scheduled', 'due')
    settlement.tellRetried(page, index, entry.definitionId)
    if (isWhole) {
      page.markDone(index)
      continue
    }
    store.stats.shift(page.queueId, entry.definitionId, 'scheduled', -1)
    store.stats.shift(page.queueId, entry.definitionId, 'waiting', 1)
    const ledger = readHistory(page.data, entry) ?? EMPTY_LEDGER
    const { enqueuedAt, epoch } = page.header
    const { definitionId, flags, payloadFrom, end: payloadTo } = entry
    const parts = { seq, enqueuedAt, epoch, definitionId, flags: flags & ~ENTRY_RETRY, overrides, ledger }
    append(scheduled.queueId, scheduled.rank, { ...parts, source: page.data, payloadFrom, payloadTo }, writes, now, options)
    results.moved(page, index)
    leaveScheduled(place, settlement, writes, store)
  }
}

/** The page as if it had waited for this instant. */
function dueAt(bytes: Buffer, now: number): { readonly bytes: Buffer; readonly header: PageHeader } {
  const due = withRunAt(bytes, now)
  return { bytes: due, header: readPageHeader(due) }
}

/** A page of one at the end of its lane. */
function append(
  queueId: number,
  rank: number,
  parts: Omit<SoloParts, 'runAt'>,
  writes: WriteBatch,
  now: number,
  { store, ready }: ReviveOptions,
): PageRef {
  const bytes = buildSolo({ ...parts, runAt: now })
  const page = new PageRef(queueId, rank, store.counters.nextSeq++, 0, readPageHeader(bytes), bytes, -1, laneOfPage(bytes))
  store.putPage(writes, page)
  store.putLocation(writes, INDEX_SOLO, parts.seq, page.key)
  ready.append(page)
  return page
}

/** What stands in the place of a payload that lies apart. */
function sizeOf(payload: Buffer | undefined): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(payload?.length ?? 0)
  return size
}
