/** Histories that once found something, as small as fast-check made them, each with what it found. */
import type { Enqueue, History } from './history.js'

const gate: Enqueue = { do: 'enqueue', jobs: 1, definition: 'work', act: 'gate', times: 1, afterMs: 0 }

export interface Regression {
  readonly found: string
  readonly history: History
}

export const REGRESSIONS: readonly Regression[] = [
  {
    found: 'jobs taken back from one slow thread were parked behind another one',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, jobs: 3, runAt: 500 },
        { ...gate, definition: 'shaped', times: 3, queue: 'default' },
        { do: 'advance', ms: 1000 },
        { do: 'release', job: 3 },
      ],
    },
  },
  {
    found: 'suspects whose enqueue was never acknowledged',
    history: {
      threads: 2,
      retain: 'all',
      commands: [{ do: 'kill', calls: [{ ...gate, jobs: 2, act: 'heed' }], commit: 1, durable: true }],
    },
  },
  {
    found: 'a timeout that strikes while the handler is being loaded, across two kills',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        {
          do: 'kill',
          calls: [{ ...gate, jobs: 2, definition: 'brief', act: 'loop', times: 3, large: true, priority: 127, timeout: 50 }],
          commit: 5,
          durable: false,
        },
        { do: 'kill', calls: [], commit: 4, durable: false },
        { do: 'cancel', jobs: [20, 0] },
      ],
    },
  },
  {
    found: 'a queue of concurrency 1 counted as at work in a thread that none of its jobs was in any more',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, act: 'return', queue: 'narrow' },
        {
          do: 'together',
          calls: [
            { ...gate, act: 'heed', queue: 'narrow' },
            { ...gate, act: 'heed', queue: 'default' },
          ],
        },
      ],
    },
  },
  {
    found: 'retryIf of a definition with a unique key',
    history: { threads: 2, retain: 'all', commands: [{ ...gate, definition: 'single', act: 'refuse', jobs: 2 }] },
  },
  {
    found: 'a job whose enqueue was cut off, cancelled while it runs and not kept',
    history: {
      threads: 2,
      retain: 0,
      commands: [
        { do: 'kill', calls: [{ ...gate, act: 'heed' }], commit: 1, durable: true },
        { do: 'cancel', jobs: [0] },
        { do: 'kill', calls: [], commit: 1, durable: false },
      ],
    },
  },
  {
    found: 'a job that a thread held unbegun, past the time it had to begin by, when the process died',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, jobs: 3, startBefore: { ms: 60_000, span: false } },
        { do: 'advance', ms: 60_000 },
        { do: 'kill', calls: [], commit: 1, durable: false },
      ],
    },
  },
  {
    found: 'a key of a job that is over, whose queue is purged in the turn that enqueues another',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        {
          ...gate,
          definition: 'shaped',
          act: 'return',
          unique: { key: 'x', while: 'kept', within: undefined, onConflict: 'return' },
        },
        {
          do: 'together',
          calls: [
            { do: 'purge', queue: 'narrow' },
            { ...gate, definition: 'shaped', unique: { key: 'x', while: 'waiting', within: undefined, onConflict: 'return' } },
          ],
        },
      ],
    },
  },
  {
    found: 'a suspect that runs alone while its queue is paused',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, queue: 'other' },
        { do: 'kill', calls: [], commit: 1, durable: false },
        { ...gate, act: 'return', queue: 'default' },
        { do: 'pause', queue: 'other', interrupt: false },
      ],
    },
  },
  ...[true, false].map((durable) => ({
    found: `two cancels of a job in one turn, of which a death ${durable ? 'behind' : 'before'} the commit left the second one an answer`,
    history: {
      threads: 2,
      retain: 'all' as const,
      commands: [
        { ...gate, act: 'return' as const, delay: 86_400_000 },
        {
          do: 'kill' as const,
          calls: [
            { do: 'cancel' as const, jobs: [0] },
            { do: 'cancel' as const, jobs: [0] },
          ],
          commit: 1,
          durable,
        },
      ],
    },
  })),
  {
    found: 'a job that was over, brought back and cancelled in the turns before a death, beside a cancel that said false',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, delay: 86_400_000 },
        { do: 'cancel', jobs: [0] },
        {
          do: 'kill',
          calls: [
            { do: 'cancel', jobs: [0] },
            { do: 'retry', jobs: [0] },
            { do: 'cancel', jobs: [0] },
          ],
          commit: 2,
          durable: true,
        },
      ],
    },
  },
  {
    found: 'a job that waited, cancelled and brought back by calls of one turn',
    history: {
      threads: 1,
      retain: 'all',
      commands: [
        { ...gate, delay: 86_400_000 },
        {
          do: 'together',
          calls: [
            { do: 'cancel', jobs: [0] },
            { do: 'retry', jobs: [0] },
          ],
        },
      ],
    },
  },
  {
    found: 'a job that two others replace in one turn, of which only the first one tells a time',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        {
          do: 'together',
          calls: [
            { ...gate, definition: 'single' },
            {
              ...gate,
              definition: 'single',
              unique: { key: 'x', while: 'waiting', within: undefined, onConflict: 'debounce' },
              delay: 5000,
            },
            { ...gate, definition: 'single', unique: { key: 'x', while: 'waiting', within: undefined, onConflict: 'replace' } },
          ],
        },
      ],
    },
  },
  {
    found: 'a pause that interrupts what runs, and whose commit is cut off, rejected a promise that nobody heard of',
    history: {
      threads: 2,
      retain: 'all',
      commands: [gate, { do: 'kill', calls: [{ do: 'pause', queue: 'default', interrupt: true }], commit: 1, durable: true }],
    },
  },
  {
    found: 'a purge of the queue of a job whose place another one has taken',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        {
          ...gate,
          definition: 'brief',
          act: 'return',
          queue: 'narrow',
          delay: 10_000,
          unique: { key: 'y', while: 'waiting', within: undefined, onConflict: 'return' },
        },
        {
          ...gate,
          definition: 'brief',
          act: 'return',
          unique: { key: 'y', while: 'waiting', within: undefined, onConflict: 'replace' },
        },
        { do: 'purge', queue: 'narrow' },
      ],
    },
  },
  {
    found: 'a job that a thread gave back unbegun, and that counts as in flight when the process dies, under a rate',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, act: 'heed', jobs: 3, limit: 'paced' },
        { do: 'kill', calls: [], commit: 1, durable: false },
      ],
    },
  },
  {
    found: 'a job that a pause interrupted, and whose interruption was stored before the process died',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, act: 'heed' },
        { do: 'kill', calls: [{ do: 'pause', queue: 'default', interrupt: true }], commit: 6, durable: false },
      ],
    },
  },
  {
    found: 'a job that is brought back after its run was cancelled at the gate, and has yet to come to it again',
    history: {
      threads: 2,
      retain: 'all',
      commands: [gate, { do: 'cancel', jobs: [0] }, { do: 'retry', jobs: [0] }],
    },
  },
  {
    found:
      'a job that a thread had given back unbegun when the process died, and that runs to its end past the time it had to begin by',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, jobs: 3, startBefore: { ms: 60_000, span: false } },
        { do: 'advance', ms: 60_000 },
        {
          do: 'kill',
          calls: [
            { do: 'release', job: 0 },
            { do: 'release', job: 1 },
            { do: 'release', job: 2 },
          ],
          commit: 1,
          durable: false,
        },
      ],
    },
  },
  {
    found: 'a job that waited in front of others, and is cancelled and not kept while these begin',
    history: {
      threads: 1,
      retain: 0,
      commands: [
        gate,
        { ...gate, jobs: 2 },
        {
          do: 'together',
          calls: [
            { do: 'cancel', jobs: [1] },
            { do: 'release', job: 0 },
          ],
        },
      ],
    },
  },
  {
    found: 'a job that was brought back so often that the attempts of its lives are not kept one by one',
    history: {
      threads: 1,
      retain: 'all',
      commands: [{ ...gate, act: 'fatal' }, ...Array.from({ length: 22 }, () => ({ do: 'retry' as const, jobs: [0] }))],
    },
  },
  {
    found: 'a suspect under a rate that waits for threads which start, and have nothing left to do',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, jobs: 2, act: 'fatal' },
        { ...gate, queue: 'narrow', limit: 'paced' },
        { do: 'kill', calls: [{ do: 'pause', queue: 'narrow', interrupt: false }], commit: 6, durable: false },
        {
          do: 'together',
          calls: [
            { do: 'retry', jobs: [0] },
            { do: 'retry', jobs: [1] },
            { do: 'purge', queue: 'default' },
          ],
        },
      ],
    },
  },
  {
    found: 'suspects that had not begun before, which come before a job of higher priority when their queue goes on',
    history: {
      threads: 1,
      retain: 'all',
      commands: [
        { do: 'together', calls: [gate, { ...gate, jobs: 2, act: 'return' }] },
        { do: 'kill', calls: [{ do: 'pause', queue: 'default', interrupt: false }], commit: 6, durable: false },
        { ...gate, act: 'return', priority: 127 },
        { do: 'release', job: 0 },
        { do: 'resume', queue: 'default' },
      ],
    },
  },
  {
    found: 'the end of a job before it was brought back, and replaced by two others in the same turn (the model looked for it)',
    history: {
      threads: 2,
      retain: 'all',
      commands: [
        { ...gate, definition: 'brief', act: 'retry', times: 2, unique: { key: 'x', while: 'incomplete', onConflict: 'return' } },
        {
          do: 'together',
          calls: [
            { ...gate, jobs: 2, definition: 'brief', unique: { key: 'x', while: 'waiting', onConflict: 'replace' } },
            { do: 'retry', jobs: [0] },
          ],
        },
      ],
    },
  },
]
