/** Cancels a job wherever it is: scheduled, waiting, waiting inside a batch, or running. */
import type { Clock } from '../base/clock.js'
import { INDEX_GROUP, INDEX_SOLO, indexKey } from '../codec/keys.js'
import { ENTRY_RETRY } from '../codec/page.js'
import type { JobAddress } from '../job/job-id.js'
import type { WriteBatch } from '../store/engine.js'
import type { LocateOptions, Place } from './locate.js'
import { locate } from './locate.js'
import type { ResultRegistry } from './results.js'
import type { Settlement } from './settlement.js'
import type { Turns } from './turns.js'
import { withdraw } from './withdraw.js'

export interface CancelOptions extends LocateOptions {
  readonly turns: Turns
  readonly results: ResultRegistry
  readonly clock: Clock
  readonly abortGraceMs: number
}

/** Resolves with true once the job is durably cancelled, with false when it was over already or ended first. */
export function cancelJob(address: JobAddress, reason: string | undefined, options: CancelOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { failure } = options.turns
    if (failure !== undefined) {
      reject(failure)
      return
    }
    const run = (settlement: Settlement, writes: WriteBatch): void => {
      const place = locate(address, options)
      if (place === undefined) {
        resolve(false)
        return
      }
      if (place.at === 'scheduled') cancelScheduled(place, reason, settlement, writes, options)
      else if (!cancelWaiting(place, reason, settlement, options)) {
        stopRunning(place, address.seq, reason, { resolve, reject }, options)
        return
      }
      settlement.tidings.add(() => resolve(true))
    }
    options.turns.request({ run, reject })
  })
}

function cancelScheduled(
  place: Place & { at: 'scheduled' },
  reason: string | undefined,
  settlement: Settlement,
  writes: WriteBatch,
  { store, results }: CancelOptions,
): void {
  const { scheduled, page, index } = place
  settlement.cancelScheduled(place, reason)
  store.changingScheduled(scheduled.key, page)
  if (((page.data[place.offset + 6] ?? 0) & ENTRY_RETRY) !== 0) store.counters.retryable--
  else store.counters.scheduled--
  page.markDone(index)
  if (!page.isOver) {
    // Of this commit already: the next cancel of the same turn may be the one that empties the page.
    page.marked = true
    writes.put('marks', scheduled.key, page.marks())
    return
  }
  settlement.unscheduled.add(scheduled.key.toString('latin1'))
  settlement.tidings.add(() => results.pageOver(page))
  writes.remove('scheduled', scheduled.key)
  if (page.marked) writes.remove('marks', scheduled.key)
  writes.remove('index', indexKey(page.header.solo ? INDEX_SOLO : INDEX_GROUP, page.header.firstSeq))
}

/** True when the job was waiting, in its lane or inside a batch, and is cancelled now. */
function cancelWaiting(
  place: Place & { at: 'page' },
  reason: string | undefined,
  settlement: Settlement,
  options: CancelOptions,
): boolean {
  if (!withdraw(place, options)) return false
  settlement.cancelWaiting(place, reason)
  options.store.changing(place.page)
  return true
}

/** Asks the running job to stop, and ends its thread if it does not. */
function stopRunning(
  place: Place & { at: 'page' },
  seq: number,
  reason: string | undefined,
  answer: { resolve: (cancelled: boolean) => void; reject: (error: Error) => void },
  options: CancelOptions,
): void {
  const held = options.dispatcher.find(place.page, place.index)
  if (held === undefined || held.index < held.batch.control.finished) {
    answer.resolve(false)
    return
  }
  const { batch, slot, index } = held
  batch.cancelled.set(index, reason ?? '')
  slot.abort(batch, index, reason ?? 'The job was cancelled.')
  const timer = options.clock.after(options.abortGraceMs, () => {
    if (batch.end === undefined && batch.running === index) slot.terminate('cancel', batch, index)
  })
  timer.setRef(true)
  options.turns.awaitCancel({
    batch,
    index,
    seq,
    resolve: (cancelled) => {
      timer.cancel()
      answer.resolve(cancelled)
    },
    reject: (error) => {
      timer.cancel()
      answer.reject(error)
    },
  })
}
