/** Command lines for a store that is there, with how each has to end: where nobody has it open, and where an executor has. */
import { NO_COUNTS, NO_DURATIONS, SHELL, STRAY } from './lines.js'
import type { End } from './run-line.js'

export interface StoreLine {
  /** Words in capitals stand for what `SUBJECTS` makes of them. */
  readonly args: readonly string[]
  readonly closed: End
  readonly open: End
}

/** Jobs of a store. */
export interface StoreIds {
  readonly done: string
  /** In a queue that is paused. */
  readonly waiting: string
  /** Due in an hour. */
  readonly later: string
  readonly cancelled: string
}

type Subject = (directory: string, ids: StoreIds) => string

/** What differs from store to store. */
export const SUBJECTS: ReadonlyMap<string, Subject> = new Map(
  Object.entries<Subject>({
    DIR: (directory) => directory,
    DONE: (_, { done }) => done,
    WAITING: (_, { waiting }) => waiting,
    LATER: (_, { later }) => later,
    CANCELLED: (_, { cancelled }) => cancelled,
    // Well formed, and of no job yet: its number is far ahead.
    NOBODY: (_, { done }) => `00zz000000${done.slice(10)}`,
  }),
)

function both(end: End, ...all: readonly (readonly string[])[]): StoreLine[] {
  return all.map((args) => ({ args, closed: end, open: end }))
}

/** What a command needs behind the directory. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  'jobs show': ['LATER'],
  pause: ['default'],
  resume: ['images'],
  enqueue: ['echo', '1'],
  backup: ['copy'],
  'schedules remove': ['leap'],
  'jobs retry': ['--all'],
  'jobs run': ['--all'],
  'jobs cancel': ['--all'],
  'jobs discard': ['--all'],
  top: ['--once', '--interval=1'],
}
/** Right lines, each of which does something or shows something; every one is made wrong in several ways. */
const RIGHT = SHELL.map((words) => ({ words, rest: NEEDS[words.join(' ')] ?? [] }))
const CHANGES = ['retry', 'run', 'cancel', 'discard']

export const STORE_LINES: readonly StoreLine[] = [
  ...RIGHT.flatMap(({ words, rest }) => [
    ...both('wrong', ...STRAY.map((option) => [...words, 'DIR', ...rest, option])),
    ...both('wrong', [...words, 'DIR', ...rest, '--timeout'], [...words, 'DIR', ...rest, '--json=1']),
    ...both('wrong', ...NO_DURATIONS.map((limit) => [...words, 'DIR', ...rest, `--timeout=${limit}`])),
    ...both('wrong', ...(rest.includes('--all') ? [] : [[...words, 'DIR', ...rest, 'and', 'more', 'than', 'it', 'takes']])),
  ]),
  ...CHANGES.flatMap((verb) => [
    ...both('wrong', ['jobs', verb, 'DIR'], ['jobs', verb, 'DIR', '--dry-run'], ['jobs', verb, 'DIR', '--limit=1']),
    ...both('wrong', ['jobs', verb, 'DIR', 'LATER', '--all'], ['jobs', verb, 'DIR', '--all', '--name=echo']),
    ...both(
      'wrong',
      ['jobs', verb, 'DIR', '--state=lost'],
      ['jobs', verb, 'DIR', '--state=', '--all'],
      ['jobs', verb, 'DIR', '--queue'],
    ),
    ...both('wrong', ...NO_DURATIONS.map((age) => ['jobs', verb, 'DIR', '--name=echo', `--older-than=${age}`])),
    ...both('wrong', ...NO_COUNTS.slice(1).map((limit) => ['jobs', verb, 'DIR', '--name=echo', `--limit=${limit}`])),
    ...both(
      'refused',
      ['jobs', verb, 'DIR', 'nonsense'],
      ['jobs', verb, 'DIR', 'LATER', 'nonsense'],
      ['jobs', verb, 'DIR', 'DONE'],
    ),
    ...both(
      'refused',
      ['jobs', verb, 'DIR', 'NOBODY'],
      ['jobs', verb, 'DIR', '\u001b[31m'],
      ['jobs', verb, 'DIR', 'x'.repeat(5000)],
    ),
  ]),
  ...both('wrong', ['jobs', 'retry', 'DIR', '--all', '--reason=x'], ['jobs', 'run', 'DIR', '--all', '--reason=x']),
  ...both('refused', ['jobs', 'run', 'DIR', '--state=completed'], ['jobs', 'retry', 'DIR', '--state=available']),
  ...both('refused', ['jobs', 'cancel', 'DIR', '--state=completed'], ['jobs', 'discard', 'DIR', '--state=cancelled']),
  // Several things are wrong at once.
  ...both('refused', ['jobs', 'cancel', 'DIR', 'nonsense', '--state=discarded,cancelled']),
  ...both(
    'wrong',
    ['jobs', 'list', 'DIR', '--payloads'],
    ['jobs', 'list', 'DIR', '--limit=-1'],
    ['jobs', 'list', 'DIR', '--state=x'],
  ),
  ...both(
    'refused',
    ['jobs', 'show', 'DIR', 'nonsense'],
    ['jobs', 'show', 'DIR', 'NOBODY'],
    ['jobs', 'show', 'DIR', 'x'.repeat(5000)],
  ),
  ...both('wrong', ...[...NO_COUNTS, '1025'].map((count) => ['threads', 'DIR', `--set=${count}`])),
  ...both('wrong', ...NO_COUNTS.map((count) => ['queues', 'DIR', 'default', `--concurrency=${count}`])),
  ...both('wrong', ['queues', 'DIR', '--concurrency=1'], ['metrics', 'DIR', '--json'], ['top', 'DIR', '--json']),
  ...both('refused', ['queues', 'DIR', 'lost'], ['queues', 'DIR', 'lost', '--concurrency=1'], ['queues', 'DIR', '__proto__']),
  ...both('refused', ['pause', 'DIR', 'lost'], ['pause', 'DIR', 'lost', '--interrupt'], ['resume', 'DIR', '\u001b[31m']),
  ...both(
    'refused',
    ['resume', 'DIR', 'x'.repeat(5000)],
    ['schedules', 'remove', 'DIR', 'lost'],
    ['schedules', 'remove', 'DIR', '__proto__'],
  ),
  ...both('wrong', ['enqueue', 'DIR', 'echo', '{'], ['enqueue', 'DIR', 'echo', ''], ['enqueue', 'DIR', 'echo', '-']),
  ...both('wrong', ['enqueue', 'DIR', 'echo', '1', '--priority=high'], ['enqueue', 'DIR', 'echo', '1', '--max-retries=-1']),
  ...both('wrong', ['enqueue', 'DIR', 'echo', '1', '--delay=-1s'], ['enqueue', 'DIR', 'echo', '1', '--run-timeout=never']),
  ...both(
    'refused',
    ['enqueue', 'DIR', 'lost', '1'],
    ['enqueue', 'DIR', 'constructor', '1'],
    ['enqueue', 'DIR', '\u001b[31m', '1'],
  ),
  ...both('refused', ['enqueue', 'DIR', 'echo', '1', '--queue=lost'], ['enqueue', 'DIR', 'echo', '1', '--priority=500']),
  ...both(
    'refused',
    ['enqueue', 'DIR', 'checked', '{"text":"x","say":"refuse"}'],
    ['enqueue', 'DIR', 'checked', '{"say":"throw"}'],
  ),
  ...both('refused', ['enqueue', 'DIR', 'checked', '{"say":"many"}'], ['enqueue', 'DIR', 'x'.repeat(5000), '1']),
  ...both(
    'refused',
    ['backup', 'DIR', 'DIR'],
    ['backup', 'DIR', 'file'],
    ['backup', 'DIR', 'file/below'],
    ['backup', 'DIR', 'x'.repeat(5000)],
  ),
  { args: ['threads', 'DIR', '--set=3'], closed: 'refused', open: 'answered' },
  { args: ['top', 'DIR', '--once', '--interval=1'], closed: 'refused', open: 'answered' },
  { args: ['top', 'DIR'], closed: 'refused', open: 'refused' },
  { args: ['compact', 'DIR'], closed: 'answered', open: 'in use' },
  { args: ['doctor', 'DIR', '--repair'], closed: 'answered', open: 'in use' },
  { args: ['doctor', 'DIR', '--timeout=0'], closed: 'wrong', open: 'wrong' },
]

/** Words of which lines for a store are made at random. */
export const STORE_WORDS = {
  commands: [...SHELL, ['compact'], ['doctor'], ['jobs', 'constructor'], ['schedules', 'drop']],
  more: [
    ...Object.values(NEEDS),
    ...['LATER', 'WAITING', 'DONE', 'CANCELLED', 'NOBODY', 'nonsense', 'lost', 'leap', 'images', 'echo', 'checked'].map(
      (word) => [word],
    ),
    ...['--dry-run', '--json', '--all', '--interrupt', '--once', '--payloads', '--repair', '--help', '--__proto__'].map(
      (word) => [word],
    ),
    ...['--name=echo', '--queue=images', '--state=scheduled', '--state=discarded,cancelled', '--older-than=1ms'].map((word) => [
      word,
    ]),
    ...['--reason=why', '--limit=1', '--limit=x', '--concurrency=2', '--concurrency=none', '--set=2', '--set=0'].map((word) => [
      word,
    ]),
    ...['--delay=1h', '--priority=3', '--timeout=30s', '--timeout=0', '--interval=1', '', '{', '"text"', '\u001b[31m'].map(
      (word) => [word],
    ),
  ],
} as const satisfies Readonly<Record<string, readonly (readonly string[])[]>>
