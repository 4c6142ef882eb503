/**
 * The store's statistics: one series for each queue and definition that have met, and the place where the counts of jobs by state
 * change, those of the whole store among them, so that sums and parts cannot come apart.
 *
 * What a turn changes is written by the commit of that very turn, one record for each series touched; `durable` follows when the commit
 * is. Records: `codec/series-record`, and in `meta` under `stats:since` from when the series count, and what had been counted before.
 */
import { MillraceError } from '../base/errors.js'
import { MAX_SERIES } from '../base/limits.js'
import { metaKey } from '../codec/keys.js'
import { entryEnd, PAGE_HEADER_BYTES } from '../codec/page.js'
import {
  readSeriesKey,
  readSeriesNow,
  readSeriesPast,
  seriesEnd,
  seriesKey,
  writeSeriesNow,
  writeSeriesPast,
} from '../codec/series-record.js'
import type { FinalState } from '../job/job-info.js'
import type { AttemptEnd } from '../job/job-state.js'
import { AT, type Count, type Gauge } from '../telemetry/counts.js'
import { Histogram } from '../telemetry/histogram.js'
import { OTHERS, Series } from '../telemetry/series.js'
import { WindowTime } from '../telemetry/windows.js'
import type { Counters } from './counters.js'
import type { Engine, Entry, WriteBatch } from './engine.js'
import type { PageRef, Slice } from './page-ref.js'

/** From when the series count. */
export interface Since {
  /** Epoch ms. */
  readonly at: number
  /** Jobs that were over before, and so are in the store's counters alone. */
  readonly completed: number
  readonly cancelled: number
  readonly discarded: number
}

const STEP = 1000

/**
 * What the record says, if there is one.
 * @throws MillraceError `MILLRACE_STORE_CORRUPT`
 */
export function storedSince(record: unknown): Since | undefined {
  if (record === undefined) return undefined
  const { at, completed, cancelled, discarded } = (record ?? {}) as Since
  if (![at, completed, cancelled, discarded].every(Number.isSafeInteger)) {
    const message = `The store's record "stats:since" cannot be read: ${JSON.stringify(record)}. \`millrace doctor --repair\` makes it anew.`
    throw new MillraceError('MILLRACE_STORE_CORRUPT', message)
  }
  return { at, completed, cancelled, discarded }
}

export class Statistics {
  readonly series = new Map<number, Series>()
  since: Since | undefined
  /** From the beginning of a turn until its commit was durable, in ms. */
  readonly turns = new Histogram()
  readonly #counters: Counters
  readonly #time: WindowTime
  #at = 0
  #last: Series | undefined
  #hasNewSince = false
  /** Of the turn under way, and of the commit under way. */
  #touched: Series[] = []
  #written: Series[] = []

  /** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
  constructor(engine: Engine, counters: Counters, since: Since | undefined) {
    this.#counters = counters
    this.since = since
    for (const { key, value } of entries(engine, 'now')) {
      const names = readSeriesKey(key)
      if (names === undefined) continue
      const { queueId, definitionId } = names
      const past = engine.get('meta', seriesKey('past', queueId, definitionId))
      const { marks, wait, run } = past === undefined ? NO_PAST : readSeriesPast(past)
      const stored = { ...readSeriesNow(value), marks: marks?.map((each) => [...each]), wait, run }
      this.series.set(numberOf(queueId, definitionId), new Series(queueId, definitionId, stored))
    }
    this.#time = new WindowTime(Math.max(0, ...[...this.series.values()].map(({ at }) => at)))
  }

  /** A turn begins. @param now - epoch ms */
  begin(now: number): void {
    this.#at = this.#time.at(now)
    this.turns.roll(this.#at)
    if (this.since !== undefined) return
    const { completed, cancelled, discarded } = this.#counters
    this.since = { at: now, completed, cancelled, discarded }
    this.#hasNewSince = true
  }

  /** The instant by which windows are read. @param now - epoch ms */
  at(now: number): number {
    return this.#time.at(now)
  }

  /** The series that counts for a queue and definition, if there is one. */
  known(queueId: number, definitionId: number): Series | undefined {
    return this.series.get(numberOf(queueId, definitionId)) ?? this.series.get(numberOf(OTHERS, OTHERS))
  }

  /** The series of a queue and definition, to be changed by the turn under way. */
  of(queueId: number, definitionId: number): Series {
    const last = this.#last
    if (last !== undefined && last.definitionId === definitionId && last.queueId === queueId && last.isTouched) return last
    const series = this.#find(queueId, definitionId)
    if (!series.isTouched) {
      series.touch(this.#at)
      this.#touched.push(series)
    }
    this.#last = series
    return series
  }

  /** More jobs wait in some way, or fewer. */
  shift(queueId: number, definitionId: number, gauge: Gauge, jobs: number): void {
    this.#counters[gauge] += jobs
    const { counts } = this.of(queueId, definitionId)
    counts[AT[gauge]] = (counts[AT[gauge]] ?? 0) + jobs
  }

  /** Jobs are over. */
  over(queueId: number, definitionId: number, state: FinalState, jobs: number): void {
    this.#counters[state] += jobs
    const { counts } = this.of(queueId, definitionId)
    counts[AT[state]] = (counts[AT[state]] ?? 0) + jobs
  }

  /** Jobs that are over leave the finished ones, or do not join them. */
  left(state: FinalState, jobs: number): void {
    const { gone } = this.#counters
    if (gone !== undefined) gone[state] += jobs
  }

  /** First attempts that completed. */
  completed(queueId: number, definitionId: number, jobs: number): void {
    this.shift(queueId, definitionId, 'waiting', -jobs)
    this.over(queueId, definitionId, 'completed', jobs)
    const { counts } = this.of(queueId, definitionId)
    counts[AT.started] = (counts[AT.started] ?? 0) + jobs
  }

  /** An attempt has ended. What it means for the job is counted apart. */
  ended(queueId: number, definitionId: number, kind: AttemptEnd['kind'], isRetried: boolean): void {
    const { counts } = this.of(queueId, definitionId)
    counts[AT.started] = (counts[AT.started] ?? 0) + 1
    const count = COUNT_OF[kind]
    if (count === undefined) return
    counts[AT[count]] = (counts[AT[count]] ?? 0) + 1
    if (isRetried && count !== 'snoozed') counts[AT.retried] = (counts[AT.retried] ?? 0) + 1
  }

  /** A page of new jobs is stored. */
  stored(page: PageRef, gauge: Gauge): void {
    eachDefinition(page, (definitionId, jobs) => {
      this.shift(page.queueId, definitionId, gauge, jobs)
      const { counts } = this.of(page.queueId, definitionId)
      counts[AT.enqueued] = (counts[AT.enqueued] ?? 0) + jobs
    })
  }

  /** A job that was over is brought back. It counts as enqueued once more; that it had ended stays counted, for counts only grow. */
  revived(queueId: number, definitionId: number): void {
    this.shift(queueId, definitionId, 'waiting', 1)
    const { counts } = this.of(queueId, definitionId)
    counts[AT.enqueued] = (counts[AT.enqueued] ?? 0) + 1
  }

  /** The jobs of a page that are not over wait in another way. */
  moved(page: PageRef, from: Gauge, to: Gauge): void {
    eachDefinition(page, (definitionId, jobs) => {
      this.shift(page.queueId, definitionId, from, -jobs)
      this.shift(page.queueId, definitionId, to, jobs)
    })
  }

  /** The jobs of a page were there before the series were, and are in the store's counters. They count as enqueued. */
  found(page: PageRef, gauge: Gauge): void {
    eachDefinition(page, (definitionId, jobs) => {
      const { counts } = this.of(page.queueId, definitionId)
      counts[AT[gauge]] = (counts[AT[gauge]] ?? 0) + jobs
      counts[AT.enqueued] = (counts[AT.enqueued] ?? 0) + jobs
    })
  }

  /** Whether times were measured that are not stored. */
  get hasNewTimes(): boolean {
    for (const { hasNewTimes } of this.series.values()) if (hasNewTimes) return true
    return false
  }

  /** Writes what the turn has changed. */
  write(batch: WriteBatch): void {
    if (this.#hasNewSince) {
      batch.put('meta', metaKey('stats:since'), Buffer.from(JSON.stringify(this.since), 'utf8'))
      this.#hasNewSince = false
    }
    for (const series of this.#touched) {
      const { queueId, definitionId } = series
      batch.put('meta', seriesKey('now', queueId, definitionId), writeSeriesNow(series))
      if (series.hasNewMarks) writePast(series, batch)
      series.isTouched = false
    }
    this.#written = this.#touched
    this.#touched = []
  }

  /** Writes the times that were measured since the last record. */
  writeTimes(batch: WriteBatch): void {
    for (const series of this.series.values()) if (series.hasNewTimes) writePast(series, batch)
  }

  /** What was written has become durable. */
  committed(): void {
    for (const { durable, counts } of this.#written) durable.set(counts)
    this.#written = []
  }

  #find(queueId: number, definitionId: number): Series {
    const known = this.series.get(numberOf(queueId, definitionId))
    if (known !== undefined) return known
    if (this.series.size >= MAX_SERIES && definitionId !== OTHERS) return this.#find(OTHERS, OTHERS)
    const series = new Series(queueId, definitionId)
    this.series.set(numberOf(queueId, definitionId), series)
    return series
  }
}

/** Under what the end of an attempt counts; those that end the job count by its state. */
const COUNT_OF: { readonly [Kind in AttemptEnd['kind']]: Count | undefined } = {
  completed: undefined,
  failed: 'failed',
  timedOut: 'timedOut',
  fatal: 'failed',
  unfit: 'failed',
  snoozed: 'snoozed',
  cancelled: undefined,
  dismissed: undefined,
  interrupted: 'interrupted',
  crashed: 'crashed',
  suspect: 'interrupted',
}

const NO_PAST = { marks: undefined, wait: undefined, run: undefined }

function numberOf(queueId: number, definitionId: number): number {
  return queueId * 0x10000 + definitionId
}

function writePast(series: Series, batch: WriteBatch): void {
  const { queueId, definitionId, windows, wait, run } = series
  const past = { marks: windows.marks, wait: wait.generations, run: run.generations }
  batch.put('meta', seriesKey('past', queueId, definitionId), writeSeriesPast(past))
  series.hasNewMarks = false
  series.hasNewTimes = false
}

/** Visits the definitions of a page's jobs that are not over. */
function eachDefinition(page: PageRef, visit: (definitionId: number, jobs: number) => void): void {
  const { uniformDefinition, header, doneCount } = page
  if (uniformDefinition >= 0) visit(uniformDefinition, header.count - doneCount)
  else eachOfSlice({ page, from: 0, to: header.count, offset: PAGE_HEADER_BYTES }, page.data, visit)
}

/** Visits the definitions of the jobs that are not over, each with how many of them follow one another. */
export function eachOfSlice(slice: Slice, bytes: Buffer, visit: (definitionId: number, jobs: number) => void): void {
  const { page, from, to } = slice
  let jobs = 0
  let definitionId = -1
  let { offset } = slice
  for (let index = from; index < to; index++) {
    if (!page.isDone(index)) {
      const id = bytes.readUInt16LE(offset + 4)
      if (id !== definitionId && jobs > 0) {
        visit(definitionId, jobs)
        jobs = 0
      }
      definitionId = id
      jobs++
    }
    offset = entryEnd(bytes, offset)
  }
  if (jobs > 0) visit(definitionId, jobs)
}

function* entries(engine: Engine, kind: 'now' | 'past'): Generator<Entry> {
  let start = Buffer.from(`stats:${kind}:`, 'latin1')
  for (;;) {
    const found = engine.range('meta', { start, end: seriesEnd(kind), limit: STEP })
    yield* found
    const last = found.at(-1)
    if (last === undefined || found.length < STEP) return
    start = Buffer.concat([last.key, Buffer.of(0)])
  }
}
