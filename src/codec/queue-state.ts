/**
 * What an operator has set of a queue: under `queue-state:<queue id>` in `meta`, as JSON. A record that says nothing is not kept.
 *
 *   { "paused": boolean, "concurrency"?: whole number of 1 or more, or "∞" }
 */
import { corrupt } from './corrupt.js'

export interface QueueState {
  readonly paused: boolean
  /** `Infinity` included. `undefined`: the executor's option holds. */
  readonly concurrency: number | undefined
}

/** Of a queue that nobody has touched. */
export const PLAIN_QUEUE: QueueState = Object.freeze({ paused: false, concurrency: undefined })

export const QUEUE_STATE = 'queue-state'

/** JSON has no Infinity. */
const UNBOUNDED = '∞'

/** The record's bytes; undefined when there is nothing to be said. */
export function writeQueueState({ paused, concurrency }: QueueState): Buffer | undefined {
  if (!paused && concurrency === undefined) return undefined
  const stored = { paused, ...(concurrency !== undefined && { concurrency: concurrency === Infinity ? UNBOUNDED : concurrency }) }
  return Buffer.from(JSON.stringify(stored), 'utf8')
}

/** @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readQueueState(bytes: Buffer): QueueState {
  const what = 'What was set of a queue'
  let stored: { paused?: unknown; concurrency?: unknown } | null
  try {
    stored = JSON.parse(bytes.toString('utf8')) as typeof stored
  } catch (error) {
    throw corrupt(what, error)
  }
  const { paused, concurrency } = stored ?? {}
  const bound = concurrency === UNBOUNDED ? Infinity : concurrency
  const isBound = bound === undefined || bound === Infinity || (Number.isSafeInteger(bound) && (bound as number) >= 1)
  if (typeof paused !== 'boolean' || !isBound) throw corrupt(what, bytes.toString('utf8').slice(0, 100))
  return { paused, concurrency: bound as number | undefined }
}
