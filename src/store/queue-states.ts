/** What operators have set of queues, by queue: read when the store is opened, written by the commit that changes it. */
import { metaKey } from '../codec/keys.js'
import { QUEUE_STATE, readQueueState, writeQueueState, type QueueState } from '../codec/queue-state.js'
import type { Engine, WriteBatch } from './engine.js'

const STEP = 1000

/** At most as many as there are queues, which `MAX_NAMES` bounds. @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readQueueStates(engine: Engine): Map<number, QueueState> {
  const states = new Map<number, QueueState>()
  let start = metaKey(`${QUEUE_STATE}:`)
  const end = metaKey(`${QUEUE_STATE};`)
  for (;;) {
    const entries = engine.range('meta', { start, end, limit: STEP })
    for (const { key, value } of entries) states.set(Number(key.toString('utf8').split(':')[1]), readQueueState(value))
    const last = entries.at(-1)
    if (last === undefined || entries.length < STEP) return states
    start = Buffer.concat([last.key, Buffer.of(0)])
  }
}

export function putQueueState(batch: WriteBatch, queueId: number, state: QueueState): void {
  const key = metaKey(`${QUEUE_STATE}:${queueId}`)
  const bytes = writeQueueState(state)
  if (bytes === undefined) batch.remove('meta', key)
  else batch.put('meta', key, bytes)
}
