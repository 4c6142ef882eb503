/** Ends a job from outside, as cancelled or discarded, wherever it is: scheduled, waiting, waiting inside a batch, or running. */
import { INDEX_GROUP, INDEX_SOLO, indexKey } from '../codec/keys.js'
import type { Stop } from '../dispatcher/batch.js'
import type { JobAddress } from '../job/job-id.js'
import type { WriteBatch } from '../store/engine.js'
import type { LocateOptions, Place } from './locate.js'
import { locate } from './locate.js'
import type { ResultRegistry } from './results.js'
import type { Settlement } from './settlement.js'
import { stopRun, type StopAnswer, type StopRunOptions } from './stop-run.js'
import type { TurnRequest } from './turn-calls.js'
import { withdraw } from './withdraw.js'

export interface StopOptions extends LocateOptions, StopRunOptions {
  readonly results: ResultRegistry
}

/** Resolves with true once the job is durably what it was to become, with false when it was over already or ended first. */
export function stopJob(address: JobAddress, stop: Stop, options: StopOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { failure } = options.turns
    if (failure !== undefined) {
      reject(failure)
      return
    }
    const request: TurnRequest = {
      reject,
      run: (settlement, writes) => {
        if (settlement.moved.has(address.seq)) {
          options.turns.request(request)
          return
        }
        const place = locate(address, options)
        if (place === undefined) resolve(false)
        else if (place.at === 'scheduled') stopScheduled(place, stop, true, settlement, writes, options)
        else if (!stopWaiting(place, stop, true, settlement, options)) {
          stopRunning(place, stop, { resolve: (state) => resolve(state === stop.state), reject }, options)
          return
        }
        settlement.tidings.add(() => resolve(true))
      },
    }
    options.turns.request(request)
  })
}

export function stopScheduled(
  place: Place & { at: 'scheduled' },
  stop: Stop,
  isKept: boolean,
  settlement: Settlement,
  writes: WriteBatch,
  { store }: StopOptions,
): void {
  settlement.stopScheduled(place, stop, isKept)
  leaveScheduled(place, settlement, writes, store)
}

/** The job has left the page that waits in `scheduled`: it is over, or has been moved to its lane. */
export function leaveScheduled(
  { scheduled, page, index }: Place & { at: 'scheduled' },
  settlement: Settlement,
  writes: WriteBatch,
  store: StopOptions['store'],
): void {
  store.scheduled.changing(scheduled.key, page)
  page.markDone(index)
  if (!page.isOver) {
    // Of this commit already: the next one to leave in the same turn may be the one that empties the page.
    page.marked = true
    writes.put('marks', scheduled.key, page.marks())
    return
  }
  settlement.unscheduled.add(scheduled.key.toString('latin1'))
  settlement.pageOver(page)
  writes.remove('scheduled', scheduled.key)
  if (page.marked) writes.remove('marks', scheduled.key)
  writes.remove('index', indexKey(page.header.solo ? INDEX_SOLO : INDEX_GROUP, page.header.firstSeq))
}

/** True when the job was waiting, in its lane or inside a batch, and is over now. */
export function stopWaiting(
  place: Place & { at: 'page' },
  stop: Stop,
  isKept: boolean,
  settlement: Settlement,
  options: StopOptions,
): boolean {
  if (!withdraw(place, options)) return false
  settlement.stopWaiting(place, stop, isKept)
  options.store.changing(place.page)
  if (place.page.isSuspect) options.ready.suspects.leaves(place.page)
  return true
}

/** Asks the running job to stop, and ends its thread if it does not. */
export function stopRunning(
  { page, index: at }: Place & { at: 'page' },
  stop: Stop,
  answer: StopAnswer,
  options: StopOptions,
): void {
  const held = options.dispatcher.find(page, at)
  if (held === undefined || held.index < held.batch.control.finished) {
    answer.resolve(undefined)
    return
  }
  const { batch, index } = held
  if (!batch.stops.has(index)) batch.stops.set(index, stop)
  stopRun({ ...held, seq: page.seqOf(at) }, 'cancel', stop.reason ?? `The job was ${stop.state}.`, answer, options)
}
