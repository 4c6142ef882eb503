/**
 * What was started under rates, durable in `meta` under `rate:<queue>` and `rate:<queue>.<lane, 12 hex digits>`: the span in ms that
 * it matters for, and moments (epoch ms) with their starts. Written in the commit that claims the jobs.
 */
import { MillraceError } from '../base/errors.js'
import { metaKey } from '../codec/keys.js'
import type { Engine, WriteBatch } from './engine.js'

export interface StoredRate {
  readonly spanMs: number
  readonly moments: readonly (readonly [at: number, starts: number])[]
}

const PREFIX = 'rate:'
const END = metaKey('rate;')

/** The name of a rate: of a queue, or of one of its limit keys. */
export function rateName(queueId: number, lane: number): string {
  return lane === 0 ? String(queueId) : `${queueId}.${lane.toString(16).padStart(12, '0')}`
}

export function putRate(batch: WriteBatch, name: string, rate: StoredRate): void {
  batch.put('meta', metaKey(PREFIX + name), Buffer.from(JSON.stringify(rate), 'utf8'))
}

export function removeRate(batch: WriteBatch, name: string): void {
  batch.remove('meta', metaKey(PREFIX + name))
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readRate(engine: Engine, name: string): StoredRate | undefined {
  const value = engine.get('meta', metaKey(PREFIX + name))
  return value === undefined ? undefined : parseRate(name, value)
}

/** Rates whose names follow `after`, in order. */
export function readRates(engine: Engine, after: string, limit: number): { name: string; rate: StoredRate }[] {
  const start = Buffer.concat([metaKey(PREFIX + after), Buffer.of(0)])
  return engine.range('meta', { start, end: END, limit }).map(({ key, value }) => {
    const name = key.toString('utf8').slice(PREFIX.length)
    return { name, rate: parseRate(name, value) }
  })
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function parseRate(name: string, value: Buffer): StoredRate {
  let rate: StoredRate | undefined
  try {
    rate = JSON.parse(value.toString('utf8')) as StoredRate
  } catch {
    rate = undefined
  }
  const isRight =
    rate !== undefined &&
    rate.spanMs > 0 &&
    Array.isArray(rate.moments) &&
    rate.moments.every(([at, starts]) => Number.isFinite(at) && Number.isSafeInteger(starts) && starts > 0)
  if (isRight) return rate as StoredRate
  throw new MillraceError('MILLRACE_STORE_CORRUPT', `The store's record of the rate ${JSON.stringify(name)} cannot be read.`)
}
