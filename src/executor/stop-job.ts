/** Ends a job from outside, as cancelled or discarded, wherever it is: scheduled, waiting, waiting inside a batch, or running. */
import { assert } from '../base/assert.js'
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

/** Resolves with true once the job is durably what it was to become, with false when it durably was over already or ended first. */
export function stopJob(address: JobAddress, stop: Stop, options: StopOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const { failure } = options.turns
    if (failure !== undefined) reject(failure)
    else askToStop(address, stop, { resolve: (state) => resolve(state === stop.state), reject }, options)
  })
}

function askToStop(address: JobAddress, stop: Stop, answer: StopAnswer, options: StopOptions): void {
  const request: TurnRequest = {
    reject: (error) => answer.reject(error),
    run: (settlement, writes) => {
      if (settlement.moved.has(address.seq)) {
        options.turns.request(request)
        return
      }
      const place = locate(address, options)
      // Perhaps this very turn has ended it: nobody is told before that is durable.
      let state: Stop['state'] | undefined
      if (place !== undefined) {
        if (place.at === 'scheduled') stopScheduled(place, stop, true, settlement, writes, options)
        else if (!stopWaiting(place, stop, true, settlement, options)) {
          stopRunning(place, stop, answer, options)
          return
        }
        state = stop.state
      }
      settlement.tidings.add(() => answer.resolve(state))
    },
  }
  options.turns.request(request)
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
  assert(held !== undefined, 'a job that cannot be withdrawn is in the hands of a thread')
  const { batch, index } = held
  const seq = page.seqOf(at)
  if (index < batch.control.finished) {
    // The run has ended, and it is not settled yet what becomes of the job: it may be about to run again.
    const { queueId, rank } = page
    const lookAgain = (): void => askToStop({ seq, queueId, rank }, stop, answer, options)
    options.turns.awaitEnd({ batch, index, seq, resolve: lookAgain, reject: (error) => answer.reject(error) })
    return
  }
  if (!batch.stops.has(index)) batch.stops.set(index, stop)
  stopRun({ ...held, seq }, 'cancel', stop.reason ?? `The job was ${stop.state}.`, answer, options)
}
