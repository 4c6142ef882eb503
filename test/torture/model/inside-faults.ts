/** Faults in what chooses jobs and in what ends attempts, planted by methods in the place of the classes' own for as long as a search lasts. */
import { JobMoves } from '../../../src/executor/job-moves.js'
import { Registry } from '../../../src/executor/registry.js'
import { Settlement } from '../../../src/executor/settlement.js'
import type { JobLedger } from '../../../src/job/job-state.js'
import type { AttemptOutcome } from '../../../src/job/job-info.js'
import { Lane } from '../../../src/scheduler/lane.js'
import { Picker } from '../../../src/scheduler/picker.js'
import { ReadyQueue } from '../../../src/scheduler/ready-queue.js'
import { ScheduledPages } from '../../../src/store/scheduled-pages.js'
import type { Slice } from '../../../src/store/page-ref.js'
import { planted } from '../../support/planted.js'
import type { ModelFault, Plant } from './model-fault.js'

/** Puts `method` in the place of a class's own. */
function planting<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  method: (own: Owner[Name]) => Owner[Name],
): Plant {
  return (run) => planted(owner, name, method, run)
}

function both(outer: Plant, inner: Plant): Plant {
  return (run) => outer(() => inner(run))
}

/** The jobs that came last first. */
function sortBackwards(slices: readonly Slice[]): void {
  const own = slices as Slice[]
  own.sort((left, right) => right.page.ord - left.page.ord || right.page.sub - left.page.sub || right.from - left.from)
}

/** As it is when an attempt that ended so has used up a retry. */
function charged(ledger: JobLedger, outcome: AttemptOutcome): JobLedger {
  return ledger.attempts.at(-1)?.outcome === outcome ? { ...ledger, charged: ledger.charged + 1 } : ledger
}

function isWaitedIn(lane: Lane): boolean {
  return lane.front() !== undefined
}

/** Where the first job of a lane stands in the order of all. */
function frontOf(lane: Lane): number {
  return lane.front()?.page.ord ?? Infinity
}

/** Whether the end of an attempt is being decided. */
let isDeciding = false

/** Sooner than it may, in ms. */
const EARLY_MS = 20_000

export const INSIDE_FAULTS: readonly ModelFault[] = [
  {
    name: 'scheduler whose lanes give what came last first',
    extent: 'order',
    seenBy: /began before job \d+, which was enqueued first/,
    plant: planting(
      Lane.prototype,
      'front',
      (own) =>
        function front(this: Lane) {
          own.call(this)
          sortBackwards(this.window)
          return own.call(this)
        },
    ),
  },
  {
    name: 'scheduler that does not heed priorities',
    extent: 'order',
    seenBy: /began before job \d+, which was of higher priority/,
    plant: planting(
      Picker.prototype,
      'take',
      (own) =>
        function take(this: Picker, ...args: Parameters<Picker['take']>) {
          const [{ lanes }] = args
          const all = [...lanes]
          const [oldest] = all.filter(isWaitedIn).sort((left, right) => frontOf(left) - frontOf(right))
          if (oldest !== undefined) lanes.splice(0, lanes.length, oldest)
          try {
            return own.apply(this, args)
          } finally {
            lanes.splice(0, lanes.length, ...all)
          }
        },
    ),
  },
  {
    name: 'scheduler that forgets a queue after its first jobs',
    seenBy: /could run and does not/,
    hangMs: 10_000,
    plant: planting(ReadyQueue.prototype, 'admits', (own) => {
      const asked = new WeakMap<ReadyQueue, number>()
      return function admits(this: ReadyQueue, slot: number) {
        asked.set(this, (asked.get(this) ?? 0) + 1)
        return (asked.get(this) ?? 0) < 10 && own.call(this, slot)
      }
    }),
  },
  {
    name: 'executor that charges a snooze',
    extent: 'attempts',
    seenBy: /shows attempt \d+ instead of|is numbered \d+ after/,
    plant: planting(
      JobMoves.prototype,
      'retry',
      (own) =>
        function retry(this: JobMoves, job, ledger, runAt) {
          own.call(this, job, charged(ledger, 'snoozed'), runAt)
        },
    ),
  },
  {
    name: 'executor that charges an interruption',
    extent: 'attempts',
    seenBy: /shows attempt \d+ instead of|is numbered \d+ after/,
    plant: planting(
      JobMoves.prototype,
      'putBack',
      (own) =>
        function putBack(this: JobMoves, job, ledger) {
          own.call(this, job, charged(ledger, 'interrupted'))
        },
    ),
  },
  {
    name: 'executor that begins jobs before they are due',
    extent: 'attempts',
    seenBy: /allowed: (cancelled, )?(scheduled|retryable)/,
    plant: planting(
      ScheduledPages.prototype,
      'readDue',
      (own) =>
        function readDue(this: ScheduledPages, now, limit) {
          return own.call(this, now + EARLY_MS, limit)
        },
    ),
  },
  {
    name: 'executor that retries once more than it may',
    extent: 'attempts',
    seenBy: /allowed: discarded/,
    plant: both(
      planting(
        Settlement.prototype,
        'end',
        (own) =>
          function end(this: Settlement, job, ended) {
            isDeciding = true
            try {
              own.call(this, job, ended)
            } finally {
              isDeciding = false
            }
          },
      ),
      planting(
        Registry.prototype,
        'settings',
        (own) =>
          function settings(this: Registry, id, overrides) {
            const found = own.call(this, id, overrides)
            return isDeciding ? { ...found, maxRetries: found.maxRetries + 1 } : found
          },
      ),
    ),
  },
]
