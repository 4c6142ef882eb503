/** Changes how many threads run jobs. */
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import type { WriteBatch } from '../store/engine.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { Claims } from './claims.js'
import type { Settlement } from './settlement.js'
import type { Turns } from './turns.js'

export interface ThreadControlOptions {
  readonly dispatcher: Dispatcher
  readonly claims: Claims
  readonly ready: ReadyQueues
  readonly turns: Turns
}

/** Resolves when new threads have started, and surplus ones hold nothing but what they are at. */
export function setThreads(threads: number, { dispatcher, claims, ready, turns }: ThreadControlOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const run = ({ tidings }: Settlement, writes: WriteBatch): void => {
      claims.threadsChanged(dispatcher.resize(threads), writes)
      ready.threadsChanged()
      tidings.add(resolve)
    }
    turns.request({ run, reject })
  })
}
