/**
 * The statistics of one queue and definition together. Those of a queue, or of a definition, are sums over such series: so they cannot
 * disagree, and a commit writes one record for jobs of one definition in one queue instead of two.
 *
 * Invariant between two commits: `enqueued` = `completed` + `cancelled` + `discarded` + `waiting` + `scheduled` + `retryable`.
 */
import { FIELDS } from './counts.js'
import { Histogram } from './histogram.js'
import { Windows } from './windows.js'

/** Stands for every queue and definition beyond `MAX_SERIES`. */
export const OTHERS = 0xffff

export class Series {
  readonly queueId: number
  readonly definitionId: number
  /** As the commit being put together leaves them. */
  readonly counts: Float64Array
  /** As of the last durable commit. */
  readonly durable: Float64Array
  readonly windows: Windows
  /** From when a run could begin to when it did, in ms. */
  readonly wait: Histogram
  /** Of runs whose end was told by their thread, timed out, or took it down, in ms. */
  readonly run: Histogram
  /** When the counts last changed, by the window time. */
  at: number
  /** The commit being put together changes the counts. */
  isTouched = false
  /** Marks, or times measured, that are not stored. */
  hasNewMarks = false
  hasNewTimes = false

  constructor(queueId: number, definitionId: number, stored?: StoredSeries) {
    this.queueId = queueId
    this.definitionId = definitionId
    this.counts = stored?.counts ?? new Float64Array(FIELDS)
    this.durable = this.counts.slice()
    this.at = stored?.at ?? 0
    this.windows = new Windows(stored?.marks)
    this.wait = new Histogram(stored?.wait)
    this.run = new Histogram(stored?.run)
  }

  /** The commit being put together will change the counts. */
  touch(at: number): void {
    this.isTouched = true
    this.at = at
    if (this.windows.note(at, this.counts)) this.hasNewMarks = true
    this.wait.roll(at)
    this.run.roll(at)
  }

  /** A run has ended. @param startedAt - epoch ms */
  measure({ solo, enqueuedAt, runAt }: Readiness, startedAt: number, runMs: number): void {
    this.hasNewTimes = true
    this.run.add(runMs)
    // One that was put back after a run has waited for nobody knows how long.
    if (!solo || runAt > 0) this.wait.add(startedAt - Math.max(enqueuedAt, runAt))
  }
}

/** From when a job could run, as its page tells. */
interface Readiness {
  readonly solo: boolean
  /** Epoch ms. */
  readonly enqueuedAt: number
  /** Epoch ms; 0 for at once. */
  readonly runAt: number
}

/** What is stored of a series. */
export interface StoredSeries {
  readonly at: number
  readonly counts: Float64Array
  readonly marks: ConstructorParameters<typeof Windows>[0]
  readonly wait: ConstructorParameters<typeof Histogram>[0]
  readonly run: ConstructorParameters<typeof Histogram>[0]
}
