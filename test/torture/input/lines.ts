/** Command lines that nobody should type, each with how it has to end; and words of which more are made. */
import type { End } from './run-line.js'

export interface Line {
  readonly args: readonly string[]
  readonly ends: End
  /** By a user to whom the directory `taken` is closed. */
  readonly asStranger?: true
}

const LONG = 'x'.repeat(5000)
/** Near what the system takes. */
const HUGE = 'huge '.repeat(25_000)
export const NO_COUNTS = ['0', '-1', '1.5', '1e3', '0x10', ' 2', 'Infinity', 'NaN', '١', '9'.repeat(400), 'two']
export const NO_DURATIONS = ['0', '-1s', '1e3s', 'Infinity', 'soon', '1 h 5 m', '0ms', '9'.repeat(400)]
export const STRAY = [
  '--__proto__',
  '--__proto__=1',
  '--constructor',
  '--toString',
  '--=1',
  '-x',
  '-hx',
  '--no-json',
  `--${HUGE}`,
  '--\u001b[31m',
]
/** Paths that are no store's, and no folder's. */
const NO_PATHS = [
  'missing',
  'file',
  'file/below',
  'dangling',
  'dangling/below',
  'loop',
  LONG,
  'long/'.repeat(1000),
  '/proc/millrace',
]

/** Commands for a store, each with what it needs besides the directory left out. */
export const SHELL: readonly (readonly string[])[] = [
  ...['status', 'top', 'queues', 'pause', 'resume', 'schedules', 'threads', 'enqueue', 'metrics', 'backup'].map((name) => [name]),
  ...['list', 'show', 'retry', 'run', 'cancel', 'discard'].map((verb) => ['jobs', verb]),
  ['schedules', 'remove'],
]

function lines(ends: End, ...all: readonly (readonly string[])[]): Line[] {
  return all.map((args) => ({ args, ends }))
}

export const LINES: readonly Line[] = [
  ...lines('answered', [], ['--help'], ['-h'], ['help'], ['-v'], ['doctor', '--help'], ['supervise', '-h'], ['--']),
  ...['demo', 'doctor', 'compact', 'supervise'].flatMap((command) =>
    lines('wrong', ...STRAY.map((option) => [command, option, ...(command === 'supervise' ? ['--', 'true'] : ['empty'])])),
  ),
  ...lines('wrong', ...STRAY.filter((option) => option !== '-hx').map((option) => [option])),
  ...lines('wrong', [HUGE], ['\u001b[31m'], ['two\nlines'], ['-'], [''], ['constructor'], ['__proto__']),
  ...lines('wrong', ['--json'], ['--repair', '--fresh'], ['--threads', '2'], ['--help=1'], ['--version=yes'], ['help', '--json']),
  ...lines(
    'wrong',
    ['doctor'],
    ['doctor', ''],
    ['doctor', 'a', 'b'],
    ['doctor', 'a', ''],
    ['compact'],
    ['compact', 'a', 'b', HUGE],
  ),
  ...lines('wrong', ['doctor', 'empty', '--threads', '2'], ['doctor', 'empty', '--repair=1'], ['doctor', 'empty', '--json=']),
  ...lines(
    'wrong',
    ['compact', 'empty', '--repair'],
    ['compact', 'empty', '--store', 'other'],
    ['compact', 'empty', '--json=no'],
  ),
  ...lines('wrong', ['demo', ''], ['demo', 'a', 'b'], ['demo', 'folder', '--json'], ['demo', 'folder', '--fresh=yes']),
  ...lines('wrong', ['demo', '--store'], ['demo', '--store='], ['demo', '--store', '--fresh'], ['demo', '--threads', '--fresh']),
  ...lines('wrong', ...[...NO_COUNTS, '1025'].map((count) => ['demo', 'folder', '--store', 'new', `--threads=${count}`])),
  ...lines(
    'wrong',
    ['supervise'],
    ['supervise', '--'],
    ['supervise', '--', ''],
    ['supervise', 'true'],
    ['supervise', HUGE, '--', 'x'],
  ),
  ...lines(
    'wrong',
    ['supervise', '--min-delay', '--', 'true'],
    ['supervise', '--max-restarts', '--max-delay', '1s', '--', 'true'],
  ),
  ...lines('wrong', ...NO_DURATIONS.map((delay) => ['supervise', `--min-delay=${delay}`, '--', 'true'])),
  ...lines('wrong', ...NO_COUNTS.slice(1).map((count) => ['supervise', `--max-restarts=${count}`, '--', 'true'])),
  ...lines('wrong', ['supervise', '--min-delay=1m', '--', 'true'], ['supervise', '--help=1', '--', 'true']),
  ...NO_PATHS.flatMap((path) => lines('refused', ['demo', path, '--store', 'new'], ['compact', path], ['doctor', path])),
  ...NO_PATHS.filter((path) => path !== 'missing').map((path): Line => ({
    args: ['demo', 'folder', '--store', path],
    ends: 'refused',
  })),
  ...lines(
    'refused',
    ['demo', 'folder', '--store', 'file', '--fresh'],
    ['doctor', 'missing', '--repair'],
    ['doctor', '--json', 'file'],
  ),
  ...['empty', 'odd', 'foreign'].flatMap((path) =>
    lines('refused', ['compact', path], ['doctor', path], ['doctor', path, '--repair'], ['doctor', path, '--json']),
  ),
  ...lines('in use', ['compact', 'held'], ['doctor', 'held', '--repair']),
  ...lines(
    'cannot run',
    ...['./missing', './file', '.', 'file/below', `./${LONG}`, './loop', '\u001b[31m'].map((file) => ['supervise', '--', file]),
  ),
  ...lines('answered', ...SHELL.map((words) => [...words, '--help']), ['jobs'], ['jobs', '--help'], ['jobs', 'help']),
  ...SHELL.flatMap((words) => lines('wrong', ...STRAY.map((option) => [...words, 'empty', option]), words, [...words, ''])),
  ...SHELL.flatMap((words) => lines('wrong', ...NO_DURATIONS.slice(2).map((limit) => [...words, 'empty', `--timeout=${limit}`]))),
  ...[...NO_PATHS, 'empty', 'odd', 'foreign'].flatMap((path) =>
    lines('refused', ['status', path], ['jobs', 'cancel', path, '--all'], ['metrics', path], ['schedules', 'remove', path, 'x']),
  ),
  ...['jobs', 'jobs lst empty', 'jobs  empty', 'jobs constructor empty', 'jobs __proto__ empty', 'schedules drop empty'].flatMap(
    (line) => lines(line === 'jobs' ? 'answered' : 'wrong', line.split(' ')),
  ),
  ...lines('wrong', ...NO_COUNTS.map((count) => ['threads', 'empty', `--set=${count}`]), ['threads', 'empty', '--set=1025']),
  ...lines('wrong', ...NO_COUNTS.map((count) => ['queues', 'empty', 'default', `--concurrency=${count}`])),
  ...lines('wrong', ['queues', 'empty', '--concurrency=1'], ['metrics', 'empty', '--json'], ['top', 'empty', '--json']),
  ...lines(
    'wrong',
    ['jobs', 'list', 'empty', '--payloads'],
    ['jobs', 'cancel', 'empty'],
    ['jobs', 'retry', 'empty', '--reason=x'],
  ),
  ...lines(
    'wrong',
    ['enqueue', 'empty', 'x', '{'],
    ['enqueue', 'empty', 'x', '1', '--priority=high'],
    ['pause', 'empty', 'a', 'b'],
  ),
  ...(
    [
      ['doctor', 'taken/store'],
      ['status', 'taken/store'],
      ['jobs', 'list', 'taken'],
      ['compact', 'taken/store'],
      ['compact', 'taken'],
      ['demo', 'taken'],
      ['demo', 'folder', '--store', 'taken'],
      ['demo', 'folder', '--store', 'taken/new'],
    ] as const
  ).map((args): Line => ({ args, ends: 'refused', asStranger: true })),
]

/** Words of which lines are made at random. `true` and `./missing` are the programs to supervise: both end by themselves. */
export const WORDS = [
  ...['status', 'jobs', 'list', 'cancel', 'queues', 'pause', 'schedules', 'remove', 'threads', 'metrics', '--all', '--dry-run'],
  ...['demo', 'doctor', 'compact', 'supervise', 'help', '--', '--help', '-h', '-v', '--json', '--repair', '--fresh', '--json=1'],
  ...['--threads', '--threads=1', '2', '--store', '--store=new', '--min-delay', '1ms', '--max-restarts=0', '--max-delay=1ms'],
  ...[
    'folder',
    'empty',
    'file',
    'missing',
    'dangling',
    'odd',
    '',
    ' ',
    '-',
    '-x',
    '--__proto__',
    '\u001b[31m',
    LONG,
    'true',
    './missing',
  ],
]
