/**
 * The two records of a series of statistics (`telemetry/series`), in table `meta`, by the numbers of its queue and definition.
 *
 * `stats:now:<queue>:<definition>`, written by every commit that changes a count, 120 bytes, little-endian:
 *   0   f64  when it last changed, by the window time, in epoch ms
 *   8   f64 × 14, the counts and gauges in the order of `telemetry/counts`
 *
 * `stats:past:<queue>:<definition>`, written when a count changes for the first time in a minute, and at close. Numbers are varints: seven
 * bits a byte, low ones first, the high bit when more follow.
 *   u8 version (1)
 *   per window (hour, day, 30 days): marks; per mark, oldest first: its step and its eleven counts, each less that of the mark before
 *   per histogram (wait, run): generations; per generation, oldest first: its slot less that of the one before, the sum in µs, buckets
 *     that are not empty, and of each its number less that of the one before, and its count
 *
 * The counts are exact after a kill at any moment. Of the histograms a kill takes what was measured in the minute before it at most.
 */
import { MillraceError } from '../base/errors.js'
import { COUNTS, FIELDS } from '../telemetry/counts.js'
import { BUCKETS, emptyGeneration, type Generation } from '../telemetry/histogram.js'
import { type Mark, WINDOWS } from '../telemetry/windows.js'
import { ByteWriter } from './byte-writer.js'
import { corrupt } from './corrupt.js'

const PAST_VERSION = 1
export const NOW_BYTES: number = 8 * (FIELDS + 1)
/** Most past records are shorter. */
const PAST_BYTES = 1024
const HISTOGRAMS = ['wait', 'run'] as const

export interface SeriesNow {
  readonly at: number
  /** Gauges included. */
  readonly counts: Float64Array
}

export interface SeriesPast {
  /** Per window, oldest first. */
  readonly marks: readonly Mark[][]
  readonly wait: readonly Generation[]
  readonly run: readonly Generation[]
}

export function seriesKey(kind: 'now' | 'past', queueId: number, definitionId: number): Buffer {
  return Buffer.from(`stats:${kind}:${queueId}:${definitionId}`, 'latin1')
}

/** The first key behind those of a kind. */
export function seriesEnd(kind: 'now' | 'past'): Buffer {
  return Buffer.from(`stats:${kind};`, 'latin1')
}

/** The numbers in a key of a series, or undefined if it is none. */
export function readSeriesKey(key: Buffer): { kind: 'now' | 'past'; queueId: number; definitionId: number } | undefined {
  const [, kind, queueId, definitionId] = /^stats:(now|past):(\d{1,5}):(\d{1,5})$/.exec(key.toString('latin1')) ?? []
  if (kind === undefined) return undefined
  return { kind: kind as 'now' | 'past', queueId: Number(queueId), definitionId: Number(definitionId) }
}

export function writeSeriesNow({ at, counts }: SeriesNow): Buffer {
  const bytes = Buffer.allocUnsafe(NOW_BYTES)
  bytes.writeDoubleLE(at, 0)
  for (let place = 0; place < FIELDS; place++) bytes.writeDoubleLE(counts[place] ?? 0, 8 * (place + 1))
  return bytes
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readSeriesNow(bytes: Buffer): SeriesNow {
  if (bytes.length !== NOW_BYTES) throw unreadable(`it has ${bytes.length} bytes instead of ${NOW_BYTES}`)
  const numbers = Array.from({ length: FIELDS + 1 }, (_, place) => bytes.readDoubleLE(8 * place))
  const [at = 0, ...counts] = numbers
  const wrong = counts.find((count) => !Number.isSafeInteger(count) || count < 0)
  if (wrong !== undefined || !Number.isFinite(at)) throw unreadable(`it holds ${wrong ?? at}`)
  return { at, counts: Float64Array.from(counts) }
}

export function writeSeriesPast(past: SeriesPast): Buffer {
  const writer = new ByteWriter(PAST_BYTES)
  writer.u8(PAST_VERSION)
  for (const marks of past.marks) {
    writeNumber(writer, marks.length)
    let before: Mark = { step: 0, counts: [] }
    for (const mark of marks) {
      writeNumber(writer, mark.step - before.step)
      for (let place = 0; place < COUNTS.length; place++)
        writeNumber(writer, (mark.counts[place] ?? 0) - (before.counts[place] ?? 0))
      before = mark
    }
  }
  for (const name of HISTOGRAMS) writeGenerations(writer, past[name])
  return writer.finish()
}

function writeGenerations(writer: ByteWriter, all: readonly Generation[]): void {
  const generations = all.filter(({ counts }) => counts.some((count) => count > 0))
  writeNumber(writer, generations.length)
  let slotBefore = 0
  for (const { slot, counts, sumMs } of generations) {
    writeNumber(writer, slot - slotBefore)
    writeNumber(writer, Math.min(Number.MAX_SAFE_INTEGER, Math.round(sumMs * 1000)))
    writeNumber(
      writer,
      counts.reduce((buckets, count) => buckets + (count > 0 ? 1 : 0), 0),
    )
    let bucketBefore = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = counts[bucket] ?? 0
      if (count === 0) continue
      writeNumber(writer, bucket - bucketBefore)
      writeNumber(writer, count)
      bucketBefore = bucket
    }
    slotBefore = slot
  }
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readSeriesPast(bytes: Buffer): SeriesPast {
  try {
    return new PastReader(bytes).read()
  } catch (error) {
    throw corrupt('The past of a record of statistics', error)
  }
}

class PastReader {
  readonly #bytes: Buffer
  #at = 1

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  read(): SeriesPast {
    const [version] = this.#bytes
    if (version !== PAST_VERSION) throw unreadable(`it has version ${version ?? 'none'}; this package reads ${PAST_VERSION}`)
    const past: SeriesPast = {
      marks: WINDOWS.map(({ steps }) => this.#marks(steps + 1)),
      wait: this.#generations(),
      run: this.#generations(),
    }
    if (this.#at !== this.#bytes.length) throw unreadable('it has bytes that are nobody’s')
    return past
  }

  #marks(atMost: number): Mark[] {
    const marks: Mark[] = []
    let step = 0
    let counts = new Float64Array(COUNTS.length)
    for (let left = this.#number(atMost); left > 0; left--) {
      step += this.#number()
      counts = counts.map((count) => count + this.#number())
      marks.push({ step, counts })
    }
    return marks
  }

  #generations(): Generation[] {
    const generations: Generation[] = []
    let slot = 0
    for (let left = this.#number(BUCKETS); left > 0; left--) {
      slot += this.#number()
      const generation = emptyGeneration(slot)
      generation.sumMs = this.#number() / 1000
      let bucket = 0
      for (let buckets = this.#number(BUCKETS); buckets > 0; buckets--) {
        bucket += this.#number()
        if (bucket >= BUCKETS) throw unreadable(`it counts in bucket ${bucket} of ${BUCKETS}`)
        generation.counts[bucket] = this.#number(0xffffffff)
      }
      generations.push(generation)
    }
    return generations
  }

  #number(atMost = Number.MAX_SAFE_INTEGER): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw unreadable('it is cut short')
      value += (byte & 0x7f) * factor
      if (value > atMost) throw unreadable(`it holds ${value} where at most ${atMost} can be`)
      if (byte < 128) return value
    }
  }
}

function writeNumber(writer: ByteWriter, value: number): void {
  let rest = value
  while (rest >= 128) {
    writer.u8((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  writer.u8(rest)
}

function unreadable(reason: string): MillraceError {
  const message = `A record of statistics cannot be read: ${reason}. \`millrace doctor --repair\` begins it anew.`
  return new MillraceError('MILLRACE_STORE_CORRUPT', message)
}
