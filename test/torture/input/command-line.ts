/** The command line with what nobody should type: every command, every option, paths that lead nowhere; and lines made at random. */
import { lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExecutor } from '../../../src/index.js'
import { program, type Ended, type Place } from '../../support/demo-program.js'
import { createPrng } from '../../support/prng.js'
import { rawWordsIn, shown } from './judge.js'

/** How a line may end, with its exit code. `wrong`: as a wrong command line, said in two lines. */
const ENDS = {
  answered: [0],
  wrong: [2],
  refused: [1],
  'in use': [3],
  'cannot run': [126, 127],
} as const

type End = keyof typeof ENDS

interface Line {
  readonly args: readonly string[]
  readonly ends: End
  /** By another user than root, whom permissions bind. */
  readonly asNobody?: true
}

const LONG = 'x'.repeat(5000)
/** Near what the system takes. */
const HUGE = 'huge '.repeat(25_000)
const NOBODY = 65_534
/** Processes at a time. */
const AT_ONCE = 2
/** No measure of speed: a program that says nothing for so long hangs. */
const LIMIT_MS = 60_000
/** Characters of a line on the terminal. */
const LINE_CHARACTERS = 2000

const NO_COUNTS = ['0', '-1', '1.5', '1e3', '0x10', ' 2', 'Infinity', 'NaN', '١', '9'.repeat(400), 'two']
const NO_DURATIONS = ['0', '-1s', '1e3s', 'Infinity', 'soon', '1 h 5 m', '0ms', '9'.repeat(400)]
const STRAY = [
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
const SHELL: readonly (readonly string[])[] = [
  ...['status', 'top', 'queues', 'pause', 'resume', 'schedules', 'threads', 'enqueue', 'metrics', 'backup'].map((name) => [name]),
  ...['list', 'show', 'retry', 'run', 'cancel', 'discard'].map((verb) => ['jobs', verb]),
  ['schedules', 'remove'],
]

function lines(ends: End, ...all: readonly (readonly string[])[]): Line[] {
  return all.map((args) => ({ args, ends }))
}

const LINES: readonly Line[] = [
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
  ).map((args): Line => ({ args, ends: 'refused', asNobody: true })),
]

/** Words of which lines are made at random. `true` and `./missing` are the programs to supervise: both end by themselves. */
const WORDS = [
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

export interface CommandLineExtent {
  readonly seed: number
  /** One line in so many; 1: all of them. */
  readonly stride: number
  /** Lines made at random. */
  readonly random: number
}

/** What was wrong, and how many lines there were. */
export async function tryCommandLine({ seed, stride, random }: CommandLineExtent): Promise<{ wrong: string[]; lines: number }> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-lines-'))
  const [fixed, loose] = [join(root, 'fixed'), join(root, 'loose')]
  const share = LINES.filter((_, index) => (index + seed) % stride === 0)
  try {
    for (const place of [fixed, loose]) await makePlace(place)
    const holder = await openExecutor({ path: join(fixed, 'held'), jobs: [], threads: 1 })
    const wrong = await tryLines(fixed, share)
    await holder.close({ grace: 0 })
    wrong.push(...(await tryRandomLines(loose, seed, random)))
    return { wrong, lines: share.length + random }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** What the lines are about, but for the store `held`. */
async function makePlace(root: string): Promise<void> {
  const at = (name: string): string => join(root, name)
  for (const name of ['', 'folder', 'empty', 'foreign', 'odd', 'odd/jobs.mdb']) await mkdir(at(name))
  await writeFile(at('file'), 'a file')
  await mkdir(at('taken'), { mode: 0o700 })
  await writeFile(at('folder/a'), 'to be measured')
  await writeFile(at('foreign/jobs.mdb'), 'not a store '.repeat(1000))
  await symlink('nowhere', at('dangling'))
  await symlink('loop', at('loop'))
}

/** They must not change anything, so they run at the same time. */
async function tryLines(root: string, all: readonly Line[]): Promise<string[]> {
  const wrong: string[] = []
  const before = await tree(root)
  const left = all.filter(({ asNobody }) => asNobody === undefined || process.getuid?.() === 0)
  const next = async (): Promise<void> => {
    for (let line = left.shift(); line !== undefined; line = left.shift()) {
      const { args, ends, asNobody } = line
      const ended = await run(args, { cwd: root, ...(asNobody && { uid: NOBODY, gid: NOBODY }) })
      const fault = ended === undefined ? 'it hangs' : faultOfEnd(ended, ends)
      if (fault !== undefined) wrong.push(`millrace ${shown(args)}: ${fault}`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
  const changed = differences(before, await tree(root))
  if (changed.length > 0) wrong.push(`lines that were refused changed ${changed.join(', ')}`)
  return wrong
}

/** Lines made from a seed, one after another: whatever they say, it is said in words, and a wrong line changes nothing. */
async function tryRandomLines(root: string, seed: number, count: number): Promise<string[]> {
  const wrong: string[] = []
  for (let number = 0; number < count; number++) {
    const prng = createPrng(seed + number)
    const args = Array.from({ length: prng.below(5) + 1 }, () => prng.pick(WORDS))
    const before = await tree(root)
    const ended = await run(args, { cwd: root })
    const ends = (Object.keys(ENDS) as End[]).find((end) => ENDS[end].some((code) => code === ended?.code))
    const fault = ended === undefined ? 'it hangs' : faultOfEnd(ended, ends ?? 'answered')
    if (fault !== undefined) wrong.push(`seed ${seed + number}, millrace ${shown(args)}: ${fault}`)
    const changed = ends === 'wrong' ? differences(before, await tree(root)) : []
    if (changed.length > 0)
      wrong.push(`seed ${seed + number}, millrace ${shown(args)}: is wrong, and changed ${changed.join(', ')}`)
  }
  return wrong
}

async function run(args: readonly string[], place: Place): Promise<Ended | undefined> {
  const { child, ended } = program(args, {}, place)
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const end = await ended
  clearTimeout(limit)
  return child.signalCode === null ? end : undefined
}

function faultOfEnd({ code, stdout, stderr }: Ended, ends: End): string | undefined {
  const said = `exit code ${code}: ${shown(stderr === '' ? stdout : stderr)}`
  if (!ENDS[ends].some((fits) => fits === code)) return `is to be ${ends}, and ended with ${said}`
  // The doctor's report, whatever it says, is what was asked for.
  if (ends === 'answered' ? stderr !== '' : (stderr === '') === (stdout === ''))
    return `does not say why, or on both streams: ${said}`
  const text = stderr + stdout
  if (/^\s+at .+:\d+|node:internal/m.test(text)) return `shows a stack: ${shown(text)}`
  const raw = rawWordsIn(text)
  if (raw !== undefined) return `the raw words ${raw}: ${shown(text)}`
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(stderr)) return `steers the terminal: ${said}`
  const longest = Math.max(...stderr.split('\n').map((line) => line.length))
  if (longest > LINE_CHARACTERS) return `a line of ${longest} characters: ${said}`
  const count = stderr.split('\n').length - 1
  if (ends !== 'answered' && stderr !== '' && count !== (ends === 'wrong' ? 2 : 1)) return `says it in ${count} lines: ${said}`
  if (stderr !== '' && !stderr.startsWith('millrace')) return `does not say who says so: ${said}`
  return undefined
}

/** Names, kinds, sizes and modes below a directory; of the store that is held its name alone. */
async function tree(root: string, below = ''): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  for (const name of await readdir(join(root, below))) {
    const path = join(below, name)
    const stat = await lstat(join(root, path))
    all.set(path, stat.isDirectory() ? `directory ${stat.mode}` : `${stat.mode} ${stat.size}`)
    if (!stat.isDirectory() || path === 'held') continue
    for (const [inner, what] of await tree(root, path)) all.set(inner, what)
  }
  return all
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((path) => before.get(path) !== after.get(path))
}
