/** Joins the memory watch to the rest: what it decides becomes an admission of the dispatcher, and an event. */
import type { Clock } from '../base/clock.js'
import type { Dispatcher } from '../dispatcher/dispatcher.js'
import { type MemoryAction, type MemoryThread, MemoryWatch } from '../maintenance/memory-watch.js'
import type { ReadyQueues } from '../scheduler/ready-queues.js'
import type { EventHub } from './events.js'
import type { ThreadMessages } from './thread-messages.js'
import type { Turns } from './turns.js'

export interface MemoryGuardOptions {
  readonly clock: Clock
  readonly dispatcher: Dispatcher
  readonly ready: ReadyQueues
  readonly events: EventHub
  readonly turns: Turns
  readonly messages: ThreadMessages
  /** `Infinity`: no limit, and no watch. */
  readonly limitBytes: number
  readonly rssBytes: () => number
}

const ADMISSIONS = { open: 'all', paused: 'none', slowed: 'one' } as const

export function guardMemory(options: MemoryGuardOptions): MemoryWatch | undefined {
  const { clock, dispatcher, messages, limitBytes, rssBytes } = options
  if (limitBytes === Infinity) return undefined
  const watch = new MemoryWatch({
    clock,
    limitBytes,
    rssBytes,
    threads: () => threadsOf(dispatcher, messages),
    isRecycling: () => dispatcher.slots.some(({ mode, isStuck }) => mode === 'recycling' || (mode === 'terminating' && !isStuck)),
    isIdle: () => dispatcher.isIdle,
    onChange: (action, bytes, threadId) => {
      dispatcher.admission = ADMISSIONS[watch.mode]
      if (action === 'paused') takeBack(options)
      else options.turns.poke()
      tell(options, action, bytes, threadId)
    },
  })
  return watch
}

function threadsOf({ slots }: Dispatcher, { heldBytes }: ThreadMessages): MemoryThread[] {
  const alive = new Set(slots.map(({ threadId }) => threadId))
  for (const threadId of heldBytes.keys()) if (!alive.has(threadId)) heldBytes.delete(threadId)
  return slots
    .filter(({ mode }) => mode === 'open')
    .map((slot) => ({
      threadId: slot.threadId,
      heldBytes: heldBytes.get(slot.threadId) ?? 0,
      recycle: () => slot.recycle(),
    }))
}

/** What no thread has begun waits as well. */
function takeBack({ turns, dispatcher, ready }: MemoryGuardOptions): void {
  const run = (): void => ready.putBack(dispatcher.slots.flatMap((slot) => [...slot.takeBack().values()].flat()))
  turns.request({ run, reject: () => undefined })
}

function tell({ events, limitBytes }: MemoryGuardOptions, action: MemoryAction, rssBytes: number, threadId?: number): void {
  if (events.has('memory')) events.emit('memory', { action, rssBytes, limitBytes, threadId })
  else if (action === 'slowed') {
    process.emitWarning(
      `The process uses ${rssBytes} bytes of memory although no job runs, and limits.memoryBytes is ${limitBytes}: jobs run one batch at a time. Raise the limit, or use less in the main thread.`,
      { type: 'MillraceMemory' },
    )
  }
}
