/**
 * Holds the store's statistics against what a look through the whole store has found. Part of the store audit.
 *
 * - Each series' jobs that are not over are those found, of its queue and definition; what was enqueued is over, or is not.
 * - No attempt ended that did not start, and none is retried that did not fail.
 * - Sums over all series are what the store's counters have gained since the series count.
 * - A past belongs to a series, and is not ahead of it.
 *
 * Gauges follow from the jobs. Of what happened in the past nothing but the statistics knows: where they cannot be read they begin anew.
 */
import { metaKey } from '../codec/keys.js'
import {
  readSeriesKey,
  readSeriesNow,
  readSeriesPast,
  type SeriesNow,
  type SeriesPast,
  seriesKey,
  writeSeriesNow,
} from '../codec/series-record.js'
import type { JobLedger } from '../job/job-state.js'
import type { Engine, Entry, WriteBatch } from '../store/engine.js'
import { AT, type Count, COUNTS, FIELDS, GAUGES } from '../telemetry/counts.js'
import { OTHERS } from '../telemetry/series.js'
import type { Recount } from './audit-counters.js'

const FINAL_STATES = ['completed', 'cancelled', 'discarded'] as const
/** Counts of attempts that have ended, each in one of them. */
const ENDS = ['completed', 'failed', 'timedOut', 'snoozed', 'interrupted', 'crashed'] as const
const PREFIX = 'stats:'
const STEP = 500

/** As in the store audit. */
interface Problem {
  readonly text: string
  readonly repair?: (batch: WriteBatch) => void
}

interface Names {
  readonly queue: ReadonlySet<number>
  readonly definition: ReadonlySet<number>
}

export class StatisticsAudit {
  /** Jobs found in all. */
  readonly recount = nothingFound()
  /** The same, and each time that a job of them was over and was brought back. */
  readonly totals = nothingFound()
  readonly #found = new Map<string, Recount>()
  readonly #problems: Problem[] = []
  readonly #series = new Map<string, SeriesNow>()

  /** A job was found. @param ended - how often it was over before, and was brought back */
  job(queueId: number, definitionId: number, state: keyof Recount, ended: JobLedger['ended']): void {
    const name = `${queueId}:${definitionId}`
    let found = this.#found.get(name)
    if (found === undefined) {
      found = nothingFound()
      this.#found.set(name, found)
    }
    found[state]++
    this.recount[state]++
    this.totals[state]++
    for (const final of FINAL_STATES) {
      found[final] += ended?.[final] ?? 0
      this.totals[final] += ended?.[final] ?? 0
    }
  }

  /**
   * What is wrong.
   * @param counters - the record of the store's counters
   * @param keepsAll - nothing was ever pruned
   */
  check(engine: Engine, names: Names, counters: Buffer | undefined, keepsAll: boolean): readonly Problem[] {
    const past: Entry[] = []
    for (const entry of statistics(engine)) {
      const kind = readSeriesKey(entry.key)?.kind
      if (kind === 'now') this.#now(entry, names)
      else if (kind === 'past') past.push(entry)
      else if (entry.key.toString('latin1') !== `${PREFIX}since`)
        this.#problem(`meta ${entry.key.toString('latin1')} is nobody's`, (batch) => batch.remove('meta', entry.key))
    }
    for (const entry of past) this.#past(entry)
    const since = engine.get('meta', metaKey(`${PREFIX}since`))
    if (since !== undefined || this.#series.size > 0) {
      this.#gauges()
      const isWhole = this.#sums(since, counters)
      if (keepsAll && isWhole) this.#ends()
    }
    return this.#problems
  }

  #problem(text: string, repair?: Problem['repair']): void {
    this.#problems.push({ text, ...(repair && { repair }) })
  }

  #now({ key, value }: Entry, names: Names): void {
    const { queueId = -1, definitionId = -1 } = readSeriesKey(key) ?? {}
    const name = `${queueId}:${definitionId}`
    let now: SeriesNow
    try {
      now = readSeriesNow(value)
    } catch (error) {
      this.#problem(`statistics ${name} cannot be read: ${(error as Error).message}`, this.#rewrite(name, newCounts()))
      this.#series.set(name, { at: 0, counts: newCounts() })
      return
    }
    this.#series.set(name, now)
    const isOthers = queueId === OTHERS && definitionId === OTHERS
    if (!isOthers && !names.queue.has(queueId)) this.#problem(`statistics ${name} are of the unknown queue ${queueId}`)
    if (!isOthers && !names.definition.has(definitionId))
      this.#problem(`statistics ${name} are of the unknown definition ${definitionId}`)
    const count = (each: Count): number => now.counts[AT[each]] ?? 0
    const ended = ENDS.reduce((sum, each) => sum + count(each), 0)
    if (ended > count('started')) this.#problem(`statistics ${name} tell of ${ended} ends of ${count('started')} attempts`)
    const failed = count('failed') + count('timedOut')
    if (count('retried') > failed)
      this.#problem(`statistics ${name} tell of ${count('retried')} retries after ${failed} failures`)
  }

  #past({ key, value }: Entry): void {
    const { queueId, definitionId } = readSeriesKey(key) ?? {}
    const name = `${queueId}:${definitionId}`
    const repair = (batch: WriteBatch): void => batch.remove('meta', key)
    const now = this.#series.get(name)
    if (now === undefined) {
      this.#problem(`the past of statistics ${name} belongs to none`, repair)
      return
    }
    let past: SeriesPast
    try {
      past = readSeriesPast(value)
    } catch (error) {
      this.#problem(`the past of statistics ${name} cannot be read: ${(error as Error).message}`, repair)
      return
    }
    const last = past.marks.map((marks) => marks.at(-1)?.counts ?? [])
    if (COUNTS.some((each) => last.some((counts) => (counts[AT[each]] ?? 0) > (now.counts[AT[each]] ?? 0))))
      this.#problem(`the past of statistics ${name} is ahead of them`, repair)
  }

  /** Jobs that are not over, series by series. Those of pairs without one are counted by the series of all others, if there is one. */
  #gauges(): void {
    const others = `${OTHERS}:${OTHERS}`
    const hasOthers = this.#series.has(others)
    const expected = new Map<string, Recount>([...this.#series.keys()].map((name) => [name, nothingFound()]))
    for (const [name, found] of this.#found) {
      const holder = hasOthers && !this.#series.has(name) ? others : name
      const sum = expected.get(holder) ?? nothingFound()
      for (const state of [...GAUGES, ...FINAL_STATES]) sum[state] += found[state]
      expected.set(holder, sum)
    }
    this.#found.clear()
    for (const [name, found] of expected) this.#found.set(name, found)
    for (const [name, found] of expected) {
      const now = this.#series.get(name)
      const counts = now?.counts ?? newCounts()
      const told = GAUGES.map((gauge) => counts[AT[gauge]] ?? 0)
      const right = GAUGES.map((gauge) => found[gauge])
      const repair = this.#rewrite(name, counts)
      if (now === undefined) {
        if (right.some((jobs) => jobs > 0))
          this.#problem(`there are no statistics of ${name}, which has ${right.join(', ')} jobs`, repair)
      } else if (told.some((jobs, index) => jobs !== right[index]))
        this.#problem(
          `statistics ${name} tell of ${told.join(', ')} jobs waiting, scheduled and retryable, a recount gives ${right.join(', ')}`,
          repair,
        )
      const over = FINAL_STATES.reduce((sum, state) => sum + (counts[AT[state]] ?? 0), 0)
      const all = over + told.reduce((sum, jobs) => sum + jobs, 0)
      if (counts[AT.enqueued] !== all)
        this.#problem(
          `statistics ${name} tell of ${counts[AT.enqueued]} jobs enqueued and of ${all} that became something`,
          repair,
        )
    }
  }

  /** Returns whether all that is over has been counted by a series. */
  #sums(since: Buffer | undefined, counters: Buffer | undefined): boolean {
    const before = parsed(since)
    const stored = parsed(counters)
    if (stored === undefined) return false
    const right: Record<string, number> = { at: before?.['at'] ?? 0 }
    for (const state of FINAL_STATES) {
      const counted = [...this.#series.values()].reduce((sum, { counts }) => sum + (counts[AT[state]] ?? 0), 0)
      right[state] = (stored[state] ?? 0) - counted
    }
    const isRight = before !== undefined && FINAL_STATES.every((state) => before[state] === right[state])
    const record = Buffer.from(JSON.stringify(right), 'utf8')
    if (!isRight)
      this.#problem(
        `statistics since ${since?.toString('utf8') ?? 'nobody knows when'} do not add up to the counters: ${JSON.stringify(right)}`,
        (batch) => batch.put('meta', metaKey(`${PREFIX}since`), record),
      )
    return isRight && FINAL_STATES.every((state) => right[state] === 0)
  }

  /** Jobs that are over, series by series. */
  #ends(): void {
    for (const [name, found] of this.#found) {
      const counts = this.#series.get(name)?.counts
      for (const state of FINAL_STATES)
        if ((counts?.[AT[state]] ?? 0) !== found[state])
          this.#problem(`statistics ${name} tell of ${counts?.[AT[state]]} jobs ${state}, a recount gives ${found[state]}`)
    }
  }

  /** The record with the gauges as they were found, and what must have been enqueued then. */
  #rewrite(name: string, counts: Float64Array): (batch: WriteBatch) => void {
    return (batch) => {
      const [queueId = 0, definitionId = 0] = name.split(':').map(Number)
      const right = counts.slice()
      const found = this.#found.get(name) ?? nothingFound()
      for (const gauge of GAUGES) right[AT[gauge]] = found[gauge]
      right[AT.enqueued] = [...GAUGES, ...FINAL_STATES].reduce((sum, state) => sum + (right[AT[state]] ?? 0), 0)
      const at = this.#series.get(name)?.at ?? 0
      batch.put('meta', seriesKey('now', queueId, definitionId), writeSeriesNow({ at, counts: right }))
    }
  }
}

function nothingFound(): Recount {
  return { waiting: 0, scheduled: 0, retryable: 0, completed: 0, cancelled: 0, discarded: 0 }
}

function newCounts(): Float64Array {
  return new Float64Array(FIELDS)
}

/** The record of numbers, if it can be read. */
function parsed(record: Buffer | undefined): Readonly<Record<string, number>> | undefined {
  try {
    const read: unknown = JSON.parse(record?.toString('utf8') ?? 'null')
    return typeof read === 'object' && read !== null ? (read as Record<string, number>) : undefined
  } catch {
    return undefined
  }
}

function* statistics(engine: Engine): Generator<Entry> {
  let start = metaKey(PREFIX)
  const end = metaKey('stats;')
  for (;;) {
    const found = engine.range('meta', { start, end, limit: STEP })
    yield* found
    const last = found.at(-1)
    if (last === undefined || found.length < STEP) return
    start = Buffer.concat([last.key, Buffer.of(0)])
  }
}
