/**
 * Calls that change many jobs, of any number: step by step, one turn and one commit each, so that everybody else's work goes on in
 * between. What a step has changed is durable before the next one begins; a call that ends half way has done half of it.
 */
import type { Stop } from '../dispatcher/batch.js'
import type { FinishedEntry } from '../codec/finished-block.js'
import { PAYLOAD_INPUT, PAYLOAD_OUTPUT } from '../codec/keys.js'
import { uniqueHash } from '../codec/unique-entry.js'
import type { JobState } from '../job/job-info.js'
import type { WriteBatch } from '../store/engine.js'
import type { BulkReport, BulkRule, CompiledBulkOptions, CompiledFilter } from './bulk-options.js'
import { JobWalk, type Found, type Step, type WalkOptions } from './job-walk.js'
import { bringBack, makeDue, type ReviveOptions } from './revive.js'
import type { Settlement } from './settlement.js'
import { stopRunning, stopScheduled, stopWaiting, type StopOptions } from './stop-job.js'

/** What a call does to the jobs that fit. */
export type BulkDeed =
  | { readonly do: 'retry' }
  | { readonly do: 'stop'; readonly stop: Stop }
  /** They leave the store. */
  | { readonly do: 'purge' }

const NOT_OVER: readonly JobState[] = ['scheduled', 'available', 'running', 'retryable']

export const RETRY_MANY: BulkRule = {
  call: 'retryMany',
  states: ['discarded', 'cancelled', 'retryable', 'scheduled'],
  // What nobody has failed, or somebody has cancelled, is to be named.
  usual: ['discarded', 'retryable'],
}
export const CANCEL_MANY: BulkRule = { call: 'cancelMany', states: NOT_OVER, usual: NOT_OVER }
export const DISCARD_MANY: BulkRule = { call: 'discardMany', states: NOT_OVER, usual: NOT_OVER }
const PURGED: readonly JobState[] = ['scheduled', 'available', 'retryable', 'completed', 'cancelled', 'discarded']
export const PURGE: BulkRule = { call: 'purge', states: PURGED, usual: PURGED }

/** Why those who await a job that is purged are told that it was cancelled. */
const PURGED_STOP: Stop = { state: 'cancelled', reason: 'The job was purged from its queue.' }

export interface BulkParts extends WalkOptions, StopOptions, ReviveOptions {
  readonly assertOpen: () => void
}

/** @throws MillraceError `MILLRACE_CLOSED`, `MILLRACE_STORE_FAILED`, or what `onProgress` throws */
export async function changeMany(
  deed: BulkDeed,
  filter: CompiledFilter,
  { dryRun, onProgress }: CompiledBulkOptions,
  parts: BulkParts,
): Promise<BulkReport> {
  const bulk = new Bulk(deed, filter, dryRun, parts)
  while (await bulk.step()) onProgress?.(bulk.report)
  await bulk.ended()
  return bulk.report
}

class Bulk {
  readonly #deed: BulkDeed
  readonly #filter: CompiledFilter
  readonly #isDry: boolean
  readonly #parts: BulkParts
  readonly #runs: Promise<void>[] = []
  #walk: JobWalk | undefined
  #matched = 0
  #changed = 0

  constructor(deed: BulkDeed, filter: CompiledFilter, isDry: boolean, parts: BulkParts) {
    this.#deed = deed
    this.#filter = filter
    this.#isDry = isDry
    this.#parts = parts
  }

  get report(): BulkReport {
    return { matched: this.#matched, changed: this.#changed }
  }

  /** Resolves when a step is durable: false if there was nothing left for it to do. */
  step(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      try {
        this.#parts.assertOpen()
      } catch (error) {
        reject(error)
        return
      }
      const run = (settlement: Settlement, writes: WriteBatch, now: number): void => {
        this.#walk ??= new JobWalk(this.#filter, { isDry: this.#isDry, skipsTried: this.#deed.do === 'retry' }, now, this.#parts)
        let step: Step | undefined
        try {
          step = this.#walk.next()
        } catch (error) {
          reject(error)
          return
        }
        let changed = 0
        if (!this.#isDry) for (const found of step?.found ?? []) changed += this.#change(found, settlement, writes, now)
        settlement.tidings.add(() => {
          this.#matched += step?.jobs ?? 0
          this.#changed += changed
          resolve(step !== undefined)
        })
      }
      this.#parts.turns.request({ run, reject })
    })
  }

  /** Resolves when the runs that were asked to stop have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#runs)
  }

  /** How many jobs the commit under way changes. */
  #change(found: Found, settlement: Settlement, writes: WriteBatch, now: number): number {
    if (found.at === 'finished') return this.#changeFinished(found, settlement, writes, now)
    if (this.#deed.do === 'retry') {
      if (found.at === 'page') return 0
      makeDue(found.places, settlement, writes, this.#parts)
      return found.places.length
    }
    const stop = this.#deed.do === 'purge' ? PURGED_STOP : this.#deed.stop
    const isKept = this.#deed.do !== 'purge'
    let changed = 0
    for (const place of found.places) {
      if (place.at === 'scheduled') stopScheduled(place, stop, isKept, settlement, writes, this.#parts)
      else if (!stopWaiting(place, stop, isKept, settlement, this.#parts)) {
        // Between the look and now its thread has begun it.
        if (isKept && this.#filter.states.has('running')) this.#stopRun(place, stop)
        continue
      }
      changed++
    }
    return changed
  }

  #stopRun(place: Parameters<typeof stopRunning>[0], stop: Stop): void {
    const ended = new Promise<void>((resolve, reject) => {
      const told = (state: Stop['state'] | undefined): void => {
        if (state === stop.state) this.#changed++
        resolve()
      }
      stopRunning(place, stop, { resolve: told, reject }, this.#parts)
    })
    ended.catch(() => undefined)
    this.#runs.push(ended)
  }

  #changeFinished(found: Found & { at: 'finished' }, settlement: Settlement, writes: WriteBatch, now: number): number {
    const { state, block, seqs } = found
    const { retention } = this.#parts
    const taken = new Set<number>()
    for (const entry of retention.read(state, block, seqs)) {
      if (this.#deed.do === 'purge') this.#forget(entry, writes, now)
      else if (state === 'completed' || !bringBack(state, entry, settlement, writes, now, this.#parts)) continue
      taken.add(entry.seq)
    }
    if (taken.size > 0) retention.take(writes, state, block, taken)
    return taken.size
  }

  /** What goes with the record of a finished job. */
  #forget({ seq, definitionId, inputApart, outputApart, overrides }: FinishedEntry, writes: WriteBatch, now: number): void {
    const { store } = this.#parts
    if (inputApart) store.removePayload(writes, seq, PAYLOAD_INPUT)
    if (outputApart) store.removePayload(writes, seq, PAYLOAD_OUTPUT)
    if (overrides?.unique?.while !== 'kept') return
    store.uniques.pruned(writes, uniqueHash(store.definitionName(definitionId), overrides.unique.key), seq, now)
  }
}
